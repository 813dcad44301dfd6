import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { decodeBigInteger } from "../../bytes/big_integer.ts";
import { type Bytes, concat, equalBytes } from "../../bytes/pack.ts";
import { derBlocks } from "../../bytes/pem.ts";
import { readAs } from "../foreign.ts";
import {
  type CurveDomain,
  curveOfOid,
  CURVES,
  DOMAINS,
  type EcCurve,
  uncompressedPoint,
} from "./curves.ts";
import {
  bitsOf,
  childrenOf,
  constructedTag,
  contentOf,
  derBits,
  derContext,
  type DerCursor,
  type DerElement,
  derInteger,
  type DerNode,
  derNull,
  derOctets,
  derOid,
  derSequence,
  derUnsigned,
  encodeDer,
  enterBits,
  enterDer,
  nextDer,
  oidOf,
  optionalDer,
  readDer,
  shownOid,
  TAG,
  unsignedOf,
} from "../der.ts";

const RSA_OID = "1.2.840.113549.1.1.1";
const EC_OID = "1.2.840.10045.2.1";
const UNCOMPRESSED = 4;
/** The longest RSA key that the firmware's mbedTLS and every WebCrypto take, in bits. */
const MAX_RSA_BITS = 4096;

/**
 * A private key with its public half. Logging it shows only the public half.
 *
 * @category Keys and certificates
 */
export interface PrivateKey {
  /** Kind of key. */
  readonly type: "ec" | "rsa";
  /** The curve of an EC key. */
  readonly curve?: EcCurve;
  /** Length of the RSA modulus or of the curve's field, in bits. */
  readonly bits: number;
  /** SubjectPublicKeyInfo (RFC 5280), DER. */
  readonly publicKey: Bytes;
  /** PKCS#8 (RFC 5208), DER, unencrypted. Secret, and not enumerable. */
  readonly pkcs8: Bytes;
}

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
  /** Public point, uncompressed (0x04, X, Y), where the encoding holds one in either form. */
  readonly point?: Bytes;
}

/**
 * The parts of an unencrypted private key: PKCS#8 (RFC 5208), PKCS#1 (RFC 8017) or SEC1 (RFC 5915),
 * recognised by their structure.
 *
 * @param der One key, DER.
 * @returns Its parts.
 * @throws {SecureCertError} `ERR_DER` when the bytes are none of these, `ERR_UNSUPPORTED` for
 * another algorithm or curve, `ERR_KEY` for a scalar of the wrong length.
 */
export function decodeKeyParts(der: Uint8Array): KeyParts {
  const root = readDer(der, "private key");
  const fields = enterDer(root);
  nextDer(fields, TAG.integer);
  const algorithm = optionalDer(fields, TAG.sequence);
  if (algorithm !== undefined) return decodePkcs8(algorithm, nextDer(fields, TAG.octetString));
  const scalar = optionalDer(fields, TAG.octetString);
  return scalar === undefined ? decodePkcs1(root) : decodeSec1(scalar, fields);
}

/** Whether DER bytes look like an EncryptedPrivateKeyInfo (RFC 5958). */
export function isEncryptedPkcs8(der: Uint8Array): boolean {
  try {
    const fields = enterDer(readDer(der, "private key"));
    nextDer(fields, TAG.sequence);
    nextDer(fields, TAG.octetString);
    return true;
  } catch {
    return false;
  }
}

/** PKCS#8 of a key. An EC key carries its public point where there is one, as OpenSSL writes it. */
export function encodePkcs8(key: KeyParts): Bytes {
  if (key.type === "rsa") {
    const algorithm = derSequence(derOid(RSA_OID), derNull());
    return encodeDer(derSequence(derInteger(0), algorithm, derOctets(key.pkcs1)));
  }
  const point = key.point ? [derContext(1, derBits(key.point))] : [];
  const inner = derSequence(derInteger(1), derOctets(key.scalar), ...point);
  return encodeDer(derSequence(derInteger(0), ecAlgorithm(key.curve), derOctets(inner)));
}

/** The traditional encoding of a key: PKCS#1 for RSA; SEC1 with curve and public point for EC. */
export function encodeTraditional(key: KeyParts): Bytes {
  if (key.type === "rsa") return key.pkcs1;
  return encodeDer(derSequence(
    derInteger(1),
    derOctets(key.scalar),
    derContext(0, derOid(CURVES[key.curve].oid)),
    ...key.point ? [derContext(1, derBits(key.point))] : [],
  ));
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
  return encodeDer(derSequence(derSequence(derOid(RSA_OID), derNull()), derBits(key)));
}

