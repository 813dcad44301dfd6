import { countOf, SecureCertError } from "./errors.ts";

/**
 * A byte array whose buffer is an ordinary `ArrayBuffer`, as WebCrypto demands.
 *
 * @category Errors and text
 */
export type Bytes = Uint8Array<ArrayBuffer>;

/** What a decoder read, and how many bytes it took. */
export interface Decoded<T> {
  /** The value read. */
  readonly value: T;
  /** Bytes taken from the input. */
  readonly size: number;
}

/** Joins byte arrays into a new one. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** The same bytes; a copy of them where their buffer is shared with other threads. */
export function plainBytes(bytes: Uint8Array): Bytes {
  return bytes.buffer instanceof ArrayBuffer ? bytes as Bytes : new Uint8Array(bytes);
}

/** The smallest multiple of `unit` that is not below `length`. */
export function alignUp(length: number, unit: number): number {
  return Math.ceil(length / unit) * unit;
}

/** Whether two byte arrays hold the same bytes. Not for secrets: the time shows where they differ. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  if (a.buffer === b.buffer && a.byteOffset === b.byteOffset) return true;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

/** Whether every byte has this value; true for no bytes. */
export function isFilledWith(bytes: Uint8Array, value: number): boolean {
  // A flash dump has millions of bytes, for which a callback each takes ten times as long.
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== value) return false;
  return true;
}

/** A view of the bytes up to the last one that has another value. */
export function withoutTail(bytes: Uint8Array, value: number): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === value) end--;
  return bytes.subarray(0, end);
}

/** A view of exactly the bytes of the array, wherever in its buffer they are. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Whether a 32-bit word, little-endian, is at an offset. */
export function hasWord(bytes: Uint8Array, offset: number, word: number): boolean {
  return offset + 4 <= bytes.length && viewOf(bytes).getUint32(offset, true) === word;
}

/**
 * A part of the input, which must be there in full.
 *
 * @throws {SecureCertError} `ERR_TRUNCATED` with the offset, when the input ends earlier.
 */
export function take(bytes: Uint8Array, offset: number, length: number, what: string): Uint8Array {
  const have = Math.max(0, bytes.length - offset);
  if (have < length) {
    throw new SecureCertError(
      "ERR_TRUNCATED",
      `Cannot decode ${what}: need ${countOf(length, "byte")}, have ${have}`,
      { offset },
    );
  }
  return bytes.subarray(offset, offset + length);
}

/**
 * A number that a field of the format can hold.
 *
 * @param value The number.
 * @param max The largest one the field can hold.
 * @param what What it is, as the message starts, such as `Cannot encode TLV: flags`.
 * @returns The number.
 * @throws {RangeError} when it is not an integer from 0 to `max`.
 */
export function inRange(value: number, max: number, what: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new RangeError(`${what} must be 0 to ${max}, is ${value}`);
}
