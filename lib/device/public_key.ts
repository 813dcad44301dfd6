import { countOf } from "../bytes/errors.ts";
import { decodeBigInteger } from "../bytes/big_integer.ts";
import type { Bytes } from "../bytes/pack.ts";
import {
  type DerCursor,
  type DerNode,
  enterBits,
  enterDer,
  nextDer,
  oidOf,
  shownOid,
  TAG,
  unsignedOf,
} from "../crypto/der.ts";
import { canUncompress, type CurveDomain, DOMAINS } from "../crypto/keys/curves.ts";
import { checkEnd, deviceCursor, refusalOf, refuse } from "./refusal.ts";

/** An AlgorithmIdentifier, taken apart and no more. */
export interface AlgorithmParts {
  readonly oid: DerNode;
  readonly parameters: DerNode | undefined;
}

/** rsaEncryption (RFC 8017 appendix A.1). */
export const RSA = "1.2.840.113549.1.1.1";
/** id-ecPublicKey (RFC 5480 section 2.1.1). */
export const EC = "1.2.840.10045.2.1";
/** id-ecDH (RFC 5480 section 2.1.2): of public keys the device reads it as the one above. */
export const EC_DH = "1.3.132.1.12";

/** A curve of RFC 7748. Its keys agree on secrets, and cannot sign. */
interface MontgomeryCurve {
  readonly name: string;
  /** Bytes of a key, private or public. */
  readonly size: number;
  /** Bits of a public key that count. */
  readonly bits: number;
  readonly p: bigint;
  /** Public keys of low order, which the device refuses. */
  readonly lowOrder: readonly bigint[];
}

/** Keys that are refused, for messages (RFC 8410, RFC 4055, RFC 3279). */
export const OTHER_KEYS: ReadonlyMap<string, string> = new Map([
  ["1.3.101.112", "Ed25519"],
  ["1.3.101.113", "Ed448"],
  ["1.2.840.113549.1.1.10", "RSASSA-PSS"],
  ["1.2.840.10040.4.1", "DSA"],
]);

/** The shortest RSA modulus, in bits (mbedTLS, `mbedtls_rsa_check_pubkey`). */
const MIN_RSA_BITS = 128;
/** The longest RSA modulus, in bytes (mbedTLS, `MBEDTLS_MPI_MAX_SIZE`). */
const MAX_RSA_BYTES = 1024;

const P25519 = 2n ** 255n - 19n;
const P448 = 2n ** 448n - 2n ** 224n - 1n;

/** The curves of RFC 7748 that the device reads keys of, by algorithm (RFC 8410 section 3). */
export const MONTGOMERY_CURVES: ReadonlyMap<string, MontgomeryCurve> = new Map([
  ["1.3.101.110", {
    name: "X25519",
    size: 32,
    bits: 255,
    p: P25519,
    // https://cr.yp.to/ecdh.html
    lowOrder: [
      0n,
      1n,
      0xb8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0n,
      0x57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5fn,
      P25519 - 1n,
    ],
  }],
  ["1.3.101.111", {
    name: "X448",
    size: 56,
    bits: 448,
    p: P448,
    lowOrder: [0n, 1n, P448 - 1n],
  }],
]);

/** First bytes of points (SEC 1 section 2.3.3). */
const COMPRESSED: readonly number[] = [2, 3];
const UNCOMPRESSED = 4;

/**
 * Why the device's TLS library refuses a public key; undefined when it reads it.
 *
 * @param spki SubjectPublicKeyInfo (RFC 5280 section 4.1), DER.
 */
export function publicKeyRefusal(spki: Uint8Array): string | undefined {
  return refusalOf(() => checkPublicKey(deviceCursor(spki)));
}

/**
 * Reads a SubjectPublicKeyInfo as the device does (FORMAT: What the TLS library parses; mbedTLS,
 * `mbedtls_pk_parse_subpubkey`): RSA, EC on a named curve, X25519, X448.
 *
 * @param fields Moves on to what follows the key.
 */