/** SubjectPublicKeyInfo of a point on a curve. */
export function encodeEcSpki(curve: EcCurve, point: Uint8Array): Bytes {
  return encodeDer(derSequence(ecAlgorithm(curve), derBits(point)));
}

/** As {@linkcode encodeEcSpki}, of a curve by its object identifier, which may be one of {@linkcode DOMAINS}. */
export function encodePointSpki(curveOid: string, point: Uint8Array): Bytes {
  const algorithm = derSequence(derOid(EC_OID), derOid(curveOid));
  return encodeDer(derSequence(algorithm, derBits(point)));
}

/**
 * A public key: an object that has one, such as a certificate or a private key, or a file with
 * SubjectPublicKeyInfo (RFC 5280) as bytes (PEM or DER) or PEM text.
 */
export type PublicKeyInput = { readonly publicKey: Uint8Array } | Uint8Array | string;

/**
 * The SubjectPublicKeyInfo of a public key, DER.
 *
 * @throws {SecureCertError} `ERR_PEM` or `ERR_DER` for a file that has none.
 */
export function publicKeyDer(input: PublicKeyInput): Uint8Array {
  if (typeof input !== "string" && !(input instanceof Uint8Array)) return input.publicKey;
  return readAs(input, "public key", () => {
    const der = derBlocks(input, ["PUBLIC KEY"])[0]!;
    openSpki(readDer(der, "public key"));
    return der;
  });
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
  return publicKeyParts(readDer(spki, "public key"));
}

/** As {@linkcode decodeSpki}, of a SubjectPublicKeyInfo inside something larger. */
export function publicKeyParts(spki: DerNode): PublicKeyParts {
  const { oid, parameters, key } = openSpki(spki);
  if (oid === RSA_OID) {
    const { modulus, publicExponent: exponent } = readRsaKey(key);
    const bits = bitLength(modulus);
    if (bits <= MAX_RSA_BITS) return { type: "rsa", bits, modulus, exponent };
    throw new SecureCertError(
      "ERR_UNSUPPORTED",
      `Cannot use key: RSA-${bits}, at most ${MAX_RSA_BITS}`,
    );
  }
  if (oid !== EC_OID) throw unsupported(oid);
  const curve = curveOf(parameters);
  return { type: "ec", bits: CURVES[curve].bits, curve, point: readPoint(curve, bitsOf(key)) };
}

function openSpki(spki: DerNode): ReturnType<typeof readAlgorithm> & { readonly key: DerNode } {
  const fields = enterDer(spki);
  const algorithm = readAlgorithm(nextDer(fields, TAG.sequence));
  return { ...algorithm, key: nextDer(fields, TAG.bitString) };
}

/** RSAPublicKey (RFC 8017 appendix A.1.1). */
function readRsaKey(key: DerNode): Pick<RsaParts, "modulus" | "publicExponent"> {
  const numbers = enterDer(nextDer(enterBits(key), TAG.sequence));
  const modulus = unsignedOf(nextDer(numbers, TAG.integer));
  return { modulus, publicExponent: unsignedOf(nextDer(numbers, TAG.integer)) };
}

/** Whether two SubjectPublicKeyInfo, DER, are of the same key: one may have its point compressed. */
export function isSamePublicKey(one: Uint8Array, other: Uint8Array): boolean {
  return equalBytes(one, other) || equalBytes(canonicalSpki(one), canonicalSpki(other));
}

/**
 * A SubjectPublicKeyInfo, DER, as this module writes it: two are of the same key exactly when these bytes
 * are equal. The bytes that were given when the key is of a kind that is not known.
 */
export function canonicalSpki(spki: Uint8Array): Uint8Array {
  try {
    const { oid, parameters, key } = openSpki(readDer(spki, "public key"));
    if (oid === RSA_OID) return encodeRsaSpki(readRsaKey(key));
    const curveOid = curveOidOf(parameters);
    const domain = oid === EC_OID ? DOMAINS[curveOid] : undefined;
    const point = domain && uncompressedPoint(domain, bitsOf(key));
    return point === undefined ? spki : encodePointSpki(curveOid, point);
  } catch (error) {
    if (error instanceof SecureCertError) return spki;
    throw error;
  }
}

