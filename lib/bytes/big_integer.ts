import { countOf } from "./errors.ts";
import { formatHex, parseHex } from "./text.ts";
import type { Bytes } from "./pack.ts";

/** Up to as many bytes words are quicker than hex; their time grows with the square of the length. */
const MOST_BY_WORDS = 128;

/** The number in big-endian bytes; 0 for no bytes. */
export function decodeBigInteger(bytes: Uint8Array): bigint {
  if (bytes.length > MOST_BY_WORDS) return BigInt(`0x${formatHex(bytes)}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let value = 0n;
  let at = 0;
  for (; at < bytes.length % 8; at++) value = value << 8n | BigInt(bytes[at]!);
  for (; at < bytes.length; at += 8) value = value << 64n | view.getBigUint64(at);
  return value;
}

/**
 * A number as big-endian bytes, with zeros in front.
 *
 * @param value The number, from 0.
 * @param length Bytes to fill.
 * @returns `length` bytes.
 * @throws {RangeError} for a negative number, and one that needs more bytes.
 */
export function encodeBigInteger(value: bigint, length: number): Bytes {
  if (value < 0n || bitLength(value) > 8 * length) {
    throw new RangeError(`Cannot encode number: it does not fit ${countOf(length, "byte")}`);
  }
  return length === 0 ? new Uint8Array() : parseHex(value.toString(16).padStart(2 * length, "0"));
}

/** Bits of a number without its leading zeros; 0 for 0. */
export function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}

/**
 * The factor that turns a number into its Montgomery form: 2^(2 · bits) mod modulus, as the RSA and
 * DS peripherals take it ("r-bar").
 *
 * @param modulus The modulus, over 0.
 * @param bits Size of the key in bits, not of the peripheral's operands.
 * @returns The factor.
 * @throws {RangeError} for a modulus of 0.
 */
export function montgomeryFactor(modulus: bigint, bits: number): bigint {
  return (1n << BigInt(2 * bits)) % modulus;
}

/**
 * −modulus^(−1) mod 2^32, as the RSA and DS peripherals take it ("M prime").
 *
 * @param modulus An odd number.
 * @returns An unsigned 32-bit number.
 * @throws {RangeError} for an even modulus, which has no inverse.
 */
export function montgomeryInverse(modulus: bigint): number {
  if ((modulus & 1n) === 0n) throw new RangeError("Cannot invert an even number modulo 2^32");
  const low = BigInt.asUintN(32, modulus);
  let inverse = 1n;
  // Newton's step doubles the number of right bits: 1, 2, 4, 8, 16, 32.
  for (let step = 0; step < 5; step++) {
    inverse = BigInt.asUintN(32, inverse * (2n - low * inverse));
  }
  return Number(BigInt.asUintN(32, -inverse));
}

/** base ^ exponent mod modulus. It is not constant in time. */
export function powerModulo(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n % modulus;
  for (const bit of exponent.toString(2)) {
    result = result * result % modulus;
    if (bit === "1") result = result * base % modulus;
  }
  return result;
}

/**
 * The inverse of a number (extended Euclidean algorithm).
 *
 * @param value A number, from 0.
 * @param modulus Over 1.
 * @returns Undefined when the two have a common divisor.
 */
export function inverseModulo(value: bigint, modulus: bigint): bigint | undefined {
  let [divisor, rest] = [modulus, value % modulus];
  let [before, factor] = [0n, 1n];
  while (rest > 0n) {
    const quotient = divisor / rest;
    [divisor, rest] = [rest, divisor - quotient * rest];
    [before, factor] = [factor, before - quotient * factor];
  }
  if (divisor !== 1n) return undefined;
  return before < 0n ? before + modulus : before;
}

/** The largest number whose square is not over a number, from 0 (Newton's method). */
export function squareRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let root = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
