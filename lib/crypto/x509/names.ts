import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { nearestName, suggestion } from "../../bytes/nearest.ts";
import { type Bytes, viewOf } from "../../bytes/pack.ts";
import {
  decodeUtf8,
  encodeUtf8,
  formatHex,
  mayBeSecret,
  printableLine,
  replaceUnprintable,
  shownValue,
} from "../../bytes/text.ts";
import {
  asciiOf,
  childrenOf,
  contentOf,
  contextTag,
  type DerElement,
  derElement,
  type DerNode,
  derOid,
  derPrimitive,
  derSequence,
  derSet,
  encodeDer,
  enterDer,
  hexOf,
  nextDer,
  oidOf,
  rawOf,
  readDer,
  TAG,
} from "../der.ts";

interface Attribute {
  readonly oid: string;
  /** Most characters (RFC 5280 appendix A.1, upper bounds). */
  readonly most: number;
  /** String type; UTF8String unless RFC 5280 or 4519 fixes another. */
  readonly type?: "printable" | "ia5";
}

const ATTRIBUTES = {
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
} as const satisfies Record<string, Attribute>;

/** Attribute names as they are printed, where that is not as above. */
const SPELLING: Readonly<Record<string, string>> = {
  SERIALNUMBER: "serialNumber",
  DNQUALIFIER: "dnQualifier",
  EMAILADDRESS: "emailAddress",
  TITLE: "title",
};

/** The long names of attributes (RFC 4519, and those of OpenSSL), for those who write them. */
const LONG_NAMES: Readonly<Record<string, string>> = {
  commonName: "CN",
  surname: "SN",
  countryName: "C",
  localityName: "L",
  stateOrProvinceName: "ST",
  S: "ST",
  streetAddress: "STREET",
  organizationName: "O",
  organizationalUnitName: "OU",
  givenName: "GN",
  userId: "UID",
  domainComponent: "DC",
  emailAddress: "emailAddress",
  E: "emailAddress",
};

/** The types that are written, and those whose bytes are read as UTF-8. */
const STRING_TAGS = { utf8: TAG.utf8String, printable: TAG.printableString, ia5: TAG.ia5String };
const UTF8_TAGS: ReadonlySet<number> = new Set([
  TAG.utf8String,
  TAG.numericString,
  TAG.printableString,
  TAG.ia5String,
  TAG.visibleString,
]);

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
  const sets: DerElement[] = [];
  let attributes: DerElement[] = [];
  const usual = fromSlashes(text);
  if (usual !== undefined) {
    throw badName(`${shownValue(text)} has slashes, as OpenSSL writes names; write ${usual}`, 0);
  }
  const parts = text.trim() === "" ? [] : splitName(text);
  for (const { key, value, offset, joins } of parts) {
    attributes.push(encodeAttribute(key, value, offset));
    if (joins) continue;
    // DER wants the elements of a SET OF in the order of their bytes (X.690 section 11.6).
    const isSet = attributes.length > 1;
    sets.push(derSet(...isSet ? attributes.map(encodeDer).toSorted(compareBytes) : attributes));
    attributes = [];
  }
  return encodeDer(derSequence(...sets));
}

/**
 * A distinguished name as text, in the order of its bytes, escaped so that {@linkcode encodeName}
 * reads it.
 *
 * @param der A Name, DER.
 * @throws {SecureCertError} `ERR_DER` when it is not one.
 */
export function formatName(der: Uint8Array): string {
  return nameOf(readDer(der, "name"));
}

/** As {@linkcode formatName}, for a Name within something larger. */
export function nameOf(name: DerNode): string {
  return nameText(readName(name));
}

/** As {@linkcode formatName}, for a Name that {@linkcode readName} has read. */
export function nameText(name: ReadName): string {
  return name.map((attributes) => attributes.map(formatAttribute).join("+")).join(",");
}