/** An AlgorithmIdentifier (RFC 5280 section 4.1.1.2). */
export function readAlgorithm(
  node: DerNode,
): { readonly oid: string; readonly parameters?: DerNode } {
  const fields = enterDer(node);
  const oid = oidOf(nextDer(fields, TAG.oid));
  return { oid, parameters: fields.at < fields.end ? nextDer(fields) : undefined };
}

/**
 * The usual name of a kind of key: `RSA-2048`, `P-256`.
 *
 * @category Keys and certificates
 */
export function keyName(key: { type: "rsa" | "ec"; bits: number; curve?: EcCurve }): string {
  return key.type === "rsa" ? `RSA-${key.bits}` : key.curve ?? "EC";
}

/** Bits of an unsigned big-endian number without leading zero bytes. */
export function bitLength(number: Uint8Array): number {
  return number.length === 0 ? 0 : number.length * 8 - Math.clz32(number[0]!) + 24;
}

function decodePkcs8(algorithm: DerNode, key: DerNode): KeyParts {
  const { oid, parameters } = readAlgorithm(algorithm);
  if (oid !== RSA_OID && oid !== EC_OID) throw unsupported(oid);
  const inner = nextDer(enterDer(key), TAG.sequence);
  if (oid === RSA_OID) return decodePkcs1(inner);
  const fields = enterDer(inner);
  nextDer(fields, TAG.integer);
  return decodeSec1(nextDer(fields, TAG.octetString), fields, parameters);
}

function decodePkcs1(root: DerNode): RsaParts {
  const fields = enterDer(root);
  const numbers = Array.from({ length: 9 }, () => unsignedOf(nextDer(fields, TAG.integer)));
  if (fields.at < fields.end) {
    const others = optionalDer(fields, TAG.sequence);
    const primes = others && childrenOf(others).length === 1 ? "three" : "more than two";
    throw new SecureCertError(
      "ERR_UNSUPPORTED",
      `Cannot use key: the RSA key has ${primes} primes`,
    );
  }
  const [, modulus, publicExponent, privateExponent] = numbers;
  return {
    type: "rsa",
    // Written again, because what reads it next may not take lengths and numbers longer than needed.
    pkcs1: encodeDer(derSequence(...numbers.map(derUnsigned))),
    modulus: modulus!,
    publicExponent: publicExponent!,
    privateExponent: privateExponent!,
  };
}

/**
 * Whether the numbers of an RSA key belong together (RFC 8017 section 3.2), whatever the size of its
 * exponents; that its factors are primes is not checked.
 */
export function isConsistentRsa({ pkcs1 }: RsaParts): boolean {
  const [, n, e, d, p, q, dP, dQ, qInv] = childrenOf(readDer(pkcs1, "private key"))
    .map((number) => decodeBigInteger(unsignedOf(number))) as [bigint, ...RsaNumbers];
  return p > 1n && q > 1n && p * q === n &&
    e * d % (p - 1n) === 1n && dP === d % (p - 1n) &&
    e * d % (q - 1n) === 1n && dQ === d % (q - 1n) &&
    qInv < p && qInv * q % p === 1n;
}

type RsaNumbers = [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];

function decodeSec1(scalar: DerNode, optional: DerCursor, named?: DerNode): EcParts {
  const parameters = optionalDer(optional, constructedTag(0));
  const point = optionalDer(optional, constructedTag(1));
  const curve = curveOf(named ?? (parameters && nextDer(enterDer(parameters))));
  return {
    type: "ec",
    curve,
    scalar: padScalar(contentOf(scalar), CURVES[curve].size),
    point: point && readPoint(curve, bitsOf(nextDer(enterDer(point), TAG.bitString))),
  };
}

function curveOf(parameters: DerNode | undefined): EcCurve {
  return curveOfOid(curveOidOf(parameters));
}

/** The object identifier of the curve that parameters name or describe; empty when they do neither. */
function curveOidOf(parameters: DerNode | undefined): string {
  if (parameters?.tag === TAG.sequence) return domainOf(parameters)?.oid ?? "";
  return parameters?.tag === TAG.oid ? oidOf(parameters) : "";
}

