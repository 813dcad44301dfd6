// What the device makes of the stored bytes of certificate and key entries (FORMAT: What the TLS library
// on the device parses): mbedTLS, `mbedtls_x509_crt_parse` and `mbedtls_pk_parse_key`, gets them with
// their stored length.

import { type Bytes, concat, plainBytes } from "../bytes/pack.ts";
import { shownLabel } from "../bytes/pem.ts";
import { certificateRefusal } from "./certificate.ts";
import { type DeviceKey, explainKey, readKey, readPkcs1, readPkcs8, readSec1 } from "./key.ts";
import { refusalOf, refuse } from "./refusal.ts";

/** Why the device refuses a stored value. */
export interface StoredRefusal {
  /** A phrase for after "the device refuses the private key: ". */
  readonly reason: string;
  /** It is good PEM, and only the NUL after it is missing. */
  readonly lacksNul?: boolean;
}

/** A block of a bundle that the device does not use. */
export interface SkippedBlock {
  /** Number of the block, from 0, all CERTIFICATE blocks counted. */
  readonly index: number;
  /** A phrase for after "the device skips certificate 2: ". */
  readonly reason: string;
  /** Whether the device stops here, and uses none of the blocks that follow. */
  readonly isLast: boolean;
}

/** What the device makes of the stored bytes of a certificate entry. */
export type StoredCertificates =
  | {
    readonly kind: "used";
    /** DER of those that it uses, in order; bytes may follow each. */
    readonly certificates: readonly Bytes[];
    readonly skipped: readonly SkippedBlock[];
  }
  | { readonly kind: "refused"; readonly refusal: StoredRefusal };

/** What the device makes of the stored bytes of a private key entry. */
export type StoredKey =
  | { readonly kind: "used"; readonly key: DeviceKey }
  | { readonly kind: "refused"; readonly refusal: StoredRefusal };

const NUL = new Uint8Array(1);
const CERTIFICATE = "CERTIFICATE";
const BEGIN_CERTIFICATE = `-----BEGIN ${CERTIFICATE}-----`;
const ENCRYPTED_KEY = "ENCRYPTED PRIVATE KEY";
const LATIN1 = new TextDecoder("latin1");
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The labels of private keys in the order in which the device looks for them, and how it reads each. */
const KEY_LABELS: readonly (readonly [string, (der: Bytes) => DeviceKey])[] = [
  ["RSA PRIVATE KEY", readPkcs1],
  ["EC PRIVATE KEY", readSec1],
  ["PRIVATE KEY", readPkcs8],
  [ENCRYPTED_KEY, () => refuse("encrypted private key")],
];

/**
 * The certificates that the device takes from a certificate entry, or why it takes none.
 *
 * @param stored The stored bytes, with the NUL of PEM; decrypted where they are encrypted.
 */
export function parseStoredCertificates(stored: Uint8Array): StoredCertificates {
  const text = deviceText(stored);
  if (text?.includes(BEGIN_CERTIFICATE)) return parseBundle(text);
  const der = plainBytes(stored);
  const reason = certificateRefusal(der);
  if (reason === undefined) return { kind: "used", certificates: [der], skipped: [] };
  const lacksNul = isWithoutNul(stored, parseStoredCertificates);
  return refused(explainText(stored, [CERTIFICATE]) ?? reason, lacksNul);
}

/** mbedTLS, `mbedtls_x509_crt_parse`: a block that fails is skipped, but for an empty one. */
function parseBundle(text: string): StoredCertificates {
  const certificates: Bytes[] = [];
  const skipped: SkippedBlock[] = [];
  for (let index = 0, from = 0;; index++) {
    const block = readDeviceBlock(text, CERTIFICATE, from);
    if (block.kind === "empty") return refused("a PEM block without base64");
    if (block.kind === "none") {
      const { reason } = block;
      if (reason !== undefined) skipped.push({ index, reason, isLast: true });
      break;
    }
    const reason = block.kind === "refused" ? block.reason : certificateRefusal(block.bytes);
    if (reason !== undefined) skipped.push({ index, reason, isLast: false });
    else if (block.kind === "decoded") certificates.push(block.bytes);
    from = block.end;
  }
  if (certificates.length > 0) return { kind: "used", certificates, skipped };
  return refused(skipped[0]!.reason);
}

