import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import {
  bitLength,
  decodeBigInteger,
  encodeBigInteger,
  inverseModulo,
  powerModulo,
  squareRoot,
} from "../../bytes/big_integer.ts";
import { derInteger, derSequence, derUnsigned, encodeDer } from "../der.ts";

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
