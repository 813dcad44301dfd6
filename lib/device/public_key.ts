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
import { checkEnd, deviceCursor, refusalOf, refuse } from "./refusal.ts";

/** An AlgorithmIdentifier, taken apart and no more. */
export interface AlgorithmParts {
  readonly oid: DerNode;
  readonly parameters: DerNode | undefined;
}

/** A short Weierstrass curve: y² = x³ + ax + b modulo p. */
interface Curve {
  /** Bytes of a coordinate. */
  readonly size: number;
  readonly p: bigint;
  readonly a: bigint;
  readonly b: bigint;
}

const RSA = "1.2.840.113549.1.1.1";
/** id-ecPublicKey and id-ecDH (RFC 5480 section 2.1): the device makes no difference. */
const EC: readonly string[] = ["1.2.840.10045.2.1", "1.3.132.1.12"];
const X25519 = "1.3.101.110";

/** Public keys that are refused, for messages (RFC 8410, RFC 4055, RFC 3279). */
const OTHER_KEYS: ReadonlyMap<string, string> = new Map([
  ["1.3.101.111", "X448"],
  ["1.3.101.112", "Ed25519"],
  ["1.3.101.113", "Ed448"],
  ["1.2.840.113549.1.1.10", "RSASSA-PSS"],
  ["1.2.840.10040.4.1", "DSA"],
]);

/** The shortest RSA modulus, in bits (mbedTLS, `mbedtls_rsa_check_pubkey`). */
const MIN_RSA_BITS = 128;
/** The longest RSA modulus, in bytes (mbedTLS, `MBEDTLS_MPI_MAX_SIZE`). */
const MAX_RSA_BYTES = 1024;

/**
 * The curves of ESP-IDF's default build: FIPS 186-4 appendix D.1.2, SEC 2 section 2, RFC 5639
 * section 3.
 */
const CURVES: ReadonlyMap<string, Curve> = new Map([
  // P-192
  ["1.2.840.10045.3.1.1", {
    size: 24,
    p: 0xfffffffffffffffffffffffffffffffeffffffffffffffffn,
    a: -3n,
    b: 0x64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1n,
  }],
  // P-224
  ["1.3.132.0.33", {
    size: 28,
    p: 0xffffffffffffffffffffffffffffffff000000000000000000000001n,
    a: -3n,
    b: 0xb4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4n,
  }],
  // P-256
  ["1.2.840.10045.3.1.7", {
    size: 32,
    p: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
    a: -3n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  }],
  // P-384
  ["1.3.132.0.34", {
    size: 48,
    p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn,
    a: -3n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  }],
  // P-521
  ["1.3.132.0.35", {
    size: 66,
    p: 0x1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffn,
    a: -3n,
    b: 0x51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
  }],
  // secp192k1
  ["1.3.132.0.31", {
    size: 24,
    p: 0xfffffffffffffffffffffffffffffffffffffffeffffee37n,
    a: 0n,
    b: 0x3n,
  }],
  // secp224k1
  ["1.3.132.0.32", {
    size: 28,
    p: 0xfffffffffffffffffffffffffffffffffffffffffffffffeffffe56dn,
    a: 0n,
    b: 0x5n,
  }],
  // secp256k1
  ["1.3.132.0.10", {
    size: 32,
    p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2fn,
    a: 0n,
    b: 0x7n,
  }],
  // brainpoolP256r1
  ["1.3.36.3.3.2.8.1.1.7", {
    size: 32,
    p: 0xa9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377n,
    a: 0x7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9n,
    b: 0x26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6n,
  }],
  // brainpoolP384r1
  ["1.3.36.3.3.2.8.1.1.11", {
    size: 48,
    p: 0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53n,
    a: 0x7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826n,
    b: 0x4a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11n,
  }],
  // brainpoolP512r1
  ["1.3.36.3.3.2.8.1.1.13", {
    size: 64,
    p: 0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528aa6056583a48f3n,
    a: 0x7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94can,
    b: 0x3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94cadc083e67984050b75ebae5dd2809bd638016f723n,
  }],
]);

