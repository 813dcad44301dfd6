import { SecureCertError } from "./errors.ts";
import { type Bytes, concat } from "./pack.ts";

const ENCODER = new TextEncoder();
const UTF8 = new TextDecoder("utf-8", { fatal: true });
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** The UTF-8 bytes of a text. */
export function encodeUtf8(text: string): Bytes {
  return ENCODER.encode(text);
}

/** The text of UTF-8 bytes, or undefined when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The encodings of text files. */
type TextEncoding = "utf-8" | "utf-16le" | "utf-16be";

/** How many bytes show the encoding of a text. */
const ENCODING_SHOWS = 4;

/**
 * The encoding of a text file: UTF-16 where it begins with that byte order mark or with two ASCII
 * characters in it, as Windows writes them; else UTF-8.
 *
 * @param beginning The first {@linkcode ENCODING_SHOWS} bytes, or all of a shorter file.
 */
function encodingOf(beginning: Uint8Array): TextEncoding {
  const [first, second, third, fourth] = beginning;
  if (first === 0xFF && second === 0xFE) return "utf-16le";
  if (first === 0xFE && second === 0xFF) return "utf-16be";
  if (second === 0 && fourth === 0 && isAscii(first) && isAscii(third)) return "utf-16le";
  if (first === 0 && third === 0 && isAscii(second) && isAscii(fourth)) return "utf-16be";
  return "utf-8";
}

/** The text of UTF-16 bytes, even with unpaired surrogates; undefined where {@linkcode encodingOf} is UTF-8. */
export function decodeUtf16(bytes: Uint8Array): string | undefined {
  const encoding = encodingOf(bytes);
  return encoding === "utf-8" ? undefined : new TextDecoder(encoding).decode(bytes);
}

/**
 * The text of a file that people wrote or a spreadsheet saved: UTF-8 or UTF-16, without its byte order
 * mark; undefined for bytes that are neither.
 */
export function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * The parts of a text as its bytes come; as {@linkcode decodeText}.
 *
 * @throws {SecureCertError} `ERR_TEXT` for bytes that are neither UTF-8 nor UTF-16.
 */
export async function* decodeTextParts(
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<string> {
  let beginning: Uint8Array = new Uint8Array();
  let decoder: TextDecoder | undefined;
  const decode = (bytes: Uint8Array, stream: boolean) => {
    try {
      decoder ??= new TextDecoder(encodingOf(bytes), { fatal: true });
      return decoder.decode(bytes, { stream });
    } catch (cause) {
      const message = "Cannot decode text: it is neither UTF-8 nor UTF-16";
      throw new SecureCertError("ERR_TEXT", message, {}, { cause });
    }
  };
  for await (const part of parts) {
    if (decoder !== undefined) {
      yield decode(part, true);
      continue;
    }
    beginning = concat(beginning, part);
    if (beginning.length >= ENCODING_SHOWS) yield decode(beginning, true);
  }
  yield decode(decoder === undefined ? beginning : new Uint8Array(), false);
}

function isAscii(byte: number | undefined): boolean {
  return byte !== undefined && byte > 0 && byte < 0x80;
}

/**
 * The bytes of hexadecimal text: two digits a byte, either case, nothing else.
 *
 * @throws {SecureCertError} `ERR_TEXT` at the first wrong character, or for an odd number of digits.
 */
export function parseHex(text: string): Bytes {
  const wrong = text.search(/[^0-9A-Fa-f]/);
  if (wrong >= 0) throw badText("hex", "not a hexadecimal digit", wrong);
  if (text.length % 2 !== 0) throw badText("hex", "odd number of digits", text.length);
  return Uint8Array.fromHex(text);
}

/** Hexadecimal text in lower case. */
export function formatHex(bytes: Uint8Array): string {
  return bytes.toHex();
}

/**
 * The bytes of base64 text (RFC 4648 section 4), padded, with zero bits in the padding.
 *
 * @throws {SecureCertError} `ERR_TEXT` when the text is not canonical base64.
 */
export function parseBase64(text: string): Bytes {
  if (text.length % 4 !== 0) throw badText("base64", "length is not a multiple of 4", text.length);
  const wrong = BASE64.test(text) ? -1 : text.search(/[^A-Za-z0-9+/]/);
  if (wrong >= 0) throw badText("base64", "unexpected character", wrong);
  try {
    return Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
  } catch {
    throw badText("base64", "non-zero bits in the padding", text.length - 1);
  }
}

/** The bytes of base64url text (RFC 4648 section 5) without padding, as JSON Web Keys have it. */
export function parseBase64Url(text: string): Bytes {
  const padding = "=".repeat(-text.length & 3);
  return parseBase64(text.replaceAll("-", "+").replaceAll("_", "/") + padding);
}

/** Base64 text (RFC 4648 section 4) on one line. */
export function formatBase64(bytes: Uint8Array): string {
  return bytes.toBase64();
}

/**
 * What nearly all texts consist of: ASCII, Latin letters, punctuation, arrows and blocks. To know the
 * others takes V8 two milliseconds, a hundredth of what a command takes to start.
 */
const PLAIN = /^[\t\n\x20-\x7E\xA1-\xAC\xAE-\u024F\u2010-\u2027\u2190-\u25FF\u2713]*$/;

/**
 * A text with each character replaced that text from elsewhere must not bring to a terminal: control
 * characters other than tab and line feed, those that change the direction of text, line separators, and
 * what takes no room, in which text can hide (zero-width characters, tags, fillers, unpaired surrogates).
 */
export function replaceUnprintable(text: string, replace: (character: string) => string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(/[^\P{Cc}\t\n]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{DI}]/gu, replace);
}

