import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat } from "../../bytes/pack.ts";
import { curveOfOid, CURVES, type EcCurve } from "./curves.ts";
import {
  badDer,
  derBits,
  derContext,
  derInteger,
  type DerNode,
  derNull,
  derOctets,
  derOid,
  derSequence,
  derUnsigned,
  readDer,
  TAG,
  unsignedContent,
} from "../der/read.ts";

const RSA_OID = "1.2.840.113549.1.1.1";
const EC_OID = "1.2.840.10045.2.1";
const UNCOMPRESSED = 4;
/** The longest RSA key that the firmware's mbedTLS and every WebCrypto take, in bits. */
const MAX_RSA_BITS = 4096;

/** A private key in its parts, not yet checked for consistency. */
export type KeyParts = RsaParts | EcParts;

/** An RSA private key in its parts. */
export interface RsaParts {
  readonly type: "rsa";
  /** The RSAPrivateKey structure (RFC 8017 appendix A.1.2), DER. */
  readonly pkcs1: Bytes;
  /** Modulus n, unsigned big-endian. */
  readonly modulus: Bytes;
  /** Public exponent e, unsigned big-endian. */
  readonly publicExponent: Bytes;
  /** Private exponent d, unsigned big-endian. Secret. */
  readonly privateExponent: Bytes;
}

/** An EC private key in its parts. */
export interface EcParts {
  readonly type: "ec";
  readonly curve: EcCurve;
  /** Private scalar d, big-endian, as long as a coordinate. Secret. */
  readonly scalar: Bytes;
  /** Public point, uncompressed (0x04, X, Y), where the encoding holds one. */
  readonly point?: Bytes;
}

/**
 * The parts of an unencrypted private key: PKCS#8 (RFC 5208), PKCS#1 (RFC 8017) or SEC1 (RFC 5915),
 * told apart by their structure.
 *
 * @param der One key, DER.
 * @returns Its parts.
 * @throws {SecureCertError} `ERR_DER` when the bytes are none of these, `ERR_UNSUPPORTED` for
 * another algorithm or curve, `ERR_KEY` for a scalar of the wrong length.
 */
export function decodeKeyParts(der: Uint8Array): KeyParts {
  const root = readDer(der, "private key");
  const [version, second, third] = root.children;
  if (root.tag !== TAG.sequence || version?.tag !== TAG.integer) throw badDer("private key");
  if (second?.tag === TAG.sequence && third?.tag === TAG.octetString) {
    return decodePkcs8(second, third);
  }
  if (second?.tag === TAG.octetString) return decodeSec1(root);
  return decodePkcs1(root);
}

/** Whether DER bytes look like an EncryptedPrivateKeyInfo (RFC 5958). */
export function isEncryptedPkcs8(der: Uint8Array): boolean {
  try {
    const { children: [first, second] } = readDer(der, "private key");
    return first?.tag === TAG.sequence && second?.tag === TAG.octetString;
  } catch {
    return false;
  }
}

/** PKCS#8 of a key. An EC key carries its public point where there is one, as OpenSSL writes it. */
export function encodePkcs8(key: KeyParts): Bytes {
  if (key.type === "rsa") {
    const algorithm = derSequence(derOid(RSA_OID), derNull());
    return derSequence(derInteger(0), algorithm, derOctets(key.pkcs1));
  }
  const point = key.point ? [derContext(1, derBits(key.point))] : [];
  const inner = derSequence(derInteger(1), derOctets(key.scalar), ...point);
  return derSequence(derInteger(0), ecAlgorithm(key.curve), derOctets(inner));
}

/** The traditional encoding of a key: PKCS#1 for RSA; SEC1 with curve and public point for EC. */
export function encodeTraditional(key: KeyParts): Bytes {
  if (key.type === "rsa") return key.pkcs1;
  return derSequence(
    derInteger(1),
    derOctets(key.scalar),
    derContext(0, derOid(CURVES[key.curve].oid)),
    ...key.point ? [derContext(1, derBits(key.point))] : [],
  );
}

/** PEM label of the traditional encoding. */
export function traditionalLabel(key: KeyParts): string {
  return key.type === "rsa" ? "RSA PRIVATE KEY" : "EC PRIVATE KEY";
}

/** SubjectPublicKeyInfo (RFC 5280) of an RSA key. */
export function encodeRsaSpki(
  { modulus, publicExponent }: Pick<RsaParts, "modulus" | "publicExponent">,
): Bytes {
  const key = derSequence(derUnsigned(modulus), derUnsigned(publicExponent));
  return derSequence(derSequence(derOid(RSA_OID), derNull()), derBits(key));
}

/** SubjectPublicKeyInfo of a point on a curve. */
export function encodeEcSpki(curve: EcCurve, point: Uint8Array): Bytes {
  return derSequence(ecAlgorithm(curve), derBits(point));
}

