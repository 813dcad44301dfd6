// Read and written here and not by asn1js, which takes a hundred times as long, recurses into what it
// reads and refuses what the device takes: certificates are made by the hundred thousand, and come from
// anywhere.

import { countOf, type ErrorCode, SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { formatHex } from "../bytes/text.ts";

/** Identifier octets of universal elements (X.690 section 8.1.2, X.680 section 8.6). */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0C,
  numericString: 0x12,
  printableString: 0x13,
  t61String: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1A,
  universalString: 0x1C,
  bmpString: 0x1E,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Identifier octet of a context-specific element `[number]` that holds bytes. */
export const contextTag = (number: number): number => CONTEXT | number;
/** Identifier octet of a context-specific element `[number]` that holds elements. */
export const constructedTag = (number: number): number => CONTEXT | CONSTRUCTED | number;

/** What is being read. */
interface DerSource {
  readonly bytes: Bytes;
  /** The error for what is wrong at an offset. */
  readonly error: DerErrorMaker;
}

/**
 * Makes the error for what is wrong at a place.
 *
 * @param offset Offset of what is wrong.
 * @param problem What is wrong there, without secrets: `indefinite length`.
 */
export type DerErrorMaker = (offset: number, problem: string, cause?: unknown) => unknown;

/** An element: where it is. Nothing in it has been looked at. */
export interface DerNode {
  /** The identifier octet. Tag numbers above 30 are not distinguished, as on the device. */
  readonly tag: number;
  /** Offset of the identifier octet in what is read. */
  readonly start: number;
  /** Offset of the contents. */
  readonly content: number;
  /** Offset after the contents. */
  readonly end: number;
  /** What is read. */
  readonly source: DerSource;
}

/** How far the elements within an element have been read. */
export interface DerCursor {
  /** Offset of the next element. */
  at: number;
  /** Offset after the last one. */
  readonly end: number;
  /** What is read. */
  readonly source: DerSource;
}

/** A count of unused bits, a sign byte. */
const ZERO = new Uint8Array(1);
const TRUE = Uint8Array.of(0xFF);
/** The numbers from 0 to 127, a byte each. */
const NUMBERS: Bytes = Uint8Array.from({ length: 0x80 }, (_, number) => number);

/** Class and form bits of an identifier octet (X.690 section 8.1.2). */
const CONSTRUCTED = 0x20;
const CONTEXT = 0x80;
/** As many bytes of a length the device reads (mbedTLS, `mbedtls_asn1_get_len`). */
const MAX_LENGTH_BYTES = 4;
/** An arc of 128 bits, as UUIDs have it under 2.25, takes 19 bytes. */
const MAX_ARC_BYTES = 32;

/** Characters of an object identifier that a message shows. */
const MAX_SHOWN = 64;

/**
 * The first element of some bytes, which may be followed by others: the device does not look at them.
 * Lengths may be longer than needed, which the device takes too (FORMAT: What the TLS library parses).
 *
 * @param bytes DER.
 * @param what What the bytes should be, as error messages name it.
 * @param tag Identifier octet that it must have. @default SEQUENCE
 * @param code Code of the errors of everything read in it. @default "ERR_DER"
 * @throws {SecureCertError} with the offset when the length is indefinite, has more than 4 bytes or
 * reaches past the end, or the tag is another.
 */
export function readDer(
  bytes: Uint8Array,
  what: string,
  tag: number = TAG.sequence,
  code: ErrorCode = "ERR_DER",
): DerNode {
  const error: DerErrorMaker = (offset, problem, cause) =>
    new SecureCertError(
      code,
      `Cannot decode ${what}: element at ${offset}: ${problem}`,
      { offset },
      { cause },
    );
  return nextDer(derCursor(bytes, error), tag);
}

/** A cursor before the first of some elements, for a reader that has its own errors. */
export function derCursor(bytes: Uint8Array, error: DerErrorMaker): DerCursor {
  return { at: 0, end: bytes.length, source: { bytes: bytes as Bytes, error } };
}

/** A cursor before the first of the elements in the contents of an element. */
export function enterDer(node: DerNode): DerCursor {
  return { at: node.content, end: node.end, source: node.source };
}

/**
 * The next element.
 *
 * @param cursor Moves on to the one after it.
 * @param tag Identifier octet that it must have. @default any
 * @throws {SecureCertError} as {@linkcode readDer}, and when there is no further element.
 */
export function nextDer(cursor: DerCursor, tag?: number): DerNode {
  const { at: start, end, source } = cursor;
  const { bytes } = source;
  if (start >= end) throw derError(cursor, start, `need ${tagName(tag)}, found the end`);
  const found = bytes[start]!;
  if (tag !== undefined && found !== tag) {
    throw derError(cursor, start, `need ${tagName(tag)}, found ${tagName(found)}`);
  }
  const first = start + 1 < end ? bytes[start + 1]! : 0;
  if (first === 0x80) throw derError(cursor, start, "indefinite length");
  const count = first < 0x80 ? 0 : first & 0x7F;
  if (count > MAX_LENGTH_BYTES) {
    throw derError(cursor, start, `length of ${countOf(count, "byte")}`);
  }
  const content = start + 2 + count;
  let length = count === 0 ? first : 0;
  // Four bytes may make more than 31 bits, which a shift would turn negative.
  for (let at = start + 2; at < content && at < end; at++) length = length * 256 + bytes[at]!;
  if (content + length > end) {
    throw derError(
      cursor,
      start,
      `need ${countOf(content + length - start, "byte")}, have ${end - start}`,
    );
  }
  cursor.at = content + length;
  return { tag: found, start, content, end: cursor.at, source };
}

/** The next element when it has a tag; undefined, and the cursor stays, when it has not. */
export function optionalDer(cursor: DerCursor, tag: number): DerNode | undefined {
  return cursor.at < cursor.end && cursor.source.bytes[cursor.at] === tag
    ? nextDer(cursor, tag)
    : undefined;
}

/** The elements that have not been read, to the end. */
function restOf(cursor: DerCursor): DerNode[] {
  const rest: DerNode[] = [];
  while (cursor.at < cursor.end) rest.push(nextDer(cursor));
  return rest;
}

/** The elements within an element. */
export function childrenOf(node: DerNode): DerNode[] {
  return restOf(enterDer(node));
}

/** The contents; a view of what is read. */
export function contentOf({ source, content, end }: DerNode): Bytes {
  return source.bytes.subarray(content, end);
}

/** The whole element; a view of what is read. */
export function rawOf({ source, start, end }: DerNode): Bytes {
  return source.bytes.subarray(start, end);
}

/** A cursor before the first of the elements in a BIT STRING. */
export function enterBits(node: DerNode): DerCursor {
  if (node.content === node.end) throw derError(node, node.start, "a BIT STRING of no bytes");
  return { at: node.content + 1, end: node.end, source: node.source };
}

/** The bytes of a BIT STRING without the count of unused bits; a view of what is read. */
export function bitsOf(node: DerNode): Bytes {
  const { at, end, source } = enterBits(node);
  return source.bytes.subarray(at, end);
}

/** The contents as text where each byte is ASCII, else undefined. */
export function asciiOf({ source: { bytes }, content, end }: DerNode): string | undefined {
  let text = "";
  for (let at = content; at < end; at++) {
    if (bytes[at]! >= 0x80) return undefined;
    text += String.fromCharCode(bytes[at]!);
  }
  return text;
}

/** An INTEGER as an unsigned big-endian number without leading zeros; a view of what is read. */
export function unsignedOf({ source, content, end }: DerNode): Bytes {
  let first = content;
  while (first < end - 1 && source.bytes[first] === 0) first++;
  return source.bytes.subarray(first, end);
}

/** An INTEGER as a number; infinity for one of more than 48 bits. */
export function numberOf(node: DerNode): number {
  const bytes = unsignedOf(node);
  return bytes.length > 6 ? Infinity : bytes.reduce((number, byte) => number * 256 + byte, 0);
}

/**
 * An OBJECT IDENTIFIER in dotted form (X.690 section 8.19). One that has no such form, because its last
 * arc does not end, an arc begins with zeros or has more than 224 bits, is `#` and its element in hex:
 * it is equal to no other.
 */
export function oidOf(node: DerNode): string {
  const { source: { bytes }, content, end } = node;
  if (content === end) return hexOf(node);
  let text = "";
  for (let at = content; at < end;) {
    let last = at;
    while (last < end && bytes[last]! >= 0x80) last++;
    if (last === end || bytes[at] === 0x80 || last - at >= MAX_ARC_BYTES) return hexOf(node);
    const arc = arcOf(bytes, at, last);
    text += text === "" ? firstArcs(arc) : `.${arc}`;
    at = last + 1;
  }
  return text;
}

/** An object identifier for a message: its beginning, because it may have thousands of arcs. */
export function shownOid(oid: string): string {
  return oid.length <= MAX_SHOWN ? oid : `${oid.slice(0, MAX_SHOWN - 1)}…`;
}

/** An element as `#` and its bytes in hex, as RFC 4514 section 2.4 has values without a text. */
export function hexOf(node: DerNode): string {
  return `#${formatHex(rawOf(node))}`;
}

/**
 * The error for what is wrong at a place.
 *
 * @param where An element of what is read.
 * @param offset Offset of what is wrong.
 * @param problem What is wrong with it, without secrets.
 */
export function derError(
  { source }: Pick<DerNode, "source">,
  offset: number,
  problem: string,
  cause?: unknown,
): unknown {
  return source.error(offset, problem, cause);
}

/** An element to write. It is described first, and then written with all that is in it at once. */
export interface DerElement {
  /** The identifier octet. */
  readonly identifier: number;
  /** The contents. */
  readonly parts: readonly DerPart[];
  /** Bytes of the contents. */
  readonly contents: number;
  /** Bytes of the whole element. */
  readonly length: number;
}

/** Contents of an element: bytes as they are, or an element. */
export type DerPart = Uint8Array | DerElement;

/**
 * One element: identifier octet, definite length (X.690 section 8.1.3), contents.
 *
 * @param identifier The identifier octet: class, form and a tag number below 31.
 * @param parts The contents.
 */
export function derElement(identifier: number, ...parts: readonly DerPart[]): DerElement {
  let contents = 0;
  for (const part of parts) contents += part.length;
  return { identifier, parts, contents, length: 2 + digitsOf(contents) + contents };
}

/** The bytes of an element. */
export function encodeDer(element: DerElement): Bytes {
  const bytes = new Uint8Array(element.length);
  writeElement(element, bytes, 0);
  return bytes;
}

/** Writes an element at an offset; gives the offset after it. */
function writeElement(element: DerElement, bytes: Bytes, start: number): number {
  const { identifier, parts, contents } = element;
  const digits = digitsOf(contents);
  bytes[start] = identifier;
  bytes[start + 1] = digits === 0 ? contents : 0x80 | digits;
  for (let byte = 0; byte < digits; byte++) {
    bytes[start + 1 + digits - byte] = contents >>> 8 * byte;
  }
  let at = start + 2 + digits;
  for (const part of parts) {
    if (part instanceof Uint8Array) {
      bytes.set(part, at);
      at += part.length;
    } else at = writeElement(part, bytes, at);
  }
  return at;
}

/** Bytes of a length after the first, which holds it when it is below 128. */
function digitsOf(length: number): number {
  return length < 0x80 ? 0 : Math.ceil((32 - Math.clz32(length)) / 8);
}

/** SEQUENCE of elements. */
export function derSequence(...parts: readonly DerPart[]): DerElement {
  return derElement(TAG.sequence, ...parts);
}

/** SET OF elements, which the caller has sorted. */
export function derSet(...parts: readonly DerPart[]): DerElement {
  return derElement(TAG.set, ...parts);
}

/** A context-specific constructed element `[number]` around elements. */
export function derContext(number: number, ...parts: readonly DerPart[]): DerElement {
  return derElement(constructedTag(number), ...parts);
}

/** A context-specific primitive element `[number]`. */
export function derPrimitive(number: number, bytes: Uint8Array): DerElement {
  return derElement(contextTag(number), bytes);
}

/** INTEGER of a number from 0 to 127. */
export function derInteger(value: number): DerElement {
  if (!(Number.isInteger(value) && value >= 0 && value < 0x80)) {
    throw new RangeError(`Cannot encode INTEGER: ${value} is not 0 to 127`);
  }
  return derElement(TAG.integer, NUMBERS.subarray(value, value + 1));
}

/** INTEGER of an unsigned big-endian number, in as few bytes as it needs; of no bytes, 0. */
export function derUnsigned(number: Uint8Array): DerElement {
  let first = 0;
  while (first < number.length - 1 && number[first] === 0) first++;
  const digits = number.subarray(first);
  const isSigned = digits.length === 0 || digits[0]! >= 0x80;
  return isSigned ? derElement(TAG.integer, ZERO, digits) : derElement(TAG.integer, digits);
}

/** OCTET STRING of bytes, or of an element. */
export function derOctets(part: DerPart): DerElement {
  return derElement(TAG.octetString, part);
}

/** BIT STRING of whole bytes, or of an element. */
export function derBits(part: DerPart): DerElement {
  return derElement(TAG.bitString, ZERO, part);
}

/** NULL. */
export function derNull(): DerElement {
  return derElement(TAG.null);
}

/** BOOLEAN true. */
export function derTrue(): DerElement {
  return derElement(TAG.boolean, TRUE);
}

const oids = new Map<string, Bytes>();

/** OBJECT IDENTIFIER of a dotted form (X.690 section 8.19); it is kept, so it must not be changed. */
export function derOid(oid: string): Bytes {
  const known = oids.get(oid);
  if (known !== undefined) return known;
  const [first = 0n, second = 0n, ...rest] = oid.split(".").map(BigInt);
  const arcs = new Uint8Array([first * 40n + second, ...rest].flatMap(base128));
  const encoded = encodeDer(derElement(TAG.oid, arcs));
  // Names may bring any number of identifiers with them; the few that matter come first.
  if (oids.size < 64) oids.set(oid, encoded);
  return encoded;
}

function base128(arc: bigint): number[] {
  const digits = [Number(arc & 0x7Fn)];
  for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) digits.unshift(Number(rest & 0x7Fn) | 0x80);
  return digits;
}

/** The arc from one byte to another; a number where 49 bits do, which nearly all arcs fit into. */
function arcOf(bytes: Uint8Array, first: number, last: number): number | bigint {
  if (last - first > 6) {
    return bytes.subarray(first, last + 1).reduce(
      (arc, digit) => arc << 7n | BigInt(digit & 0x7F),
      0n,
    );
  }
  let arc = 0;
  for (let at = first; at <= last; at++) arc = arc * 128 + (bytes[at]! & 0x7F);
  return arc;
}

/** The first two arcs, which share one number. */
function firstArcs(arc: number | bigint): string {
  if (arc < 80) return `${Math.floor(Number(arc) / 40)}.${Number(arc) % 40}`;
  return `2.${typeof arc === "bigint" ? arc - 80n : arc - 80}`;
}

function tagName(tag: number | undefined): string {
  if (tag === undefined) return "an element";
  const name = Object.keys(TAG).find((each) => TAG[each as keyof typeof TAG] === tag);
  const hex = `tag 0x${tag.toString(16).padStart(2, "0")}`;
  return name === undefined ? hex : `${name} (${hex})`;
}
