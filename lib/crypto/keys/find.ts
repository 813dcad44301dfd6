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

/** Reads one byte after the other of a key that may be text. */
interface KeyReader {
  /** Goes to an offset; the offsets only grow. */
  from(at: number): KeyReader;
  /** The next byte, -1 after the last. */
  next(): number;
  /** Leaves some bytes out. */
  skip(count: number): void;
  /** How many more there are; of text with line breaks a few more than there are. */
  rest(): number;
}

/** Where a byte that may be the first of a key leads. */
const START = { none: 0, der: 1, base64: 2, hex: 3 } as const;
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
  for (let at = from; at < end; at++) {
    const start = STARTS[bytes[at]!]!;
    if (start === START.none) continue;
    const next = at + 1 < end ? bytes[at + 1]! : 0;
    if (start === START.der) {
      if (!mayBeDer(bytes, at, next)) continue;
      der ??= derReader(bytes, end);
      if (holdsKey(der.from(at))) return { at, form: "DER" };
    } else if (start === START.hex) {
      if (next !== 0x30) continue;
      hex ??= textReader(bytes, end, HEX, 4);
      if (holdsKey(hex.from(at))) return { at, form: "hex" };
    } else if (mayBeBase64(bytes, at, next)) {
      base64 ??= textReader(bytes, end, BASE64, 6);
      if (holdsEncodedKey(bytes[at]!, base64.from(at))) return { at, form: "base64" };
    }
  }
  return undefined;
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
  // "M" begins base64 of a SEQUENCE, "L" that of PEM, "b" that of an OpenSSH key; "30" is a SEQUENCE in hex.
  for (const letter of "MLb") table[letter.charCodeAt(0)] = START.base64;
  table["3".charCodeAt(0)] = START.hex;
  return table;
}

/** Whether an INTEGER, the version, follows the length; most of what is no key ends here. */
function mayBeDer(bytes: Uint8Array, at: number, length: number): boolean {
  return bytes[at + 2 + (length < 0x80 ? 0 : length & 0x7F)] === TAG.integer;
}

/** Whether the second character, a NUL apart in UTF-16, is one that follows the first. */
function mayBeBase64(bytes: Uint8Array, at: number, next: number): boolean {
  const second = next === 0 ? bytes[at + 2] : next;
  switch (bytes[at]) {
    case 0x4D: // a length of 0x20 to 0x8F
      return second !== undefined && second >= 0x43 && second <= 0x49;
    case 0x4C: // "LS0t", "---"
      return second === 0x53;
    default: // "b3Bl", "ope"
      return second === 0x33;
  }
}

function holdsEncodedKey(first: number, reader: KeyReader): boolean {
  if (first === 0x4D) return holdsKey(reader);
  if (first === 0x4C) return holdsPem(reader);
  return OPENSSH.every((byte) => reader.next() === byte) && reader.rest() >= OPENSSH.length;
}

/** PEM of a private key that is not encrypted, as far as its first lines show. */
function holdsPem(reader: KeyReader): boolean {
  if (!PEM_BEGIN.every((byte) => reader.next() === byte)) return false;
  let head = "";
  for (let count = 0; count < PEM_HEAD; count++) {
    const byte = reader.next();
    if (byte < 0) return false;
    head += String.fromCharCode(byte);
  }
  return /^(?!ENCRYPTED)[A-Z0-9 ]*PRIVATE KEY-----/.test(head) && !head.includes("ENCRYPTED");
}

/** PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) and SEC1 (RFC 5915) all begin with a version. */
function holdsKey(reader: KeyReader): boolean {
  if (reader.next() !== TAG.sequence) return false;
  const length = readLength(reader);
  if (length < SCALAR.least) return false;
  const version = readVersion(reader);
  if (version < 0) return false;
  const tag = reader.next();
  if (tag === TAG.integer) return holdsPkcs1(reader, length);
  if (tag === TAG.sequence) return holdsPkcs8(reader);
  return tag === TAG.octetString && version === 1 && holdsSec1(reader, length);
}

function holdsPkcs1(reader: KeyReader, length: number): boolean {
  const modulus = readLength(reader);
  if (modulus < MODULUS.least || modulus > MODULUS.most || length < 2 * modulus) return false;
  const first = reader.next();
  // Positive, in as few bytes as it needs.
  const isModulus = first === 0 ? reader.next() >= 0x80 : first > 0 && first < 0x80;
  return isModulus && reader.rest() >= modulus + Math.floor(modulus / 2);
}

function holdsSec1(reader: KeyReader, length: number): boolean {
  const scalar = readLength(reader);
  if (scalar < SCALAR.least || scalar > SCALAR.most || reader.rest() < scalar) return false;
  reader.skip(scalar);
  // Version 3, scalar 2, then nothing, the curve [0] or the point [1].
  const isLast = length <= 3 + 2 + scalar + 1;
  const next = isLast ? -1 : reader.next();
  return next < 0 || next === 0xA0 || next === 0xA1;
}

