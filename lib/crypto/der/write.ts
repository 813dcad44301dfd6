// Written here and not by asn1js, which takes a hundred times as long: certificates are made by the
// hundred thousand.

import type { Bytes } from "../../bytes/pack.ts";

/** Class and form bits of an identifier octet (X.690 section 8.1.2). */
const CONSTRUCTED = 0x20;
const CONTEXT = 0x80;

const oids = new Map<string, Bytes>();

/**
 * One element: identifier octet, definite length (X.690 section 8.1.3), contents.
 *
 * @param identifier The identifier octet: class, form and a tag number below 31.
 * @param parts The contents.
 */
export function derElement(identifier: number, ...parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const digits = length < 0x80 ? 0 : Math.ceil((32 - Math.clz32(length)) / 8);
  let at = 2 + digits;
  const element = new Uint8Array(at + length);
  element[0] = identifier;
  element[1] = digits === 0 ? length : 0x80 | digits;
  for (let byte = 0; byte < digits; byte++) element[1 + digits - byte] = length >>> 8 * byte;
  for (const part of parts) {
    element.set(part, at);
    at += part.length;
  }
  return element;
}

/** SEQUENCE of elements that are DER already. */
export function derSequence(...parts: readonly Uint8Array[]): Bytes {
  return derElement(0x30, ...parts);
}

/** SET OF elements that are DER already, which the caller has sorted. */
export function derSet(...parts: readonly Uint8Array[]): Bytes {
  return derElement(0x31, ...parts);
}

/** A context-specific constructed element `[tag]` around DER elements. */
export function derContext(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  return derElement(CONTEXT | CONSTRUCTED | tag, ...parts);
}

/** A context-specific primitive element `[tag]`. */
export function derPrimitive(tag: number, bytes: Uint8Array): Bytes {
  return derElement(CONTEXT | tag, bytes);
}

/** INTEGER of a number from 0 to 127. */
export function derInteger(value: number): Bytes {
  if (!(Number.isInteger(value) && value >= 0 && value < 0x80)) {
    throw new RangeError(`Cannot encode INTEGER: ${value} is not 0 to 127`);
  }
  return new Uint8Array([2, 1, value]);
}

/** INTEGER of an unsigned big-endian number, in as few bytes as it needs. */
export function derUnsigned(number: Uint8Array): Bytes {
  let first = 0;
  while (first < number.length - 1 && number[first] === 0) first++;
  const digits = number.subarray(first);
  return digits[0]! >= 0x80 ? derElement(2, new Uint8Array(1), digits) : derElement(2, digits);
}

/** OCTET STRING. */
export function derOctets(bytes: Uint8Array): Bytes {
  return derElement(4, bytes);
}

/** BIT STRING of whole bytes. */
export function derBits(bytes: Uint8Array): Bytes {
  return derElement(3, new Uint8Array(1), bytes);
}

/** NULL. */
export function derNull(): Bytes {
  return new Uint8Array([5, 0]);
}

/** BOOLEAN true. */
export function derTrue(): Bytes {
  return new Uint8Array([1, 1, 0xFF]);
}

/** OBJECT IDENTIFIER of a dotted form (X.690 section 8.19). */
export function derOid(oid: string): Bytes {
  const known = oids.get(oid);
  if (known !== undefined) return known.slice();
  const [first = 0n, second = 0n, ...rest] = oid.split(".").map(BigInt);
  const encoded = derElement(6, new Uint8Array([first * 40n + second, ...rest].flatMap(base128)));
  // Names may bring any number of identifiers with them; the few that matter come first.
  if (oids.size < 64) oids.set(oid, encoded);
  return encoded.slice();
}

function base128(arc: bigint): number[] {
  const digits = [Number(arc & 0x7Fn)];
  for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) digits.unshift(Number(rest & 0x7Fn) | 0x80);
  return digits;
}