export function checkPublicKey(fields: DerCursor): void {
  const spki = enterDer(nextDer(fields, TAG.sequence));
  const algorithm = readAlgorithm(spki);
  const key = enterWholeBytes(nextDer(spki, TAG.bitString));
  checkEnd(spki);
  const oid = oidOf(algorithm.oid);
  const montgomery = MONTGOMERY_CURVES.get(oid);
  if (oid === RSA) checkRsaKey(algorithm, key);
  else if (oid === EC || oid === EC_DH) checkEcKey(algorithm, restOf(key));
  else if (montgomery !== undefined) checkMontgomeryKey(montgomery, algorithm, restOf(key));
  else refuse(`${OTHER_KEYS.get(oid) ?? shownOid(oid)} key`);
}

/** Reads an AlgorithmIdentifier: an object identifier, then nothing or one element. */
export function readAlgorithm(cursor: DerCursor): AlgorithmParts {
  const fields = enterDer(nextDer(cursor, TAG.sequence));
  const oid = nextDer(fields, TAG.oid);
  const parameters = fields.at < fields.end ? nextDer(fields) : undefined;
  checkEnd(fields);
  return { oid, parameters };
}

/** Whether an algorithm has no parameters, or NULL; the device takes tag 0 for NULL. */
export function isWithoutParameters({ parameters }: AlgorithmParts): boolean {
  return parameters === undefined ||
    (parameters.tag === TAG.null || parameters.tag === 0) && parameters.content === parameters.end;
}

/** A cursor before the contents of a BIT STRING, which must be of whole bytes. */
export function enterWholeBytes(bits: DerNode): DerCursor {
  const bytes = enterBits(bits);
  const unused = bits.source.bytes[bits.content]!;
  if (unused !== 0) refuse(`unused bits in the BIT STRING at byte ${bits.start}`);
  return bytes;
}

/** RSAPublicKey (RFC 8017 appendix A.1.1; mbedTLS, `mbedtls_rsa_parse_pubkey`). */
function checkRsaKey(algorithm: AlgorithmParts, key: DerCursor): void {
  if (!isWithoutParameters(algorithm)) refuse("parameters of the RSA algorithm");
  const fields = enterDer(nextDer(key, TAG.sequence));
  checkEnd(key);
  const modulus = unsignedOf(nextDer(fields, TAG.integer));
  const exponent = unsignedOf(nextDer(fields, TAG.integer));
  checkRsaNumbers(modulus, exponent);
  checkEnd(fields);
}

/** What must hold for the public half of any RSA key (mbedTLS, `mbedtls_rsa_check_pubkey`). */
export function checkRsaNumbers(modulus: Bytes, exponent: Bytes): void {
  const bits = bitLengthOf(modulus);
  if (bits < MIN_RSA_BITS || modulus.length > MAX_RSA_BYTES) refuse(`RSA modulus of ${bits} bits`);
  if (!isOdd(modulus)) refuse("even RSA modulus");
  if (!isOdd(exponent)) refuse("even RSA exponent");
  if (bitLengthOf(exponent) < 2) refuse("RSA exponent 1");
  if (!isLess(exponent, modulus)) refuse("RSA exponent not below the modulus");
}

/** ECPoint on a named curve (mbedTLS, `mbedtls_pk_ecc_set_pubkey`). */
function checkEcKey({ parameters }: AlgorithmParts, point: Bytes): void {
  checkPoint(namedCurve(parameters), point);
}

/** The curve that parameters name (mbedTLS, `pk_use_ecparams`). */
export function namedCurve(parameters: DerNode | undefined): CurveDomain {
  if (parameters === undefined) refuse("EC key without a curve");
  if (parameters.tag === TAG.sequence) refuse("EC key with explicit curve parameters");
  if (parameters.tag !== TAG.oid) refuse("EC key without a named curve");
  const oid = oidOf(parameters);
  return Object.hasOwn(DOMAINS, oid) ? DOMAINS[oid]! : refuse(`EC key on curve ${shownOid(oid)}`);
}