/**
 * Text that moves no terminal's cursor and that reads in the order of its characters: what
 * {@linkcode replaceUnprintable} replaces becomes `\u001b`, as JSON writes it.
 */
export function printable(text: string): string {
  return replaceUnprintable(text, escapeUnits);
}

/** As {@linkcode printable}, and on one line: tabs and line feeds are escaped too. */
export function printableLine(text: string): string {
  return printable(text).replace(/[\t\n]/g, escapeUnits);
}

/** UTF-16 units, as JSON knows no others. */
function escapeUnits(character: string): string {
  return character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}

/** The longest name of a file that Linux, macOS and Windows take, in bytes. */
const LONGEST_NAME = 255;
/** So many characters of hex or base64 in a row may be a key of 128 bits or more. */
const RUN = /[A-Za-z0-9+/=_-]{32,}/g;
/** Sixteen bytes as hex, with blanks, colons or `0x` between them or without. */
const HEX_BYTES = /(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[\s:,-]*){16}/i;
const UUID = /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi;
/** What names are made of, and random text is not: a number, or words without a gap. */
const WORDS = /^(?:[A-Z]+|(?:[A-Z]?[a-z]{2,})+)?\d{0,4}$/;

/**
 * Whether a text may be a key or a password rather than a name: it has a line break, is longer than any
 * name, or has 32 characters or more of hex or base64 in a row. Paths are made of base64's characters
 * too: slashes, dashes and underscores may join words.
 */
export function mayBeSecret(text: string): boolean {
  if (/[\n\r]|-----BEGIN|PRIVATE KEY/.test(text)) return true;
  if (encodeUtf8(text).length > LONGEST_NAME) return true;
  const rest = text.replace(UUID, " ");
  return HEX_BYTES.test(rest) || (rest.match(RUN) ?? []).some(isRandom);
}

function isRandom(run: string): boolean {
  const parts = run.split(/[/_-]+/);
  if (parts.length === 1 || parts.some((part) => part.length >= 32)) return true;
  const strange = parts.filter((part) => !WORDS.test(part));
  return strange.join("").length >= 24;
}

/**
 * A file's name as a message may show it. Text instead of a name, by a slip in a command or a
 * table, may be a key: what looks like one is not shown.
 *
 * @param name What was taken for a name.
 * @returns The name on one line and {@linkcode printable}, or words in its place.
 */
export function shownName(name: string): string {
  return mayBeSecret(name) ? "(text that is not a file's name)" : printableLine(name);
}

/** A value that is wrong, as a message may quote it; what may be a key is not shown. */
export function shownValue(value: string): string {
  return mayBeSecret(value) ? "(a value that may be a secret)" : `"${printableLine(value)}"`;
}

/** Characters of a text that {@linkcode quoted} repeats. */
const MOST_QUOTED = 255;

/** A text of any length in quotation marks, such as a certificate's subject: for a message its beginning. */
export function quoted(text: string): string {
  return text.length <= MOST_QUOTED ? `"${text}"` : `"${text.slice(0, MOST_QUOTED - 1)}…"`;
}

/**
 * A word that a file has where one of a few is expected, such as a flag or a cipher, as a message may
 * repeat it; what may be a key is not shown.
 */
export function shownWord(word: string): string {
  return mayBeSecret(word) ? "(a word that may be a secret)" : printableLine(word);
}

function badText(kind: string, problem: string, offset: number): SecureCertError {
  return new SecureCertError("ERR_TEXT", `Cannot decode ${kind}: ${problem} at ${offset}`, {
    offset,
  });
}
