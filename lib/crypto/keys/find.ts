// Keys are recognised by their structure and never imported: an image may hold thousands, and what is cut
// short or has a wrong half is as good to an attacker as a sound key.

import { decodeBigInteger } from "../../bytes/big_integer.ts";
import { equalBytes } from "../../bytes/pack.ts";
import { childrenOf, readDer, TAG, unsignedOf } from "../der.ts";
import { CURVES } from "./curves.ts";
import { encodeEcSpki, type PrivateKey, type PublicKeyParts } from "./encoding.ts";
import { ecKeyOf, keyPartsOf } from "./keys.ts";

/** How the bytes of a key are written. */
export type KeyForm = "DER" | "base64" | "hex";

/** A private key among other bytes. */
export interface FoundKey {
  /** Where it starts, in bytes; of PEM, where its base64 starts. */
  readonly at: number;
  /** How it is written; PEM is base64. */
  readonly form: KeyForm;
}

/** How a key is written as text. */
interface TextForm {
  /** The value of each character; {@linkcode BLANK} or {@linkcode OTHER} for what is none. */
  readonly values: Uint8Array;
  /** Bits in a character. */
  readonly width: 4 | 6;
  /** As many characters as give whole bytes, and how many bytes those are. */
  readonly characters: number;
  readonly bytes: number;
}

/**
 * Where a key is read that may be text: a plain object that changes. Functions that are made for each
 * search would be compiled for each.
 */
interface KeyReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  /** Absent for DER. */
  readonly form: TextForm | undefined;
  at: number;
  /** Bits of text that are read and not yet given. */
  held: number;
  bits: number;
  /** What {@linkcode endOfLine} and {@linkcode endOfRun} found last: none is looked for twice. */
  readonly line: Stretch;
  readonly run: Stretch;
}

/** Bytes of a kind, from an offset to another. */
interface Stretch {
  start: number;
  end: number;
}

/** Where a byte that may be the first of a key leads. */
const START = { none: 0, der: 1, text: 2 } as const;
/** "3", of "30". */
const HEX_START = 0x33;
const STARTS = startTable();
/** RSA moduli in bytes, 512 to 16384 bits with a sign byte. */
const MODULUS = { least: 64, most: 2049 } as const;
/** EC scalars in bytes: of curves of 128 bits to P-521, with a sign byte that some writers add. */
const SCALAR = { least: 16, most: 67 } as const;
/** An AlgorithmIdentifier in bytes: explicit parameters of P-521 take 460. */
const MOST_ALGORITHM = 512;
/** Line breaks and indentation between two characters of base64 or hex. */
const MOST_BLANKS = 80;
const MAX_LENGTH_BYTES = 4;
/** What an OpenSSH key begins with that has no password: its name, a NUL, "none" after its length. */
const OPENSSH = new TextEncoder().encode("openssh-key-v1\0\0\0\0\x04none");
const PEM_BEGIN = new TextEncoder().encode("-----BEGIN ");
/** The longest label and the first header of a PEM block. */
const PEM_HEAD = 80;

/**
 * The first private key among some bytes: PKCS#8, PKCS#1 or SEC1, as DER, base64 (PEM, with or without
 * its lines, in UTF-8 or UTF-16; base64url; base64 of PEM) or hex; OpenSSH as base64. It may be cut short
 * as long as the scalar, or half of the private exponent, is there. Keys that are encrypted, public keys and
 * certificates do not count. Takes time linear in the number of bytes.
 *
 * @param bytes Any bytes.
 * @param from Where to begin.
 * @param end Where to stop: of a key that starts before it, nothing after it counts.
 */
export function findPrivateKey(
  bytes: Uint8Array,
  from = 0,
  end = bytes.length,
): FoundKey | undefined {
  if (end - from < SCALAR.least) return undefined;
  // Most bytes hold nothing that begins like a key, and do not need these readers.
  let der: KeyReader | undefined;
  let base64: KeyReader | undefined;
  let hex: KeyReader | undefined;
  for (let at = nextStart(bytes, from, end); at < end; at = nextStart(bytes, at + 1, end)) {
    const first = bytes[at]!;
    if (first === TAG.sequence) {
      der ??= createReader(bytes, end);
      if (holdsKey(readFrom(der, at))) return { at, form: "DER" };
    } else if (first === HEX_START) {
      hex ??= createReader(bytes, end, HEX);
      if (holdsKey(readFrom(hex, at))) return { at, form: "hex" };
    } else {
      base64 ??= createReader(bytes, end, BASE64);
      if (holdsEncodedKey(first, readFrom(base64, at))) return { at, form: "base64" };
    }
  }
  return undefined;
}