/**
 * The private key that the device takes from a private key entry, or why it takes none.
 *
 * @param stored The stored bytes, with the NUL of PEM; decrypted where they are encrypted.
 */
export function parseStoredKey(stored: Uint8Array): StoredKey {
  if (stored.length === 0) return refused("it is empty");
  const text = deviceText(stored);
  let ignored: string | undefined;
  for (const [label, read] of text === undefined ? [] : KEY_LABELS) {
    const block = readDeviceBlock(text!, label);
    if (block.kind !== "none") return keyOfBlock(block, label, read);
    ignored ??= block.reason;
  }
  const der = plainBytes(stored);
  const key = readKey(der);
  if (key !== undefined) return { kind: "used", key };
  const labels = KEY_LABELS.map(([label]) => label);
  return refused(
    ignored ?? explainText(stored, labels) ?? explainKey(der),
    isWithoutNul(stored, parseStoredKey),
  );
}

function keyOfBlock(
  block: Exclude<DeviceBlock, { readonly kind: "none" }>,
  label: string,
  read: (der: Bytes) => DeviceKey,
): StoredKey {
  if (block.kind === "empty") return refused("a PEM block without base64");
  if (block.kind === "refused") return refused(block.reason);
  let key: DeviceKey | undefined;
  const reason = refusalOf(() => void (key = read(block.bytes)));
  if (key !== undefined) return { kind: "used", key };
  const isOther = label !== ENCRYPTED_KEY && readKey(block.bytes) !== undefined;
  return refused(isOther ? `another encoding than the label ${label} says` : reason!);
}

/** Whether a value that is refused would be used with a NUL after it. */
function isWithoutNul(
  stored: Uint8Array,
  parse: (stored: Uint8Array) => StoredCertificates | StoredKey,
): boolean {
  return stored.at(-1) !== 0 && LATIN1.decode(stored).includes("-----BEGIN ") &&
    parse(concat(stored, NUL)).kind === "used";
}

/** Why a text is not what the device takes for PEM; undefined for what is not text. */
function explainText(stored: Uint8Array, labels: readonly string[]): string | undefined {
  if (stored.length === 0) return "it is empty";
  const text = LATIN1.decode(stored);
  const [, label] = /-----BEGIN ([ -~]{1,64}?)-----/.exec(text) ?? [];
  if (label === undefined) return isUtf16(stored) ? "UTF-16 text" : undefined;
  if (!labels.includes(label)) return `PEM with the label ${shownLabel(label)}`;
  return stored.at(-1) === 0 ? "a NUL before the PEM" : "PEM without a NUL at its end";
}

/** With a byte order mark, or an ASCII dash of two bytes, as PEM begins. */
function isUtf16([first, second]: Uint8Array): boolean {
  return first === 0xFF && second === 0xFE || first === 0xFE && second === 0xFF ||
    first === 0x2D && second === 0 || first === 0 && second === 0x2D;
}

function refused(
  reason: string,
  lacksNul = false,
): { readonly kind: "refused"; readonly refusal: StoredRefusal } {
  return { kind: "refused", refusal: lacksNul ? { reason, lacksNul } : { reason } };
}

// How mbedTLS finds PEM in what it is handed, and decodes it (`mbedtls_pem_read_buffer`,
// `mbedtls_base64_decode`): in some ways stricter than RFC 7468, in others laxer.

/** What the device makes of the text from an offset on, when it looks for a block with a label. */
type DeviceBlock =
  /** There is no such block; `reason` where there is its BEGIN line, which the device then ignores. */
  | { readonly kind: "none"; readonly reason?: string }
  /** A block that it cannot decode, up to an offset. */
  | { readonly kind: "refused"; readonly reason: string; readonly end: number }
  /** A block without bytes, which ends the reading of everything around it. */
  | { readonly kind: "empty"; readonly end: number }
  | { readonly kind: "decoded"; readonly bytes: Bytes; readonly end: number };

