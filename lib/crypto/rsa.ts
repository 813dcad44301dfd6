import {
  bitLength,
  decodeBigInteger,
  encodeBigInteger,
  inverseModulo,
  powerModulo,
  squareRoot,
} from "../bytes/big_integer.ts";
import { SecureCertError } from "../bytes/errors.ts";
import { type Bytes, concat, equalBytes } from "../bytes/pack.ts";
import { md5, sha1, sha224, sha256, sha384, sha512 } from "./deps.ts";
import {
  derInteger,
  derNull,
  derOctets,
  derOid,
  derSequence,
  derUnsigned,
  encodeDer,
} from "./der.ts";
import { HASH_OIDS, type SignatureHash } from "./keys/curves.ts";
import type { PublicKeyParts } from "./keys/encoding.ts";

/** How an RSA signature is padded. */
export interface RsaPadding {
  /** The hash of the message. */
  readonly hash: SignatureHash;
  /** Salt length in bytes when RSA pads with PSS; PKCS#1 v1.5 without. */
  readonly pssSaltLength?: number;
  /** The hash that makes the mask of PSS. @default that of the message */
  readonly pssMaskHash?: SignatureHash;
}

const HASHES: Readonly<Record<SignatureHash, (bytes: Uint8Array) => Uint8Array>> = {
  "MD5": md5,
  "SHA-1": sha1,
  "SHA-224": sha224,
  "SHA-256": sha256,
  "SHA-384": sha384,
  "SHA-512": sha512,
};

type RsaPublicKey = Extract<PublicKeyParts, { readonly type: "rsa" }>;

/**
 * Whether an RSA signature is that of a message, for hashes and exponents that WebCrypto lacks (RFC 8017
 * sections 8.1.2 and 8.2.2).
 *
 * @param key The public key.
 * @param message What was signed.
 * @param signature As long as the modulus, big-endian.
 * @param padding Hash and padding.
 */
export function isRsaSignature(
  key: RsaPublicKey,
  message: Uint8Array,
  signature: Uint8Array,
  padding: RsaPadding,
): boolean {
  const { modulus, exponent, bits } = key;
  const [n, s] = [decodeBigInteger(modulus), decodeBigInteger(signature)];
  if (signature.length !== modulus.length || n === 0n || s >= n) return false;
  const padded = encodeBigInteger(powerModulo(s, decodeBigInteger(exponent), n), modulus.length);
  const { hash, pssSaltLength: saltLength, pssMaskHash: maskHash = hash } = padding;
  if (saltLength !== undefined) {
    return isPssPadded(padded, message, { bits: bits - 1, saltLength, hash, maskHash });
  }
  return equalBytes(padded, pkcs1Padded(message, modulus.length, hash));
}

/** EMSA-PKCS1-v1_5 (RFC 8017 section 9.2); empty when it does not fit. */
function pkcs1Padded(message: Uint8Array, length: number, hash: SignatureHash): Bytes {
  const algorithm = derSequence(derOid(HASH_OIDS[hash]), derNull());
  const info = encodeDer(derSequence(algorithm, derOctets(HASHES[hash](message))));
  const filling = length - info.length - 3;
  if (filling < 8) return new Uint8Array();
  return concat(Uint8Array.of(0, 1), new Uint8Array(filling).fill(0xFF), Uint8Array.of(0), info);
}

interface PssShape {
  /** Length of the padded message in bits. */
  readonly bits: number;
  readonly saltLength: number;
  readonly hash: SignatureHash;
  readonly maskHash: SignatureHash;
}

/** EMSA-PSS (RFC 8017 section 9.1.2). */
function isPssPadded(
  padded: Bytes,
  message: Uint8Array,
  { bits, saltLength, hash, maskHash }: PssShape,
): boolean {
  const hashed = HASHES[hash](message);
  const length = Math.ceil(bits / 8);
  const block = padded.subarray(padded.length - length);
  const maskedLength = length - hashed.length - 1;
  const zeros = maskedLength - saltLength - 1;
  const topBits = 0xFF >> (8 * length - bits);
  const isShaped = zeros >= 0 && block.at(-1) === 0xBC && (block[0]! & ~topBits) === 0 &&
    padded.subarray(0, -length).every((byte) => byte === 0);
  if (!isShaped) return false;
  const proof = block.subarray(maskedLength, -1);
  const mask = maskOf(proof, maskedLength, maskHash);
  const content = block.subarray(0, maskedLength).map((byte, at) => byte ^ mask[at]!);
  content[0]! &= topBits;
  if (content[zeros] !== 1 || content.subarray(0, zeros).some((byte) => byte !== 0)) return false;
  const salt = content.subarray(zeros + 1);
  return equalBytes(HASHES[hash](concat(new Uint8Array(8), hashed, salt)), proof);
}