/** Where the next key may begin; the end where none does. */
function nextStart(bytes: Uint8Array, from: number, end: number): number {
  for (let at = from; at < end; at++) {
    const start = STARTS[bytes[at]!]!;
    if (start === START.none) continue;
    if (start === START.der ? mayBeDer(bytes, at, end) : mayBeText(bytes, at, end)) return at;
  }
  return end;
}

/** Bytes of a number that alone gives the private key away: of an EC scalar, of an RSA prime. */
export function secretSize(key: PublicKeyParts): number {
  return key.type === "ec" ? CURVES[key.curve].size : Math.ceil(key.bits / 16);
}

/**
 * Whether some bytes, in either order, are the private scalar of a public key on a curve, or a prime of
 * an RSA modulus. Costs two public-key operations on a curve.
 *
 * @param bytes As many as {@linkcode secretSize} says.
 * @param key The public key.
 */
export async function isSecretOf(bytes: Uint8Array, key: PublicKeyParts): Promise<boolean> {
  for (const number of [bytes.slice(), bytes.slice().reverse()]) {
    if (key.type === "rsa") {
      const prime = decodeBigInteger(number);
      if (prime > 1n && decodeBigInteger(key.modulus) % prime === 0n) return true;
    } else {
      const own = await ecKeyOf(key.curve, number);
      if (own && equalBytes(own.publicKey, encodeEcSpki(key.curve, key.point))) return true;
    }
  }
  return false;
}

/** The numbers that alone give a private key away, big-endian: d; of an RSA key also its primes. */
export function secretNumbers(key: PrivateKey): Uint8Array[] {
  const parts = keyPartsOf(key);
  if (parts.type === "ec") return [parts.scalar];
  const [, , , , p, q] = childrenOf(readDer(parts.pkcs1, "private key")).map(unsignedOf);
  return [parts.privateExponent, p!, q!];
}

/** Where some bytes are among others; -1 for nowhere. */
export function indexOfBytes(bytes: Uint8Array, wanted: Uint8Array): number {
  const last = bytes.length - wanted.length;
  for (let at = bytes.indexOf(wanted[0]!); at >= 0; at = bytes.indexOf(wanted[0]!, at + 1)) {
    if (at > last) return -1;
    let same = 1;
    while (same < wanted.length && bytes[at + same] === wanted[same]) same++;
    if (same === wanted.length) return at;
  }
  return -1;
}

function startTable(): Uint8Array {
  const table = new Uint8Array(0x100);
  table[TAG.sequence] = START.der;
  for (const letter of "MLb3") table[letter.charCodeAt(0)] = START.text;
  return table;
}

/** Whether an INTEGER, the version, follows the length; most of what is no key ends here. */
function mayBeDer(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + 1 >= end) return false;
  const length = bytes[at + 1]!;
  const version = at + 2 + (length < 0x80 ? 0 : length & 0x7F);
  return version < end && bytes[version] === TAG.integer;
}

/** Whether the second character, a NUL apart in UTF-16, is one that follows the first. */
function mayBeText(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + 2 >= end) return false;
  const next = bytes[at + 1]!;
  const first = bytes[at];
  if (first === HEX_START) return next === 0x30;
  const second = next === 0 ? bytes[at + 2]! : next;
  switch (first) {
    case 0x4D: // base64 of a SEQUENCE, with a length of 0x20 to 0x8F
      return second >= 0x43 && second <= 0x49;
    case 0x4C: // "LS0t", "---", of PEM
      return second === 0x53;
    default: // "b3Bl", "ope", of an OpenSSH key
      return second === 0x33;
  }
}

function holdsEncodedKey(first: number, reader: KeyReader): boolean {
  if (first === 0x4D) return holdsKey(reader);
  if (first === 0x4C) return holdsPem(reader);
  return OPENSSH.every((byte) => nextByte(reader) === byte) && restOf(reader) >= OPENSSH.length;
}

/** PEM of a private key that is not encrypted, as far as its first lines show. */
function holdsPem(reader: KeyReader): boolean {
  if (!PEM_BEGIN.every((byte) => nextByte(reader) === byte)) return false;
  let head = "";
  for (let count = 0; count < PEM_HEAD; count++) {
    const byte = nextByte(reader);
    if (byte < 0) return false;
    head += String.fromCharCode(byte);
  }
  return /^(?!ENCRYPTED)[A-Z0-9 ]*PRIVATE KEY-----/.test(head) && !head.includes("ENCRYPTED");
}

/** PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) and SEC1 (RFC 5915) all begin with a version. */
function holdsKey(reader: KeyReader): boolean {
  if (nextByte(reader) !== TAG.sequence) return false;
  const length = readLength(reader);
  if (length < SCALAR.least) return false;
  const version = readVersion(reader);
  if (version < 0) return false;
  const tag = nextByte(reader);
  if (tag === TAG.integer) return holdsPkcs1(reader, length);
  if (tag === TAG.sequence) return holdsPkcs8(reader);
  return tag === TAG.octetString && version === 1 && holdsSec1(reader, length);
}

function holdsPkcs1(reader: KeyReader, length: number): boolean {
  const modulus = readLength(reader);
  if (modulus < MODULUS.least || modulus > MODULUS.most || length < 2 * modulus) return false;
  const first = nextByte(reader);
  // Positive, in as few bytes as it needs.
  const isModulus = first === 0 ? nextByte(reader) >= 0x80 : first > 0 && first < 0x80;
  return isModulus && restOf(reader) >= modulus + Math.floor(modulus / 2);
}

function holdsSec1(reader: KeyReader, length: number): boolean {
  const scalar = readLength(reader);
  if (scalar < SCALAR.least || scalar > SCALAR.most || restOf(reader) < scalar) return false;
  skipBytes(reader, scalar);
  // Version 3, scalar 2, then nothing, the curve [0] or the point [1].
  const isLast = length <= 3 + 2 + scalar + 1;
  const next = isLast ? -1 : nextByte(reader);
  return next < 0 || next === 0xA0 || next === 0xA1;
}

function holdsPkcs8(reader: KeyReader): boolean {
  const algorithm = readLength(reader);
  if (algorithm < 2 || algorithm > MOST_ALGORITHM || nextByte(reader) !== TAG.oid) return false;
  skipBytes(reader, algorithm - 1);
  if (nextByte(reader) !== TAG.octetString) return false;
  const length = readLength(reader);
  if (length < SCALAR.least) return false;
  // Of an Ed25519 key, which is an OCTET STRING here, all must be there.
  if (nextByte(reader) !== TAG.sequence) return restOf(reader) >= length - 1;
  const inner = readLength(reader);
  if (readVersion(reader) < 0) return false;
  const tag = nextByte(reader);
  if (tag === TAG.integer) return holdsPkcs1(reader, inner);
  return tag === TAG.octetString && holdsSec1(reader, inner);
}

/** A definite length, however many bytes it takes; -1 for anything else. */
function readLength(reader: KeyReader): number {
  const first = nextByte(reader);
  if (first < 0x80) return first;
  const count = first & 0x7F;
  if (count === 0 || count > MAX_LENGTH_BYTES) return -1;
  let length = 0;
  for (let at = 0; at < count; at++) {
    const byte = nextByte(reader);
    if (byte < 0) return -1;
    length = length * 256 + byte;
  }
  return length;
}

/** The version of a key, 0 or 1; -1 for anything else. */
function readVersion(reader: KeyReader): number {
  if (nextByte(reader) !== TAG.integer) return -1;
  const length = readLength(reader);
  if (length < 1 || length > MAX_LENGTH_BYTES) return -1;
  for (let at = 1; at < length; at++) if (nextByte(reader) !== 0) return -1;
  const version = nextByte(reader);
  return version === 0 || version === 1 ? version : -1;
}

const BLANK = 0x40;
const OTHER = 0x41;
/** Base64 and base64url. */
const BASE64: TextForm = {
  values: alphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", {
    "-": 62,
    "_": 63,
  }),
  width: 6,
  characters: 4,
  bytes: 3,
};
const HEX: TextForm = {
  values: alphabet("0123456789abcdef", {
    ...Object.fromEntries([..."ABCDEF"].map((digit, at) => [digit, 10 + at])),
    // As `openssl x509 -text` and hex dumps separate bytes.
    ":": BLANK,
  }),
  width: 4,
  characters: 2,
  bytes: 1,
};

