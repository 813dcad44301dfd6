import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { decodeUtf8, encodeUtf8, formatHex } from "../../bytes/text.ts";
import {
  badDer,
  derElement,
  type DerNode,
  derOid,
  derSequence,
  derSet,
  readDer,
  TAG,
} from "../der/read.ts";

interface Attribute {
  readonly oid: string;
  /** Most characters (RFC 5280 appendix A.1, upper bounds). */
  readonly most: number;
  /** String type; UTF8String unless RFC 5280 or 4519 fixes another. */
  readonly type?: "printable" | "ia5";
}

const ATTRIBUTES: Readonly<Record<string, Attribute>> = {
  CN: { oid: "2.5.4.3", most: 64 },
  SN: { oid: "2.5.4.4", most: 32768 },
  SERIALNUMBER: { oid: "2.5.4.5", most: 64, type: "printable" },
  C: { oid: "2.5.4.6", most: 2, type: "printable" },
  L: { oid: "2.5.4.7", most: 128 },
  ST: { oid: "2.5.4.8", most: 128 },
  STREET: { oid: "2.5.4.9", most: 128 },
  O: { oid: "2.5.4.10", most: 64 },
  OU: { oid: "2.5.4.11", most: 64 },
  TITLE: { oid: "2.5.4.12", most: 64 },
  GN: { oid: "2.5.4.42", most: 32768 },
  DNQUALIFIER: { oid: "2.5.4.46", most: 64, type: "printable" },
  UID: { oid: "0.9.2342.19200300.100.1.1", most: 256 },
  DC: { oid: "0.9.2342.19200300.100.1.25", most: 63, type: "ia5" },
  EMAILADDRESS: { oid: "1.2.840.113549.1.9.1", most: 255, type: "ia5" },
};

/** Attribute names as they are printed; the others are printed as they stand above. */
const SPELLING: Readonly<Record<string, string>> = {
  SERIALNUMBER: "serialNumber",
  DNQUALIFIER: "dnQualifier",
  EMAILADDRESS: "emailAddress",
  TITLE: "title",
};

const KEYS: ReadonlyMap<string, string> = new Map(
  Object.entries(ATTRIBUTES).map(([key, { oid }]) => [oid, SPELLING[key] ?? key]),
);

/**
 * A distinguished name from text such as `CN=device 1,O=Example\, Inc.,C=DE`, in the order written
 * and with the escapes of RFC 4514: a backslash before `, + " \ < > ; = #` or a space, or before two
 * hex digits. `+` joins attributes into one multi-valued part. Attributes are known by short name or
 * dotted object identifier; values are UTF8String but where a standard fixes another type.
 *
 * @param text The name; empty for an empty name.
 * @returns A Name (RFC 5280 section 4.1.2.4), DER.
 * @throws {SecureCertError} `ERR_NAME` for an unknown attribute, an empty or too long value, or a bad
 * escape, with the offset in the text.
 */
export function encodeName(text: string): Bytes {
  if (text.trim() === "") return derSequence();
  const sets: Uint8Array[] = [];
  let attributes: Uint8Array[] = [];
  for (const { key, value, offset, joins } of splitName(text)) {
    attributes.push(encodeAttribute(key, value, offset));
    if (joins) continue;
    // DER wants the elements of a SET OF in the order of their bytes (X.690 section 11.6).
    sets.push(derSet(...attributes.toSorted(compareBytes)));
    attributes = [];
  }
  return derSequence(...sets);
}

/**
 * A distinguished name as text, in the order of its bytes, escaped so that {@linkcode encodeName}
 * reads it.
 *
 * @param der A Name, DER.
 * @throws {SecureCertError} `ERR_DER` when it is none.
 */
export function formatName(der: Uint8Array): string {
  return readDer(der, "name").children
    .map((set) => set.children.map(formatAttribute).join("+"))
    .join(",");
}

interface Part {
  readonly key: string;
  readonly value: string;
  readonly offset: number;
  /** Whether `+` follows. */
  readonly joins: boolean;
}

function splitName(text: string): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at <= text.length;) {
    const equals = text.indexOf("=", at);
    if (equals < 0) throw badName(`no "=" in "${text.slice(at)}"`, at);
    const { value, end } = readValue(text, equals + 1);
    parts.push({ key: text.slice(at, equals).trim(), value, offset: at, joins: text[end] === "+" });
    at = end + 1;
  }
  return parts;
}