/** MGF1 (RFC 8017 appendix B.2.1). */
function maskOf(seed: Uint8Array, length: number, hash: SignatureHash): Bytes {
  const size = HASHES[hash](seed).length;
  const parts = Array.from(
    { length: Math.ceil(length / size) },
    (_, counter) => HASHES[hash](concat(seed, Uint8Array.of(0, 0, counter >> 8, counter))),
  );
  return concat(...parts).subarray(0, length);
}

/** Bases that are tried; each fails for half of all keys. */
const MOST_BASES = 64;

/**
 * The whole RSA key of which the DS peripheral keeps only two numbers.
 *
 * @param numbers Unsigned, big-endian.
 * @returns RSAPrivateKey (RFC 8017 appendix A.1.2), DER. Secret.
 * @throws {SecureCertError} `ERR_KEY` when the numbers are not of a key with two primes.
 */
export function completeRsaKey(numbers: {
  readonly modulus: Uint8Array;
  readonly publicExponent: Uint8Array;
  readonly privateExponent: Uint8Array;
}): Bytes {
  const [n, e, d] = [numbers.modulus, numbers.publicExponent, numbers.privateExponent]
    .map(decodeBigInteger) as [bigint, bigint, bigint];
  const isKey = e > 1n && e < n && d > 1n && d < n;
  const factors = isKey ? findPrimes(n, e * d - 1n) : undefined;
  if (factors === undefined) {
    const message = "Cannot complete RSA key: modulus and exponents do not belong together";
    throw new SecureCertError("ERR_KEY", message);
  }
  const [p, q] = factors;
  const parts = [n, e, d, p, q, d % (p - 1n), d % (q - 1n), inverseModulo(q, p)!];
  return encodeDer(derSequence(derInteger(0), ...parts.map((each) => derUnsigned(bytesOf(each)))));
}

/**
 * The primes of a modulus, the larger first.
 *
 * @param n The modulus.
 * @param multiple e · d − 1, a multiple of lcm(p − 1, q − 1).
 */
function findPrimes(n: bigint, multiple: bigint): readonly [bigint, bigint] | undefined {
  return primesByFraction(n, multiple) ?? primesByPowers(n, multiple);
}

/**
 * With a public exponent of a usual size this takes less than a millisecond. There are small numbers with
 * multiple = φ · k / g, where φ = (p − 1) · (q − 1) is n but for the lower half of its bits. So k / g is one
 * of the first convergents of the continued fraction of multiple / n, and φ gives p + q.
 */
function primesByFraction(n: bigint, multiple: bigint): readonly [bigint, bigint] | undefined {
  const most = BigInt(bitLength(n)) >> 2n;
  let [above, below] = [multiple, n];
  let [k, lastK, g, lastG] = [1n, 0n, 0n, 1n];
  while (below > 0n && g >> most === 0n) {
    const whole = above / below;
    [above, below] = [below, above - whole * below];
    [k, lastK] = [whole * k + lastK, k];
    [g, lastG] = [whole * g + lastG, g];
    if (k > 0n && multiple * g % k === 0n) {
      const primes = primesOfSum(n, n + 1n - multiple * g / k);
      if (primes !== undefined) return primes;
    }
  }
  return undefined;
}

/** The two numbers with a product and a sum. */
function primesOfSum(product: bigint, sum: bigint): readonly [bigint, bigint] | undefined {
  const square = sum * sum - 4n * product;
  if (sum <= 0n || square < 0n) return undefined;
  const difference = squareRoot(square);
  const [p, q] = [(sum + difference) / 2n, (sum - difference) / 2n];
  return q > 1n && p * q === product ? [p, q] : undefined;
}

/**
 * For public exponents of any size: 1 has square roots modulo n besides 1 and n − 1, and what is one less
 * than such a root has one of the primes in it (NIST SP 800-56B appendix C). It may take a second.
 */
function primesByPowers(n: bigint, multiple: bigint): readonly [bigint, bigint] | undefined {
  if ((n & 1n) === 0n || powerModulo(2n, multiple, n) !== 1n) return undefined;
  let odd = multiple;
  let halvings = 0;
  for (; (odd & 1n) === 0n; halvings++) odd >>= 1n;
  for (let base = 2n; base < 2n + BigInt(MOST_BASES); base++) {
    const factor = factorByBase(n, powerModulo(base, odd, n), halvings);
    if (factor === undefined) continue;
    const other = n / factor;
    if (factor * other === n) return factor > other ? [factor, other] : [other, factor];
  }
  return undefined;
}

function factorByBase(n: bigint, power: bigint, halvings: number): bigint | undefined {
  for (let root = power; halvings > 0; halvings--) {
    const square = root * root % n;
    if (square === 1n) {
      return root === 1n || root === n - 1n ? undefined : commonDivisor(root - 1n, n);
    }
    root = square;
  }
  return undefined;
}

function commonDivisor(one: bigint, other: bigint): bigint {
  while (other > 0n) [one, other] = [other, one % other];
  return one;
}

function bytesOf(number: bigint): Bytes {
  return encodeBigInteger(number, Math.ceil(bitLength(number) / 8));
}
