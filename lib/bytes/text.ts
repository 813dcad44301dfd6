import { SecureCertError } from "./errors.ts";
import type { Bytes } from "./pack.ts";

const ENCODER = new TextEncoder();
const UTF8 = new TextDecoder("utf-8", { fatal: true });
const LONGEST_NAME = 200;
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

/** Control characters other than tab and line feed, and those that change the direction of text. */
export const UNPRINTABLE = /[^\P{Cc}\t\n]|[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;

/**
 * Text that moves no terminal's cursor and that reads in the order of its characters: what is
 * {@linkcode UNPRINTABLE} becomes `\u001b`, as JSON writes it.
 */
export function printable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * A file's name as a message may show it. Text in the place of a name, by a slip in a command or a
 * table, may be a key: what looks like one is not shown.
 *
 * @param name What was taken for a name.
 * @returns The name on one line and {@linkcode printable}, or words in its place.
 */
export function shownName(name: string): string {
  const isKey =
    /-----BEGIN|PRIVATE KEY|^[0-9A-Fa-f\s]{32,}$|^[A-Za-z0-9+/\s]{40,}={1,2}\s*$|^[A-Za-z0-9+]{43,}$/;
  if (isKey.test(name) || name.length > LONGEST_NAME && /[\n\r]/.test(name)) {
    return "(text that is not a file's name)";
  }
  return printable(name).replaceAll("\n", "\\n");
}

function badText(kind: string, problem: string, offset: number): SecureCertError {
  return new SecureCertError("ERR_TEXT", `Cannot decode ${kind}: ${problem} at ${offset}`, {
    offset,
  });
}