const P25519 = 2n ** 255n - 19n;
/** Points of low order on Curve25519, which the device refuses (https://cr.yp.to/ecdh.html). */
const LOW_ORDER: readonly bigint[] = [
  0n,
  1n,
  0xb8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0n,
  0x57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5fn,
  P25519 - 1n,
];

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
 * `mbedtls_pk_parse_subpubkey`): RSA, EC on a named curve, X25519.
 *
 * @param fields Moves on to what follows the key.
 */
export function checkPublicKey(fields: DerCursor): void {
  const spki = enterDer(nextDer(fields, TAG.sequence));
  const algorithm = readAlgorithm(spki);
  const key = enterWholeBytes(nextDer(spki, TAG.bitString));
  checkEnd(spki);
  const oid = oidOf(algorithm.oid);
  if (oid === RSA) checkRsaKey(algorithm, key);
  else if (EC.includes(oid)) checkEcKey(algorithm, restOf(key));
  else if (oid === X25519) checkX25519Key(algorithm, restOf(key));
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

function checkRsaNumbers(modulus: Bytes, exponent: Bytes): void {
  const bits = bitLengthOf(modulus);
  if (bits < MIN_RSA_BITS || modulus.length > MAX_RSA_BYTES) refuse(`RSA modulus of ${bits} bits`);
  if (!isOdd(modulus)) refuse("even RSA modulus");
  if (!isOdd(exponent)) refuse("even RSA exponent");
  if (bitLengthOf(exponent) < 2) refuse("RSA exponent 1");
  if (!isLess(exponent, modulus)) refuse("RSA exponent not below the modulus");
}

/** ECPoint on a named curve (mbedTLS, `pk_use_ecparams`, `mbedtls_pk_ecc_set_pubkey`). */
function checkEcKey({ parameters }: AlgorithmParts, point: Bytes): void {
  if (parameters === undefined) refuse("EC key without a curve");
  if (parameters.tag !== TAG.oid) refuse("EC key without a named curve");
  const oid = oidOf(parameters);
  const curve = CURVES.get(oid) ?? refuse(`EC key on curve ${shownOid(oid)}`);
  if (point.length === 0) refuse("point of no bytes");
  const isCompressed = COMPRESSED.includes(point[0]!);
  if (!isCompressed && point[0] !== UNCOMPRESSED) refuse("point of an unknown form");
  const { size, p, a, b } = curve;
  const length = 1 + (isCompressed ? 1 : 2) * size;
  if (point.length !== length) refuse(`point of ${point.length} bytes for a curve of ${length}`);
  const x = decodeBigInteger(point.subarray(1, 1 + size));
  const right = ((x * x + a) * x + b) % p;
  if (x >= p) refuse("point off its curve");
  if (isCompressed) {
    // The device takes the square root by one power, which this form of p is needed for.
    if ((p & 3n) !== 3n) {
      refuse("compressed point on a curve whose points the device cannot expand");
    }
    if (jacobi(right, p) !== 1) refuse("point off its curve");
    return;
  }
  const y = decodeBigInteger(point.subarray(1 + size));
  if (y >= p || (y * y - right) % p !== 0n) refuse("point off its curve");
}

/** X25519 (RFC 8410; mbedTLS, `pk_use_ecparams_rfc8410`, `ecp_check_pubkey_mx`). */
function checkX25519Key(algorithm: AlgorithmParts, bytes: Bytes): void {
  const { parameters } = algorithm;
  if (
    parameters !== undefined && !(parameters.tag === 0 && parameters.content === parameters.end)
  ) {
    refuse("parameters of the X25519 algorithm");
  }
  if (bytes.length !== 32) refuse(`X25519 key of ${bytes.length} bytes`);
  const x = BigInt.asUintN(255, decodeBigInteger(bytes.toReversed() as Bytes)) % P25519;
  if (LOW_ORDER.includes(x)) refuse("X25519 key of low order");
}

/** The Jacobi symbol (value/modulus) of an odd modulus: 1 for a square modulo a prime. */
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

function isOdd(digits: Bytes): boolean {
  return digits.length > 0 && (digits.at(-1)! & 1) === 1;
}

/** Whether an unsigned number is below another; neither has leading zeros. */
function isLess(low: Bytes, high: Bytes): boolean {
  if (low.length !== high.length) return low.length < high.length;
  const at = low.findIndex((digit, index) => digit !== high[index]);
  return at >= 0 && low[at]! < high[at]!;
}