/** The common name (RFC 5280 appendix A.1) in a Name, DER, the first if there are more. */
export function commonNameOf(der: Uint8Array): string | undefined {
  const attributes = readName(readDer(der, "name")).flat();
  const name = attributes.find(({ type }) => oidOf(type) === ATTRIBUTES.CN.oid);
  return name && stringOf(name.value);
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
    if (equals < 0) throw badName(`no "=" in ${shownValue(text.slice(at))}; write CN=NAME`, at);
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

/** Where the characters end that need no escape, as nearly all do. */
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

function encodeAttribute(key: string, value: string, offset: number): DerElement {
  const isOid = /^[0-2](\.[0-9]+)+$/.test(key);
  const known: Attribute | undefined = ATTRIBUTES[key.toUpperCase() as keyof typeof ATTRIBUTES] ??
    Object.values(ATTRIBUTES).find(({ oid }) => oid === key) ??
    (isOid ? { oid: key, most: 32768 } : undefined);
  if (known === undefined) {
    throw badName(`unknown attribute ${shownValue(key)}${meantAttribute(key)}`, offset);
  }
  const length = [...value].length;
  if (length === 0) throw badName(`${key} is empty`, offset);
  if (length > known.most) {
    throw badName(`${key} has ${countOf(length, "character")}, at most ${known.most}`, offset);
  }
  if (known.oid === "2.5.4.6" && length !== 2) throw badName("C is not a two-letter code", offset);
  return derSequence(derOid(known.oid), encodeString(key, value, known.type, offset));
}

function meantAttribute(key: string): string {
  const names = Object.keys(ATTRIBUTES).map((name) => SPELLING[name] ?? name);
  const nearest = nearestName(key, [...names, ...Object.keys(LONG_NAMES)]);
  return suggestion(nearest && (LONG_NAMES[nearest] ?? nearest));
}

/** The name that a text such as `/C=DE/O=Example, Inc./CN=device 1` means; undefined for any other. */
function fromSlashes(text: string): string | undefined {
  if (!/^\s*\/[A-Za-z0-9.]+=/.test(text) || mayBeSecret(text)) return undefined;
  // A slash begins an attribute only where one follows: values may have some, too.
  return text.trim().slice(1).split(/\/(?=[A-Za-z0-9.]+=)/).map((part) => {
    const [key, value] = part.split(/=(.*)/s, 2) as [string, string];
    return `${key}=${escapeNameValue(value.replace(/\\(.)/g, "$1"))}`;
  }).join(",");
}

function encodeString(
  key: string,
  value: string,
  type: Attribute["type"],
  offset: number,
): DerElement {
  if (type === "printable" && !/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(value)) {
    throw badName(`${key} has characters outside PrintableString`, offset);
  }
  // deno-lint-ignore no-control-regex
  if (type === "ia5" && !/^[\x00-\x7F]*$/.test(value)) throw badName(`${key} is not ASCII`, offset);
  return derElement(STRING_TAGS[type ?? "utf8"], encodeUtf8(value));
}

/** The attributes of a Name, by the sets they are in. */
export type ReadName = readonly (readonly ReadAttribute[])[];

interface ReadAttribute {
  /** Its object identifier. */
  readonly type: DerNode;
  readonly value: DerNode;
}

const LAST_CHARACTER = 0x10FFFF;

/**
 * The attributes of a Name, their values not looked at.
 *
 * @throws {SecureCertError} when it is not one.
 */
export function readName(name: DerNode): ReadName {
  const sets = enterDer(name);
  const all: ReadAttribute[][] = [];
  while (sets.at < sets.end) {
    const attributes = enterDer(nextDer(sets, TAG.set));
    const set: ReadAttribute[] = [];
    while (attributes.at < attributes.end) {
      const fields = enterDer(nextDer(attributes, TAG.sequence));
      set.push({ type: nextDer(fields, TAG.oid), value: nextDer(fields) });
    }
    all.push(set);
  }
  return all;
}

function formatAttribute({ type, value }: ReadAttribute): string {
  const oid = oidOf(type);
  const text = stringOf(value);
  return `${KEYS.get(oid) ?? oid}=${text === undefined ? hexOf(value) : escapeNameValue(text)}`;
}

/** The text of a string type; T61String as Latin-1, BMPString as UTF-16, UniversalString as UTF-32. */
function stringOf(value: DerNode): string | undefined {
  if (UTF8_TAGS.has(value.tag)) {
    // TextDecoder takes its time, and nearly all names are ASCII.
    return asciiOf(value) ?? decodeUtf8(contentOf(value));
  }
  const content = contentOf(value);
  if (value.tag === TAG.t61String) return new TextDecoder("latin1").decode(content);
  if (value.tag === TAG.bmpString) return new TextDecoder("utf-16be").decode(content);
  return value.tag === TAG.universalString ? utf32Of(content) : undefined;
}

/** UTF-32, big-endian; undefined for what is not. */
function utf32Of(bytes: Bytes): string | undefined {
  if (bytes.length % 4 !== 0) return undefined;
  const view = viewOf(bytes);
  let text = "";
  for (let at = 0; at < bytes.length; at += 4) {
    const character = view.getUint32(at);
    if (character > LAST_CHARACTER) return undefined;
    text += String.fromCodePoint(character);
  }
  return text;
}

/**
 * Escapes a value for the text of a distinguished name (RFC 4514, section 2.4), so that it is read as
 * this value: blanks at its ends stay, and a separator in it separates nothing. Control and
 * bidirectional characters become their UTF-8 bytes in hex.
 *
 * @category Keys and certificates
 */
export function escapeNameValue(value: string): string {
  if (/^[\w.:/-][\w .:/-]*[\w.:/-]$/.test(value)) return value;
  return replaceUnprintable(value.replace(/[,+"\\<>;]/g, "\\$&"), escapeControl)
    .replace(/[\t\n]/g, escapeControl)
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

/** Tags of GeneralName (RFC 5280 section 4.2.1.6). */
const KINDS = { email: 1, dns: 2, uri: 6, ip: 7 } as const;

type Kind = keyof typeof KINDS;

/**
 * Subject alternative names from texts such as `dns:device.example`, `ip:192.0.2.1`, `ip:2001:db8::1`,
 * `uri:urn:dev:1`, `email:a@example.org`.
 *
 * @param names One text a name, at least one.
 * @returns GeneralNames, DER.
 * @throws {SecureCertError} `ERR_NAME` for an unknown kind or a malformed name.
 */
export function encodeSans(names: readonly string[]): Bytes {
  return encodeDer(derSequence(...names.map((name) => {
    const [, kind = "", value = ""] = /^\s*([a-zA-Z]+):(.*)$/.exec(name) ?? [];
    if (!Object.hasOwn(KINDS, kind.toLowerCase())) {
      throw badSan(name, `need dns:, ip:, uri: or email:${meantSan(name)}`);
    }
    return encodeSan(kind.toLowerCase() as Kind, value.trim(), name);
  })));
}

/** The names of a GeneralNames, in the form that {@linkcode encodeSans} reads. */
export function formatSans(der: Uint8Array): string[] {
  return sansOf(readDer(der, "subject alternative names"));
}

/** As {@linkcode formatSans}, for GeneralNames within something larger. */
export function sansOf(names: DerNode): string[] {
  return childrenOf(names).map(formatSan);
}

/** The name with its kind, where the kind is misspelled or plain to see. */
function meantSan(name: string): string {
  if (mayBeSecret(name)) return "";
  const [, kind, rest] = /^\s*([a-zA-Z]+):(.*)$/.exec(name) ?? [undefined, undefined, name];
  const value = rest!.trim();
  const nearest = kind === undefined ? kindOf(value) : nearestName(kind, Object.keys(KINDS));
  return suggestion(nearest && printableLine(`${nearest}:${value}`));
}

function kindOf(value: string): Kind | undefined {
  if (parseIp(value) !== undefined) return "ip";
  if (/^[^@\s]+@[^@\s]+$/.test(value)) return "email";
  return /^[A-Za-z0-9_*-]+(\.[A-Za-z0-9_-]+)+$/.test(value) ? "dns" : undefined;
}

function encodeSan(kind: Kind, value: string, name: string): DerElement {
  if (kind === "ip") {
    return derPrimitive(KINDS.ip, parseIp(value) ?? fail(name, "not an IP address"));
  }
  if (!/^[\x21-\x7E]+$/.test(value)) throw badSan(name, "empty, or not printable ASCII");
  const isFit = {
    dns:
      /^(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/,
    uri: /^[A-Za-z][A-Za-z0-9+.-]*:/,
    email: /^[^@]+@[^@]+$/,
  }[kind].test(value) && (kind !== "dns" || value.length <= 253);
  if (!isFit) throw badSan(name, kind === "dns" ? "not a host name" : `not a valid ${kind}`);
  return derPrimitive(KINDS[kind], encodeUtf8(value));
}

/** One name of a GeneralNames. */
export function formatSan(name: DerNode): string {
  const kind = (Object.keys(KINDS) as Kind[]).find((each) => name.tag === contextTag(KINDS[each]));
  if (kind === "ip") return `ip:${formatIp(contentOf(name))}`;
  const text = kind && decodeUtf8(contentOf(name));
  return text === undefined ? `other:${formatHex(rawOf(name))}` : `${kind}:${text}`;
}

function parseIp(text: string): Bytes | undefined {
  if (text.includes(":")) return parseIpv6(text);
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part))) {
    return undefined;
  }
  return parts.every((part) => Number(part) <= 255) ? new Uint8Array(parts.map(Number)) : undefined;
}

function parseIpv6(text: string): Bytes | undefined {
  const halves = text.split("::").map((half) => half === "" ? [] : half.split(":"));
  const groups = halves.flat();
  if (halves.length > 2 || !groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) {
    return undefined;
  }
  if (halves.length === 1 ? groups.length !== 8 : groups.length > 7) return undefined;
  const gap = Array<string>(8 - groups.length).fill("0");
  const all = [...halves[0]!, ...gap, ...halves[1] ?? []].map((group) => parseInt(group, 16));
  return new Uint8Array(all.flatMap((group) => [group >> 8, group & 0xFF]));
}

function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return formatHex(bytes);
  const groups = Array.from(
    { length: 8 },
    (_, at) => (bytes[2 * at]! << 8 | bytes[2 * at + 1]!).toString(16),
  );
  // The host parser of URL compresses zeros as RFC 5952 wants.
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

function fail(name: string, problem: string): never {
  throw badSan(name, problem);
}

function badSan(name: string, problem: string): SecureCertError {
  return new SecureCertError(
    "ERR_NAME",
    `Cannot encode subject alternative name ${shownValue(name)}: ${problem}`,
  );
}
