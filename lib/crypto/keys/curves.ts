import { SecureCertError } from "../../bytes/errors.ts";
import { spelledName } from "../../bytes/nearest.ts";
import { CURVE_SYNONYMS } from "../../format/names.ts";
import { shownOid } from "../der.ts";

/**
 * A curve that a private key may be on.
 *
 * @category Keys and certificates
 */
export type EcCurve =
  | "P-192"
  | "P-224"
  | "P-256"
  | "P-384"
  | "P-521"
  | "secp256k1"
  | "brainpoolP256r1"
  | "brainpoolP384r1"
  | "brainpoolP512r1";

interface CurveFacts {
  /** Object identifier (RFC 5480 section 2.1.1.1, SEC 2 for secp256k1, RFC 5639 for brainpool). */
  readonly oid: string;
  /** Bits of the field. */
  readonly bits: number;
  /** Bytes of a coordinate or scalar. */
  readonly size: number;
  /** Hash that signs with it: at least as strong as the curve where there is one. */
  readonly hash: HashName;
  /** Whether WebCrypto knows it. */
  readonly webCrypto: boolean;
}

/** A hash of WebCrypto. */
export type HashName = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";

/** A hash of signatures: those of WebCrypto, and those with which none is made here. */
export type SignatureHash = HashName | "MD5" | "SHA-224";

/** Object identifiers of the hashes (RFC 8017 appendix B.1). */
export const HASH_OIDS: Readonly<Record<SignatureHash, string>> = {
  "MD5": "1.2.840.113549.2.5",
  "SHA-1": "1.3.14.3.2.26",
  "SHA-224": "2.16.840.1.101.3.4.2.4",
  "SHA-256": "2.16.840.1.101.3.4.2.1",
  "SHA-384": "2.16.840.1.101.3.4.2.2",
  "SHA-512": "2.16.840.1.101.3.4.2.3",
};

/** RSA keys of fewer bits than this are weak: TLS peers refuse them. */
export const WEAK_RSA_BITS = 2048;

/** What is known of each curve. */
export const CURVES = {
  "P-192": { oid: "1.2.840.10045.3.1.1", bits: 192, size: 24, hash: "SHA-256", webCrypto: false },
  "P-224": { oid: "1.3.132.0.33", bits: 224, size: 28, hash: "SHA-256", webCrypto: false },
  "P-256": { oid: "1.2.840.10045.3.1.7", bits: 256, size: 32, hash: "SHA-256", webCrypto: true },
  "P-384": { oid: "1.3.132.0.34", bits: 384, size: 48, hash: "SHA-384", webCrypto: true },
  "P-521": { oid: "1.3.132.0.35", bits: 521, size: 66, hash: "SHA-512", webCrypto: true },
  "secp256k1": { oid: "1.3.132.0.10", bits: 256, size: 32, hash: "SHA-256", webCrypto: false },
  "brainpoolP256r1": {
    oid: "1.3.36.3.3.2.8.1.1.7",
    bits: 256,
    size: 32,
    hash: "SHA-256",
    webCrypto: false,
  },
  "brainpoolP384r1": {
    oid: "1.3.36.3.3.2.8.1.1.11",
    bits: 384,
    size: 48,
    hash: "SHA-384",
    webCrypto: false,
  },
  "brainpoolP512r1": {
    oid: "1.3.36.3.3.2.8.1.1.13",
    bits: 512,
    size: 64,
    hash: "SHA-512",
    webCrypto: false,
  },
} as const satisfies Record<EcCurve, CurveFacts>;

/**
 * The curve of an object identifier.
 *
 * @throws {SecureCertError} `ERR_UNSUPPORTED` for any other curve.
 */
export function curveOfOid(oid: string): EcCurve {
  for (const curve of Object.keys(CURVES) as EcCurve[]) if (CURVES[curve].oid === oid) return curve;
  throw new SecureCertError(
    "ERR_UNSUPPORTED",
    `Cannot use key: curve ${shownOid(oid) || "unnamed"} is not known`,
  );
}

/**
 * The curve that a text names in any usual spelling, such as `p256`, `prime256v1` or `secp256r1` for
 * `P-256`.
 */
export function parseCurve(text: string): EcCurve | undefined {
  return spelledName(text, Object.keys(CURVES) as EcCurve[], CURVE_SYNONYMS);
}

/** Whether a private key may be on a curve of this name. */
export function isEcCurve(name: string): name is EcCurve {
  return Object.hasOwn(CURVES, name);
}