/** Characters up to an unescaped `,` or `+`; spaces around them do not count unless escaped. */
function readValue(text: string, start: number): { value: string; end: number } {
  let at = start;
  while (text[at] === " ") at++;
  if (text[at] === "#") throw badName("values in hexadecimal are not taken", at);
  const plainEnd = endOfPlain(text, at);
  if (text[plainEnd] !== "\\") {
    let end = plainEnd;
    while (end > at && text[end - 1] === " ") end--;
    return { value: text.slice(at, end), end: plainEnd };
  }
  const bytes: number[] = [];
  let kept = 0;
  while (at < text.length && text[at] !== "," && text[at] !== "+") {
    const isEscaped = text[at] === "\\";
    const { encoded, next } = isEscaped ? readEscape(text, at) : readCharacter(text, at);
    bytes.push(...encoded);
    if (isEscaped || text[at] !== " ") kept = bytes.length;
    at = next;
  }
  const value = decodeUtf8(new Uint8Array(bytes.slice(0, kept)));
  if (value === undefined) throw badName("escapes are not UTF-8", start);
  return { value, end: at };
}

/** Where the characters end that stand for themselves, as they mostly all do. */
function endOfPlain(text: string, start: number): number {
  let end = start;
  while (end < text.length && text[end] !== "," && text[end] !== "+" && text[end] !== "\\") end++;
  return end;
}

function readCharacter(text: string, at: number): { encoded: Uint8Array; next: number } {
  const character = String.fromCodePoint(text.codePointAt(at)!);
  return { encoded: encodeUtf8(character), next: at + character.length };
}

function readEscape(text: string, at: number): { encoded: Uint8Array; next: number } {
  const hex = /^[0-9A-Fa-f]{2}/.exec(text.slice(at + 1, at + 3))?.[0];
  if (hex !== undefined) return { encoded: new Uint8Array([parseInt(hex, 16)]), next: at + 3 };
  if (/[,+"\\<>;=# ]/.test(text[at + 1] ?? "")) return readCharacter(text, at + 1);
  throw badName("bad escape", at);
}

function encodeAttribute(key: string, value: string, offset: number): Bytes {
  const isOid = /^[0-2](\.[0-9]+)+$/.test(key);
  const known = ATTRIBUTES[key.toUpperCase()] ??
    Object.values(ATTRIBUTES).find(({ oid }) => oid === key) ??
    (isOid ? { oid: key, most: 32768 } : undefined);
  if (known === undefined) throw badName(`unknown attribute "${key}"`, offset);
  const length = [...value].length;
  if (length === 0) throw badName(`${key} is empty`, offset);
  if (length > known.most) {
    throw badName(`${key} has ${length} characters, at most ${known.most}`, offset);
  }
  if (known.oid === "2.5.4.6" && length !== 2) throw badName("C is not a two-letter code", offset);
  return derSequence(derOid(known.oid), encodeString(key, value, known.type, offset));
}

function encodeString(key: string, value: string, type: Attribute["type"], offset: number): Bytes {
  if (type === "printable" && !/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(value)) {
    throw badName(`${key} has characters outside PrintableString`, offset);
  }
  // deno-lint-ignore no-control-regex
  if (type === "ia5" && !/^[\x00-\x7F]*$/.test(value)) throw badName(`${key} is not ASCII`, offset);
  return derElement(STRING_TAG[type ?? "utf8"], encodeUtf8(value));
}

function formatAttribute(node: DerNode): string {
  const [type, value] = node.children;
  if (type?.tag !== TAG.oid || value === undefined) throw badDer("name");
  const key = KEYS.get(type.oid) ?? type.oid;
  return `${key}=${escapeNameValue(stringOf(value))}`;
}

/** Universal tag numbers of the strings that are written (X.680 section 8.6). */
const STRING_TAG = { utf8: 12, printable: 19, ia5: 22 } as const;
const STRING_TAGS: ReadonlySet<DerNode["tag"]> = new Set([12, 18, 19, 22, 26]);

/** The text of a string type; T61String as Latin-1, BMPString as UTF-16, anything else in hex. */
function stringOf({ tag, content, raw }: DerNode): string {
  if (STRING_TAGS.has(tag)) return decodeUtf8(content) ?? `#${formatHex(raw)}`;
  if (tag === 20) return new TextDecoder("latin1").decode(content);
  if (tag === 30) return new TextDecoder("utf-16be").decode(content);
  return `#${formatHex(raw)}`;
}

/**
 * A value for the text of a distinguished name, escaped as RFC 4514 section 2.4 has it, so that
 * {@linkcode encodeName} gives the same value: blanks at its ends stay, and a separator in it separates
 * nothing.
 *
 * @param value Any text.
 * @returns The text, with control and bidirectional characters as their UTF-8 bytes in hex.
 */
export function escapeNameValue(value: string): string {
  return value
    .replace(/[,+"\\<>;]/g, "\\$&")
    .replace(/[\p{Cc}\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu, escapeControl)
    .replace(/^[ #]| $/g, "\\$&");
}

/** As its UTF-8 bytes in hex, so that a name moves no terminal's cursor. */
function escapeControl(character: string): string {
  return formatHex(encodeUtf8(character)).replace(/../g, "\\$&");
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at < 0 ? a.length - b.length : a[at]! - (b[at] ?? -1);
}

function badName(problem: string, offset: number): SecureCertError {
  return new SecureCertError("ERR_NAME", `Cannot encode name: ${problem}`, { offset });
}