/** A point, compressed or not, must be on its curve (mbedTLS, `mbedtls_ecp_check_pubkey`). */
export function checkPoint(curve: CurveDomain, point: Bytes): void {
  const { size, p, a, b } = curve;
  if (point.length === 0) refuse("point of no bytes");
  const isHalf = isCompressed(point);
  if (!isHalf && point[0] !== UNCOMPRESSED) refuse("point of an unknown form");
  const length = 1 + (isHalf ? 1 : 2) * size;
  if (point.length !== length) {
    refuse(`point of ${countOf(point.length, "byte")} for a curve of ${length}`);
  }
  if (isHalf && !canUncompress(curve)) {
    refuse("compressed point on a curve whose points the device cannot expand");
  }
  const x = decodeBigInteger(point.subarray(1, 1 + size));
  const y = decodeBigInteger(point.subarray(1 + size));
  const square = ((x * x + a) * x + b) % p;
  const isOnCurve = isHalf ? jacobi(square, p) === 1 : (y * y - square) % p === 0n;
  if (x >= p || y >= p || !isOnCurve) refuse("point off its curve");
}

/** Whether a point begins as compressed ones do. */
export function isCompressed(point: Bytes): boolean {
  return COMPRESSED.includes(point[0]!);
}

/** A key of RFC 8410 (mbedTLS, `ecp_check_pubkey_mx`). */
function checkMontgomeryKey(curve: MontgomeryCurve, algorithm: AlgorithmParts, key: Bytes): void {
  checkMontgomery(curve, algorithm, key);
  const { name, bits, p, lowOrder } = curve;
  const x = BigInt.asUintN(bits, decodeBigInteger(key.toReversed() as Bytes)) % p;
  if (lowOrder.includes(x)) refuse(`${name} key of low order`);
}

/**
 * What must hold for a key of RFC 8410, private or public: no parameters, not even NULL, and its length
 * (mbedTLS, `pk_use_ecparams_rfc8410`, `mbedtls_ecp_read_key`).
 */
export function checkMontgomery(
  { name, size }: MontgomeryCurve,
  algorithm: AlgorithmParts,
  key: Bytes,
): void {
  if (!isWithoutParameters(algorithm) || algorithm.parameters?.tag === TAG.null) {
    refuse(`parameters of the ${name} algorithm`);
  }
  if (key.length !== size) refuse(`${name} key of ${countOf(key.length, "byte")}`);
}

/** The Jacobi symbol of a number by an odd modulus: 1 for a square, other than 0, modulo a prime. */
function jacobi(value: bigint, modulus: bigint): number {
  let [top, bottom, sign] = [((value % modulus) + modulus) % modulus, modulus, 1];
  while (top !== 0n) {
    while ((top & 1n) === 0n) {
      top >>= 1n;
      const rest = bottom & 7n;
      if (rest === 3n || rest === 5n) sign = -sign;
    }
    if ((top & 3n) === 3n && (bottom & 3n) === 3n) sign = -sign;
    [top, bottom] = [bottom % top, top];
  }
  return bottom === 1n ? sign : 0;
}

function restOf({ at, end, source }: DerCursor): Bytes {
  return source.bytes.subarray(at, end);
}

function bitLengthOf(digits: Bytes): number {
  return digits.length === 0 ? 0 : 8 * digits.length - Math.clz32(digits[0]!) + 24;
}

/** Whether an unsigned number is odd. */
export function isOdd(digits: Bytes): boolean {
  return digits.length > 0 && (digits.at(-1)! & 1) === 1;
}

/** Whether an unsigned number is below another; neither has leading zeros. */
function isLess(low: Bytes, high: Bytes): boolean {
  if (low.length !== high.length) return low.length < high.length;
  const at = low.findIndex((digit, index) => digit !== high[index]);
  return at >= 0 && low[at]! < high[at]!;
}