/** The curve that explicit parameters describe (SEC 1 appendix C.2, over a prime field). */
function domainOf(parameters: DerNode): CurveDomain | undefined {
  const fields = enterDer(parameters);
  nextDer(fields, TAG.integer);
  const field = enterDer(nextDer(fields, TAG.sequence));
  nextDer(field, TAG.oid);
  const prime = optionalDer(field, TAG.integer);
  if (prime === undefined) return undefined;
  const coefficients = enterDer(nextDer(fields, TAG.sequence));
  const [a, b] = [nextDer(coefficients, TAG.octetString), nextDer(coefficients, TAG.octetString)];
  const base = contentOf(nextDer(fields, TAG.octetString));
  const order = nextDer(fields, TAG.integer);
  const [p, n] = [prime, order].map((number) => decodeBigInteger(unsignedOf(number)));
  const [numberA, numberB] = [a, b].map((number) => decodeBigInteger(contentOf(number)));
  return Object.values(DOMAINS).find((domain) =>
    domain.p === p && domain.n === n && domain.a === numberA && domain.b === numberB &&
    isBasePoint(domain, base)
  );
}

function isBasePoint(domain: CurveDomain, point: Bytes): boolean {
  const found = uncompressedPoint(domain, point);
  return found !== undefined && decodeBigInteger(found.subarray(1)) ===
      (domain.Gx << BigInt(8 * domain.size) | domain.Gy);
}

/** Some writers drop leading zeros of the scalar, others add one. */
function padScalar(scalar: Bytes, size: number): Bytes {
  const extra = scalar.length - size;
  if (extra > 0 && scalar.subarray(0, extra).some((byte) => byte !== 0)) {
    throw new SecureCertError(
      "ERR_KEY",
      `Cannot decode EC private key: scalar of ${countOf(scalar.length, "byte")}`,
    );
  }
  return extra >= 0 ? scalar.slice(extra) : concat(new Uint8Array(-extra), scalar);
}

/** The point in uncompressed form, which is taken as it is: what it is used for checks it. */
function readPoint(curve: EcCurve, point: Bytes): Bytes {
  if (point[0] === UNCOMPRESSED && point.length === 1 + 2 * CURVES[curve].size) return point;
  const found = uncompressedPoint(DOMAINS[CURVES[curve].oid]!, point);
  if (found !== undefined) return found;
  throw new SecureCertError(
    "ERR_UNSUPPORTED",
    `Cannot use key: it has no point of ${curve}, compressed or uncompressed`,
  );
}

/** AlgorithmIdentifier of keys on a curve. */
function ecAlgorithm(curve: EcCurve): DerElement {
  return derSequence(derOid(EC_OID), derOid(CURVES[curve].oid));
}

/** Kinds of keys that the device's TLS library does not parse, by object identifier. */
const OTHER_ALGORITHMS: Readonly<Record<string, string>> = {
  "1.2.840.113549.1.1.10": "RSASSA-PSS",
  "1.2.840.113549.1.1.7": "RSAES-OAEP",
  "1.2.840.113549.1.3.1": "Diffie-Hellman",
  "1.2.840.10046.2.1": "Diffie-Hellman",
  "1.2.840.10040.4.1": "DSA",
  "1.3.101.110": "X25519",
  "1.3.101.111": "X448",
  "1.3.101.112": "Ed25519",
  "1.3.101.113": "Ed448",
  "1.2.643.7.1.1.1.1": "GOST",
  "1.2.643.7.1.1.1.2": "GOST",
  "2.16.840.1.101.3.4.3.17": "ML-DSA-44",
  "2.16.840.1.101.3.4.3.18": "ML-DSA-65",
  "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
};

function unsupported(oid: string): SecureCertError {
  const name = Object.hasOwn(OTHER_ALGORITHMS, oid) ? `${OTHER_ALGORITHMS[oid]} ` : "";
  return new SecureCertError(
    "ERR_UNSUPPORTED",
    `Cannot use key: its algorithm ${name}(${
      shownOid(oid)
    }) is neither RSA nor EC, and the device ` +
      "reads no other",
  );
}

/** The error for a password that is missing or wrong. */
export function passwordError(
  problem: "needs a password" | "wrong password",
  cause?: unknown,
): SecureCertError {
  return new SecureCertError("ERR_PASSWORD", `Cannot open private key: ${problem}`, {}, { cause });
}
