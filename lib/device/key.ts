// What mbedTLS 3.6 as ESP-IDF builds it reads of a private key in DER, and what it refuses (FORMAT: What
// the TLS library on the device parses); the function of mbedTLS that has a rule is named beside it.

import { decodeBigInteger } from "../bytes/big_integer.ts";
import type { Bytes } from "../bytes/pack.ts";
import {
  bitsOf,
  childrenOf,
  constructedTag,
  contentOf,
  type DerCursor,
  type DerNode,
  enterDer,
  nextDer,
  oidOf,
  optionalDer,
  shownOid,
  TAG,
  unsignedOf,
} from "../crypto/der.ts";
import { canUncompress, type CurveDomain } from "../crypto/keys/curves.ts";
import {
  type AlgorithmParts,
  checkMontgomery,
  checkPoint,
  checkRsaNumbers,
  EC,
  EC_DH,
  enterWholeBytes,
  isCompressed,
  isOdd,
  isWithoutParameters,
  MONTGOMERY_CURVES,
  namedCurve,
  OTHER_KEYS,
  readAlgorithm,
  RSA,
} from "./public_key.ts";
import { checkEnd, deviceCursor, readInteger, refusalOf, refuse } from "./refusal.ts";

/** A private key that the device uses. */
export type DeviceKey =
  | {
    readonly type: "rsa";
    /** RSAPrivateKey (RFC 8017 appendix A.1.2), DER. Its numbers may contradict each other. */
    readonly pkcs1: Bytes;
  }
  | {
    readonly type: "ec";
    readonly curve: CurveDomain;
    /** The private scalar, big-endian, without leading zeros. A public point beside it is not used. */
    readonly scalar: Bytes;
  }
  | {
    /** For key agreement only: the device takes it, and no handshake can be signed with it. */
    readonly type: "agreement";
    /** `X25519`, `X448` or `ECDH`. */
    readonly name: string;
  };

/** Names of the numbers of RSAPrivateKey, for messages. */
const RSA_NUMBERS = ["modulus", "exponent", "d", "p", "q", "d mod p-1", "d mod q-1", "1/q mod p"];
const [MODULUS, EXPONENT, PRIME_P, PRIME_Q] = [0, 1, 3, 4];

/** Bytes of the order of the largest curve, P-521. */
const LONGEST_ORDER = 66;

/** The encodings in the order in which the device tries them. */
const ENCODINGS: readonly ((der: Bytes) => DeviceKey)[] = [readPkcs8, readPkcs1, readSec1];

/** A key in whatever encoding it is, or undefined when the device reads it in none. */
export function readKey(der: Bytes): DeviceKey | undefined {
  let key: DeviceKey | undefined;
  for (const read of ENCODINGS) {
    refusalOf(() => void (key = read(der)));
    if (key !== undefined) return key;
  }
  return undefined;
}

/** Why {@linkcode readKey} reads none: by the rules of the encoding that the bytes look like. */
export function explainKey(der: Bytes): string {
  return refusalOf(() => void encodingOf(der)(der)) ?? "none of its encodings";
}

function encodingOf(der: Bytes): (der: Bytes) => DeviceKey {
  let second: number | undefined;
  refusalOf(() => {
    const fields = enterDer(nextDer(deviceCursor(der), TAG.sequence));
    nextDer(fields, TAG.integer);
    second = nextDer(fields).tag;
  });
  return second === TAG.integer ? readPkcs1 : second === TAG.octetString ? readSec1 : readPkcs8;
}

/**
 * PrivateKeyInfo (RFC 5208; mbedTLS, `pk_parse_key_pkcs8_unencrypted_der`).
 *
 * @throws as {@linkcode refuse}.
 */
export function readPkcs8(der: Bytes): DeviceKey {
  const info = enterDer(nextDer(deviceCursor(der), TAG.sequence));
  if (optionalDer({ ...info }, TAG.sequence)) refuse("encrypted private key");
  const version = readInteger(info);
  if (version !== 0) refuse(`PKCS#8 version ${version}`);
  const algorithm = readAlgorithm(info);
  const key = nextDer(info, TAG.octetString);
  if (info.at < info.end) refuse("attributes after the PKCS#8 key");
  if (info.end < der.length) refuse("stray bytes after the PKCS#8 key");
  return readAlgorithmKey(algorithm, key);
}

