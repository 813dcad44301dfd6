import { countOf, SecureCertError } from "./errors.ts";
import { decodeUtf16, decodeUtf8, formatBase64, mayBeSecret, printableLine } from "./text.ts";
import type { Bytes } from "./pack.ts";

/** One PEM block (RFC 7468, with the headers of RFC 1421 that old private keys carry). */
export interface PemBlock {
  /** The words between `BEGIN` and the dashes, such as `CERTIFICATE`. */
  readonly label: string;
  /** The decoded body. */
  readonly bytes: Bytes;
  /** Headers such as `DEK-Info`; empty in all but encrypted traditional keys. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Bytes, or characters, of a file of certificates and keys: a key has some KiB, and a bundle of all public
 * CAs a quarter of a MiB. Blocks, extensions and names take a hundred times their bytes once they are read.
 */
export const MAX_CREDENTIAL_FILE = 4 << 20;

const BEGIN = "-----BEGIN ";
const DASHES = "-----";
const DASH = 0x2D;
const LINE = 64;
const LATIN1 = new TextDecoder("latin1");

/**
 * Every PEM block of a text, in order. Text between the blocks is skipped; line breaks of any kind
 * are taken, and none at all.
 *
 * @param text The text, possibly with a bundle of several blocks.
 * @returns The blocks; none when the text holds no `-----BEGIN`.
 * @throws {SecureCertError} `ERR_PEM` with the offset of the block when one does not end or its body
 * is not base64.
 */
export function parsePem(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  for (let at = text.indexOf(BEGIN); at >= 0; at = text.indexOf(BEGIN, at)) {
    const labelEnd = text.indexOf(DASHES, at + BEGIN.length);
    const label = labelEnd < 0 ? "" : text.slice(at + BEGIN.length, labelEnd);
    if (!/^[A-Z0-9][A-Z0-9 -]{0,63}$/.test(label)) throw badPem("bad BEGIN line", at);
    const end = `-----END ${label}-----`;
    const bodyEnd = text.indexOf(end, labelEnd);
    if (bodyEnd < 0) throw badPem(`no END ${shownLabel(label)} line`, at);
    blocks.push({ label, ...parseBody(text.slice(labelEnd + DASHES.length, bodyEnd), at) });
    at = bodyEnd + end.length;
  }
  return blocks;
}

/** The label of a PEM block, as a message may repeat it: what may be a key is not shown. */
export function shownLabel(label: string): string {
  return mayBeSecret(label.replaceAll("PRIVATE KEY", "")) ? "(…)" : printableLine(label);
}

/**
 * A PEM block: 64 characters a line, each line ended by LF, no NUL. The label is such as `CERTIFICATE`.
 *
 * @category Errors and text
 */
export function formatPem(label: string, bytes: Uint8Array): string {
  const body = formatBase64(bytes);
  let lines = "";
  for (let at = 0; at < body.length; at += LINE) lines += body.slice(at, at + LINE) + "\n";
  return `${BEGIN}${label}-----\n${lines}-----END ${label}-----\n`;
}

/** Whether text, or the bytes of a text, hold the start of a PEM block. */
export function isPem(file: Uint8Array | string): boolean {
  return pemText(file) !== undefined;
}

/**
 * The values in a file that is PEM or DER.
 *
 * @param file PEM as bytes or text, with any number of blocks, or one DER value; a NUL after PEM does
 * not matter.
 * @param labels The labels of the blocks to take; others are skipped.
 * @returns The bodies of the PEM blocks in their order, at least one; for DER a copy of the file.
 * @throws {SecureCertError} `ERR_PEM` when a block is malformed, none has such a label, or a text is not
 * PEM; `ERR_LENGTH` for a file of more than {@linkcode MAX_CREDENTIAL_FILE} bytes.
 */
export function derBlocks(file: Uint8Array | string, labels: readonly string[]): Bytes[] {
  refuseLong(file);
  const text = pemText(file);
  if (typeof file !== "string" && text === undefined) return [new Uint8Array(file)];
  const blocks = parsePem(text ?? "").filter(({ label }) => labels.includes(label));
  if (blocks.length > 0) return blocks.map(({ bytes }) => bytes);
  throw new SecureCertError("ERR_PEM", `Cannot decode PEM: no ${labels[0]} block`);
}

/**
 * Refuses a file that no key or certificate needs.
 *
 * @throws {SecureCertError} `ERR_LENGTH` for more than {@linkcode MAX_CREDENTIAL_FILE} bytes.
 */
export function refuseLong({ length }: Uint8Array | string): void {
  if (length <= MAX_CREDENTIAL_FILE) return;
  const limit = `certificates and keys have at most ${MAX_CREDENTIAL_FILE >> 20} MiB`;
  throw new SecureCertError(
    "ERR_LENGTH",
    `Cannot read file of ${countOf(length, "byte")}: ${limit}`,
  );
}

/** The labels of the PEM blocks of a text, in order, regardless of what is between them. */
export function pemLabels(text: string): string[] {
  return [...text.matchAll(/-----BEGIN ([A-Z0-9][A-Z0-9 -]{0,63}?)-----/g)].map(([, label]) =>
    label!
  );
}

/**
 * The text of a file that holds the start of a PEM block; undefined for another. Text is UTF-8, or UTF-16
 * as Windows writes it; bytes that are neither, as comments may have them, are taken for Latin-1. A file
 * of more than {@linkcode MAX_CREDENTIAL_FILE} bytes is not looked into.
 */
export function pemText(file: Uint8Array | string): string | undefined {
  if (file.length > MAX_CREDENTIAL_FILE) return undefined;
  if (typeof file === "string") return file.includes(BEGIN) ? file : undefined;
  if (holdsBegin(file)) return decodeUtf8(file) ?? LATIN1.decode(file);
  const text = decodeUtf16(file);
  return text?.includes(BEGIN) ? text : undefined;
}

/** Looks for it in the bytes, because decoding what is not UTF-8 takes long. */
function holdsBegin(bytes: Uint8Array): boolean {
  for (let at = bytes.indexOf(DASH); at >= 0;) {
    const first = at;
    while (bytes[at] === DASH) at++;
    if (at - first >= DASHES.length && startsWord(bytes, at)) return true;
    at = bytes.indexOf(DASH, at);
  }
  return false;
}

/** Whether the word after the dashes begins there. */
function startsWord(bytes: Uint8Array, at: number): boolean {
  for (let index = DASHES.length; index < BEGIN.length; index++) {
    if (bytes[at + index - DASHES.length] !== BEGIN.charCodeAt(index)) return false;
  }
  return true;
}

function parseBody(body: string, offset: number): Pick<PemBlock, "bytes" | "headers"> {
  const headers: Record<string, string> = {};
  const lines = body.split(/\r\n|\n|\r/);
  let first = 0;
  while (first < lines.length && lines[first]!.trim() === "") first++;
  for (; first < lines.length && lines[first]!.includes(":"); first++) {
    const line = lines[first]!;
    headers[line.slice(0, line.indexOf(":")).trim()] = line.slice(line.indexOf(":") + 1).trim();
  }
  const digits = lines.slice(first).join("").replace(/[ \t]/g, "");
  if (digits.length % 4 !== 0) throw badPem("body is not base64", offset);
  try {
    // Bits left over in the last digit do not matter, to mbedTLS and OpenSSL neither.
    return { bytes: Uint8Array.fromBase64(digits), headers };
  } catch (cause) {
    throw badPem("body is not base64", offset, cause);
  }
}

function badPem(problem: string, offset: number, cause?: unknown): SecureCertError {
  return new SecureCertError(
    "ERR_PEM",
    `Cannot decode PEM block at ${offset}: ${problem}`,
    { offset },
    { cause },
  );
}