function holdsPkcs8(reader: KeyReader): boolean {
  const algorithm = readLength(reader);
  if (algorithm < 2 || algorithm > MOST_ALGORITHM || reader.next() !== TAG.oid) return false;
  reader.skip(algorithm - 1);
  if (reader.next() !== TAG.octetString) return false;
  const length = readLength(reader);
  if (length < SCALAR.least) return false;
  // Of an Ed25519 key, which is an OCTET STRING here, all must be there.
  if (reader.next() !== TAG.sequence) return reader.rest() >= length - 1;
  const inner = readLength(reader);
  if (readVersion(reader) < 0) return false;
  const tag = reader.next();
  if (tag === TAG.integer) return holdsPkcs1(reader, inner);
  return tag === TAG.octetString && holdsSec1(reader, inner);
}

/** A definite length, however many bytes it takes; -1 for anything else. */
function readLength(reader: KeyReader): number {
  const first = reader.next();
  if (first < 0x80) return first;
  const count = first & 0x7F;
  if (count === 0 || count > MAX_LENGTH_BYTES) return -1;
  let length = 0;
  for (let at = 0; at < count; at++) {
    const byte = reader.next();
    if (byte < 0) return -1;
    length = length * 256 + byte;
  }
  return length;
}

/** The version of a key, 0 or 1; -1 for anything else. */
function readVersion(reader: KeyReader): number {
  if (reader.next() !== TAG.integer) return -1;
  const length = readLength(reader);
  if (length < 1 || length > MAX_LENGTH_BYTES) return -1;
  for (let at = 1; at < length; at++) if (reader.next() !== 0) return -1;
  const version = reader.next();
  return version === 0 || version === 1 ? version : -1;
}

function derReader(bytes: Uint8Array, end: number): KeyReader {
  let at = 0;
  const reader: KeyReader = {
    from: (start) => {
      at = start;
      return reader;
    },
    next: () => at < end ? bytes[at++]! : -1,
    skip: (count) => {
      at += count;
    },
    rest: () => Math.max(0, end - at),
  };
  return reader;
}

const BLANK = 0x40;
const OTHER = 0x41;
/** The value of each character of base64 and base64url, {@linkcode BLANK} or {@linkcode OTHER}. */
const BASE64 = alphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", {
  "-": 62,
  "_": 63,
});
const HEX = alphabet("0123456789abcdef", {
  ...Object.fromEntries([..."ABCDEF"].map((digit, at) => [digit, 10 + at])),
  // As `openssl x509 -text` and hex dumps separate bytes.
  ":": BLANK,
});

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

/** Reads bytes that are written as text of an alphabet, with so many bits in a character. */
function textReader(
  bytes: Uint8Array,
  end: number,
  table: Uint8Array,
  width: 4 | 6,
): KeyReader {
  // Four characters of base64 are three bytes, two of hex one.
  const [characters, group] = width === 6 ? [4, 3] : [2, 1];
  const lineEnd = endOf((at) => at < end && table[bytes[at]!]! < BLANK);
  const runEnd = endOf((at) => at < end && isInRun(bytes, at, table));
  let [at, held, bits] = [0, 0, 0];

  /** The next character that is no blank, by its value; a line break may be `\n`, as in JSON, or `\\n`. */
  function digit(): number {
    for (let blanks = 0; blanks <= MOST_BLANKS && at < end; blanks++) {
      const byte = bytes[at++]!;
      if (byte === BACKSLASH) {
        while (bytes[at] === BACKSLASH) at++;
        if (LINE_BREAKS.has(bytes[at]!)) at++;
        continue;
      }
      const value = table[byte]!;
      if (value !== BLANK) return value === OTHER ? -1 : value;
    }
    return -1;
  }

  function next(): number {
    while (bits < 8) {
      const value = digit();
      if (value < 0) return -1;
      held = (held << width | value) & 0xFFFF;
      bits += width;
    }
    bits -= 8;
    return held >> bits & 0xFF;
  }

  /** Without looking at the characters where no blank is among them. */
  function skip(count: number): void {
    let left = count;
    for (; left > 0 && bits > 0; left--) if (next() < 0) return;
    const groups = Math.floor(left / group);
    if (at + groups * characters <= lineEnd(at)) {
      at += groups * characters;
      left -= groups * group;
    }
    for (; left > 0; left--) if (next() < 0) return;
  }

  function rest(): number {
    const count = Math.max(0, runEnd(at) - at);
    const isWide = bytes[at + 1] === 0;
    return Math.floor((isWide ? count / 2 : count) * width / 8);
  }

  const reader: KeyReader = {
    from: (start) => {
      [at, held, bits] = [start, 0, 0];
      return reader;
    },
    next,
    skip,
    rest,
  };
  return reader;
}

/** Where bytes of a kind end, from an offset on; the last answer is kept, so that none is looked for twice. */
function endOf(isOne: (at: number) => boolean): (from: number) => number {
  let [start, end] = [0, 0];
  return (from) => {
    if (from >= start && from < end) return end;
    start = from;
    for (end = from; isOne(end);) end++;
    return end;
  };
}

/** Five dashes, as before END, are no base64url. */
function isInRun(bytes: Uint8Array, at: number, table: Uint8Array): boolean {
  const byte = bytes[at]!;
  if (byte !== DASH) return byte === BACKSLASH || table[byte] !== OTHER;
  let dashes = 1;
  while (dashes < DASHES && bytes[at + dashes] === DASH) dashes++;
  return dashes < DASHES && table[byte] !== OTHER;
}