/** The key in PrivateKeyInfo, by its algorithm. */
function readAlgorithmKey(algorithm: AlgorithmParts, key: DerNode): DeviceKey {
  const oid = oidOf(algorithm.oid);
  if (oid === RSA) {
    if (!isWithoutParameters(algorithm)) refuse("parameters of the RSA algorithm");
    return readPkcs1(contentOf(key));
  }
  if (oid === EC || oid === EC_DH) {
    const found = readSec1(contentOf(key), namedCurve(algorithm.parameters));
    return oid === EC ? found : { type: "agreement", name: "ECDH" };
  }
  const curve = MONTGOMERY_CURVES.get(oid);
  if (curve === undefined) refuse(`${OTHER_KEYS.get(oid) ?? shownOid(oid)} key`);
  const fields = enterDer(key);
  const bytes = contentOf(nextDer(fields, TAG.octetString));
  checkEnd(fields);
  checkMontgomery(curve, algorithm, bytes);
  return { type: "agreement", name: curve.name };
}

/**
 * RSAPrivateKey (mbedTLS, `mbedtls_rsa_parse_key`); its numbers are not compared with each other.
 *
 * @throws as {@linkcode refuse}.
 */
export function readPkcs1(der: Bytes): DeviceKey {
  const key = nextDer(deviceCursor(der), TAG.sequence);
  const fields = enterDer(key);
  const version = readInteger(fields);
  if (version !== 0) refuse(version === 1 ? whyMorePrimes(fields) : `PKCS#1 version ${version}`);
  const numbers = RSA_NUMBERS.map((name) => readNonZero(fields, name));
  if (fields.at < fields.end) refuse("elements after the numbers of the RSA key");
  if (key.end < der.length) refuse("stray bytes after the RSA key");
  checkRsaNumbers(numbers[MODULUS]!, numbers[EXPONENT]!);
  for (const prime of [PRIME_P, PRIME_Q]) {
    if (!isOdd(numbers[prime]!)) refuse(`even RSA prime ${RSA_NUMBERS[prime]}`);
  }
  return { type: "rsa", pkcs1: der };
}

/** A number whose sign does not matter (mbedTLS, `asn1_get_nonzero_mpi`). */
function readNonZero(fields: DerCursor, name: string): Bytes {
  const digits = unsignedOf(nextDer(fields, TAG.integer));
  if (digits.every((digit) => digit === 0)) refuse(`RSA ${name} of 0`);
  return digits;
}

function whyMorePrimes(fields: DerCursor): string {
  for (const _ of RSA_NUMBERS) nextDer(fields, TAG.integer);
  const others = optionalDer(fields, TAG.sequence);
  const hasThree = others !== undefined && childrenOf(others).length === 1;
  return `RSA key with ${hasThree ? "three" : "more than two"} primes`;
}

/**
 * ECPrivateKey (RFC 5915; mbedTLS, `pk_parse_key_sec1_der`). Bytes after it are not looked at.
 *
 * @param der The key.
 * @param named The curve that PKCS#8 names around it.
 * @throws as {@linkcode refuse}.
 */
export function readSec1(der: Bytes, named?: CurveDomain): DeviceKey {
  const fields = enterDer(nextDer(deviceCursor(der), TAG.sequence));
  const version = readInteger(fields);
  if (version !== 1) refuse(`SEC1 version ${version}`);
  const digits = nextDer(fields, TAG.octetString);
  const parameters = optionalDer(fields, constructedTag(0));
  const own = parameters && readParameters(parameters);
  const curve = own ?? named ?? refuse("EC key without a curve");
  if (named !== undefined && named !== curve) refuse(`${curve.name} key called ${named.name}`);
  const scalar = readScalar(digits, curve);
  const point = optionalDer(fields, constructedTag(1));
  if (point !== undefined) checkPublicPoint(point, curve);
  return { type: "ec", curve, scalar };
}

function readParameters(parameters: DerNode): CurveDomain {
  const fields = enterDer(parameters);
  const curve = namedCurve(nextDer(fields));
  checkEnd(fields);
  return curve;
}

/** From 1 to n - 1, in any number of bytes (mbedTLS, `mbedtls_ecp_check_privkey`). */
function readScalar(digits: DerNode, { name, n }: CurveDomain): Bytes {
  const scalar = unsignedOf(digits);
  const number = scalar.length > LONGEST_ORDER ? n : decodeBigInteger(scalar);
  return number > 0n && number < n ? scalar : refuse(`private scalar out of the range of ${name}`);
}

/** A point that the device cannot expand is worked out again from the private scalar. */
function checkPublicPoint(wrapper: DerNode, curve: CurveDomain): void {
  const fields = enterDer(wrapper);
  const bits = nextDer(fields, TAG.bitString);
  enterWholeBytes(bits);
  checkEnd(fields);
  const point = bitsOf(bits);
  const isIgnored = isCompressed(point) && !canUncompress(curve) &&
    point.length === 1 + curve.size;
  if (!isIgnored) checkPoint(curve, point);
}