const ENCRYPTED = "Proc-Type: 4,ENCRYPTED";

/**
 * The text in which the device looks for PEM: what is before the first NUL, a character a byte. Undefined
 * when the last byte is not NUL; the device then looks for none.
 */
export function deviceText(stored: Uint8Array): string | undefined {
  return stored.at(-1) === 0 ? latin1Of(stored.subarray(0, stored.indexOf(0))) : undefined;
}

/** A character a byte. Nearly all texts are ASCII, which engines decode ten times faster as UTF-8. */
function latin1Of(bytes: Uint8Array): string {
  const text = UTF8.decode(bytes);
  const isAscii = text.length === bytes.length && !text.includes("\uFFFD");
  return isAscii ? text : LATIN1.decode(bytes);
}

/**
 * The first block with a label, as the device reads it.
 *
 * @param text The text of {@linkcode deviceText}.
 * @param label The words after BEGIN.
 * @param from Offset at which the device begins to look.
 */
export function readDeviceBlock(text: string, label: string, from = 0): DeviceBlock {
  const [begin, end] = [`-----BEGIN ${label}-----`, `-----END ${label}-----`];
  const beginAt = text.indexOf(begin, from);
  if (beginAt < 0) return { kind: "none" };
  const endAt = text.indexOf(end, from);
  if (endAt < 0) return { kind: "none", reason: `no END ${label} line` };
  if (endAt < beginAt) {
    return { kind: "none", reason: `an END ${label} line before the BEGIN line` };
  }
  const bodyAt = skipLineBreak(text, beginAt + begin.length);
  if (bodyAt === undefined) return { kind: "none", reason: `no line break after BEGIN ${label}` };
  return { ...decodeBody(text.slice(bodyAt, endAt)), end: endAt + end.length };
}

/** After the header at most one space and at most one CR, then an LF, which must be there. */
function skipLineBreak(text: string, after: number): number | undefined {
  let at = after;
  if (text[at] === " ") at++;
  if (text[at] === "\r") at++;
  return text[at] === "\n" ? at + 1 : undefined;
}

/** Spaces may be before a line break and before the END line; a CR only before an LF. */
const BODY = /^(?:[A-Za-z0-9+/=]* *\r?\n)*[A-Za-z0-9+/=]* *$/;

type DecodedBody =
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "empty" }
  | { readonly kind: "decoded"; readonly bytes: Bytes };

function decodeBody(body: string): DecodedBody {
  const refused = (reason: string) => ({ kind: "refused", reason }) as const;
  if (body === "") return refused("an empty PEM block");
  if (body.startsWith(ENCRYPTED)) return refused("encrypted PEM");
  if (!BODY.test(body)) return refused(whyNotBase64(body));
  const text = body.replace(/[ \r\n]+/g, "");
  if (text === "") return { kind: "empty" };
  if (text.length % 4 !== 0 || !/^[^=]+={0,2}$/.test(text)) {
    return refused("base64 that is cut off or wrongly padded");
  }
  // Bits left over in the last digit do not matter.
  return { kind: "decoded", bytes: Uint8Array.fromBase64(text) };
}

/** Without the spaces at the end of a line, and in linear time, which a regular expression may not take. */
function trimEnd(line: string): string {
  let end = line.length;
  while (line[end - 1] === " ") end--;
  return line.slice(0, end);
}

/** What is wrong with the first line that is not base64, without showing what may be a key. */
function whyNotBase64(body: string): string {
  const lines = body.split("\n");
  const last = lines.pop()!;
  const line = lines.map((each) => trimEnd(each.endsWith("\r") ? each.slice(0, -1) : each))
    .concat(trimEnd(last)).find((each) => !/^[A-Za-z0-9+/=]*$/.test(each))!;
  if (line.startsWith("-----")) return "a PEM block within another";
  if (line.includes(":")) return "header lines in the PEM block";
  if (line.includes("\t")) return "a tab in the base64";
  if (line.startsWith(" ")) return "indented base64";
  if (line.includes(" ")) return "a space within a line of base64";
  if (line.includes("\r")) return "a CR without LF in the base64";
  return "a character that is not base64";
}