function alphabet(characters: string, others: Readonly<Record<string, number>>): Uint8Array {
  const table = new Uint8Array(0x100).fill(OTHER);
  // A NUL is every second byte of UTF-16.
  for (const blank of "\n\r\t \0") table[blank.charCodeAt(0)] = BLANK;
  for (let at = 0; at < characters.length; at++) table[characters.charCodeAt(at)] = at;
  for (const [character, value] of Object.entries(others)) table[character.charCodeAt(0)] = value;
  return table;
}

const BACKSLASH = 0x5C;
/** "n", "r", "t" after a backslash; any other character, such as the "/" of JSON, is itself. */
const LINE_BREAKS: ReadonlySet<number> = new Set([0x6E, 0x72, 0x74]);
const DASH = 0x2D;
const DASHES = 5;

function createReader(bytes: Uint8Array, end: number, form?: TextForm): KeyReader {
  const [line, run] = [{ start: 0, end: 0 }, { start: 0, end: 0 }];
  return { bytes, end, form, at: 0, held: 0, bits: 0, line, run };
}

/** Goes to an offset; the offsets only grow. */
function readFrom(reader: KeyReader, at: number): KeyReader {
  reader.at = at;
  reader.held = 0;
  reader.bits = 0;
  return reader;
}

/** The next byte, -1 after the last. */
function nextByte(reader: KeyReader): number {
  const { bytes, end, form } = reader;
  if (form === undefined) return reader.at < end ? bytes[reader.at++]! : -1;
  while (reader.bits < 8) {
    const value = nextDigit(reader, form.values);
    if (value < 0) return -1;
    reader.held = (reader.held << form.width | value) & 0xFFFF;
    reader.bits += form.width;
  }
  reader.bits -= 8;
  return reader.held >> reader.bits & 0xFF;
}

/** The next character that is no blank, by its value; a line break may be `\n`, as in JSON, or `\\n`. */
function nextDigit(reader: KeyReader, values: Uint8Array): number {
  const { bytes, end } = reader;
  for (let blanks = 0; blanks <= MOST_BLANKS && reader.at < end; blanks++) {
    const byte = bytes[reader.at++]!;
    if (byte === BACKSLASH) {
      while (reader.at < end && bytes[reader.at] === BACKSLASH) reader.at++;
      if (reader.at < end && LINE_BREAKS.has(bytes[reader.at]!)) reader.at++;
      continue;
    }
    const value = values[byte]!;
    if (value !== BLANK) return value === OTHER ? -1 : value;
  }
  return -1;
}

/** Leaves some bytes out; without looking at the characters where no blank is among them. */
function skipBytes(reader: KeyReader, count: number): void {
  const { form } = reader;
  if (form === undefined) {
    reader.at += count;
    return;
  }
  let left = count;
  for (; left > 0 && reader.bits > 0; left--) if (nextByte(reader) < 0) return;
  const groups = Math.floor(left / form.bytes);
  if (reader.at + groups * form.characters <= endOfLine(reader, form.values)) {
    reader.at += groups * form.characters;
    left -= groups * form.bytes;
  }
  for (; left > 0; left--) if (nextByte(reader) < 0) return;
}

/** How many more bytes there are; of text with line breaks a few more than there are. */
function restOf(reader: KeyReader): number {
  const { bytes, end, form, at } = reader;
  if (form === undefined) return Math.max(0, end - at);
  const count = Math.max(0, endOfRun(reader, form.values) - at);
  const isWide = at + 1 < end && bytes[at + 1] === 0;
  return Math.floor((isWide ? count / 2 : count) * form.width / 8);
}

/** Where characters without a blank end. */
function endOfLine({ bytes, end, line, at }: KeyReader, values: Uint8Array): number {
  if (at >= line.start && at < line.end) return line.end;
  line.start = at;
  for (line.end = at; line.end < end && values[bytes[line.end]!]! < BLANK;) line.end++;
  return line.end;
}

/** Where characters and blanks end. */
function endOfRun({ bytes, end, run, at }: KeyReader, values: Uint8Array): number {
  if (at >= run.start && at < run.end) return run.end;
  run.start = at;
  for (run.end = at; run.end < end && isInRun(bytes, run.end, values);) run.end++;
  return run.end;
}

/** Five dashes, as before END, are no base64url. */
function isInRun(bytes: Uint8Array, at: number, values: Uint8Array): boolean {
  const byte = bytes[at]!;
  if (byte !== DASH) return byte === BACKSLASH || values[byte] !== OTHER;
  let dashes = 1;
  while (dashes < DASHES && bytes[at + dashes] === DASH) dashes++;
  return dashes < DASHES && values[byte] !== OTHER;
}