/** What a public key is. */
export type PublicKeyParts =
  | {
    readonly type: "rsa";
    readonly bits: number;
    readonly modulus: Bytes;
    readonly exponent: Bytes;
  }
  | { readonly type: "ec"; readonly bits: number; readonly curve: EcCurve; readonly point: Bytes };

/**
 * The parts of a SubjectPublicKeyInfo.
 *
 * @throws {SecureCertError} `ERR_DER` when malformed, `ERR_UNSUPPORTED` for another algorithm, curve
 * or point form.
 */
export function decodeSpki(spki: Uint8Array): PublicKeyParts {
  const [algorithm, key] = readDer(spki, "public key").children;
  const [oid, parameters] = algorithm?.children ?? [];
  if (!oid || key?.tag !== TAG.bitString) throw badDer("public key");
  if (oid.oid === RSA_OID) {
    const [n, e] = readDer(key.content, "RSA public key").children;
    if (n?.tag !== TAG.integer || e?.tag !== TAG.integer) throw badDer("RSA public key");
    const modulus = unsignedContent(n);
    const bits = bitLength(modulus);
    if (bits > MAX_RSA_BITS) {
      throw new SecureCertError(
        "ERR_UNSUPPORTED",
        `Cannot use key: RSA-${bits}, at most ${MAX_RSA_BITS}`,
      );
    }
    return { type: "rsa", bits, modulus, exponent: unsignedContent(e) };
  }
  if (oid.oid !== EC_OID) throw unsupported(oid.oid);
  const curve = curveOfOid(parameters?.oid ?? "");
  return { type: "ec", bits: CURVES[curve].bits, curve, point: checkPoint(curve, key.content) };
}

/** Name of a kind of key as people write it: `RSA-2048`, `P-256`. */
export function keyName(key: { type: "rsa" | "ec"; bits: number; curve?: EcCurve }): string {
  return key.type === "rsa" ? `RSA-${key.bits}` : key.curve ?? "EC";
}

/** Bits of an unsigned big-endian number without leading zero bytes. */
export function bitLength(number: Uint8Array): number {
  return number.length === 0 ? 0 : number.length * 8 - Math.clz32(number[0]!) + 24;
}

function decodePkcs8(algorithm: DerNode, key: DerNode): KeyParts {
  const [oid, parameters] = algorithm.children;
  const inner = readDer(key.content, "private key");
  if (oid?.oid === RSA_OID) return decodePkcs1(inner);
  if (oid?.oid !== EC_OID) throw unsupported(oid?.oid ?? "");
  return decodeSec1(inner, parameters?.oid);
}

function decodePkcs1(root: DerNode): RsaParts {
  const numbers = root.children;
  if (numbers.length !== 9 || numbers.some(({ tag }) => tag !== TAG.integer)) {
    throw badDer("RSA private key");
  }
  return {
    type: "rsa",
    pkcs1: root.raw,
    modulus: unsignedContent(numbers[1]!),
    publicExponent: unsignedContent(numbers[2]!),
    privateExponent: unsignedContent(numbers[3]!),
  };
}

function decodeSec1(root: DerNode, curveOid?: string): EcParts {
  const [version, key, ...optional] = root.children;
  if (version?.tag !== TAG.integer || key?.tag !== TAG.octetString) throw badDer("EC private key");
  const named = optional.find(({ tag }) => tag === "[0]")?.children[0]?.oid;
  const curve = curveOfOid(curveOid ?? named ?? "");
  const point = optional.find(({ tag }) => tag === "[1]")?.children[0]?.content;
  return {
    type: "ec",
    curve,
    scalar: padScalar(key.content, CURVES[curve].size),
    ...point === undefined ? {} : { point: checkPoint(curve, point) },
  };
}

/** Some writers drop leading zeros of the scalar, others add one. */
function padScalar(scalar: Bytes, size: number): Bytes {
  const extra = scalar.length - size;
  if (extra > 0 && scalar.subarray(0, extra).some((byte) => byte !== 0)) {
    throw new SecureCertError(
      "ERR_KEY",
      `Cannot decode EC private key: scalar of ${scalar.length} bytes`,
    );
  }
  return extra >= 0 ? scalar.slice(extra) : concat(new Uint8Array(-extra), scalar);
}

function checkPoint(curve: EcCurve, point: Bytes): Bytes {
  if (point[0] === UNCOMPRESSED && point.length === 1 + 2 * CURVES[curve].size) return point;
  throw new SecureCertError(
    "ERR_UNSUPPORTED",
    `Cannot use key: ${curve} point is not uncompressed`,
  );
}

function ecAlgorithm(curve: EcCurve): Bytes {
  return derSequence(derOid(EC_OID), derOid(CURVES[curve].oid));
}

function unsupported(oid: string): SecureCertError {
  return new SecureCertError(
    "ERR_UNSUPPORTED",
    `Cannot use key: algorithm ${oid} is neither RSA nor EC`,
  );
}
