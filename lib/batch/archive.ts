// Own code, because the small packages for tar (nanotar 0.3.0) want the whole archive in memory, cut
// names at 100 bytes without a word, and write no end behind an archive of a multiple of 10240 bytes.
import { SecureCertError } from "../bytes/errors.ts";
import { alignUp, type Bytes, concat, isFilledWith, take } from "../bytes/pack.ts";
import { decodeUtf8, encodeUtf8 } from "../bytes/text.ts";

/** Unit of an archive in bytes. */
export const ARCHIVE_BLOCK = 512;

/** What stands behind the last entry: 1024 zero bytes (POSIX.1-2017, pax, "ustar Interchange Format"). */
export const ARCHIVE_END: Bytes = new Uint8Array(2 * ARCHIVE_BLOCK);

/** How {@linkcode formatArchiveEntry} writes a file. */
export interface ArchiveEntryOptions {
  /** Permission bits. @default 0o644 */
  readonly mode?: number;
  /** Time of change, in seconds since 1970; not the clock, so that equal files give equal archives. @default 0 */
  readonly mtime?: number;
}

/** A file of an archive, and where it lies. */
export interface ArchiveEntry {
  /** Path inside the archive, with slashes. */
  readonly name: string;
  /** Permission bits. */
  readonly mode: number;
  /** Length of the file in bytes. */
  readonly size: number;
  /** Bytes from the start of the archive to the file's first. */
  readonly offset: number;
}

const FIELD = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  magic: [257, 8],
  prefix: [345, 155],
} as const;
type Field = keyof typeof FIELD;

const REGULAR = "0";
/** Type of a header that says more of the next one (pax Extended Header). */
const EXTENDED = "x";
const EXTENDED_NAME = encodeUtf8("pax/path");
/** Longest extended header that is read. */
const EXTENDED_LIMIT = 1 << 16;
const MAGIC = "ustar\x0000";
const LARGEST = 0o77777777777;
const LONGEST_NAME = 4096;

/**
 * A file as blocks of an uncompressed archive (tar in the ustar format of POSIX.1-2017, with a pax
 * header before it when the name does not fit). Entries one behind another, then
 * {@linkcode ARCHIVE_END}, are an archive: it can be appended to without being read.
 *
 * @param name Path inside the archive, with slashes; at most 4096 bytes of UTF-8.
 * @param bytes The file, shorter than 8 GiB.
 * @param options Mode and time.
 * @returns Header and content, padded with zeros to a multiple of 512 bytes.
 * @throws {RangeError} when the name is empty, absolute, has `..` in it or does not fit.
 */
export function formatArchiveEntry(
  name: string,
  bytes: Uint8Array,
  options: ArchiveEntryOptions = {},
): Bytes {
  const isPlain = name !== "" && !/[\0\n\\]|^\/|(^|\/)\.{0,2}(\/|$)/.test(name);
  if (!isPlain) throw new RangeError(`"${name}" is no name of a file in an archive`);
  const path = encodeUtf8(name);
  if (path.length > LONGEST_NAME) throw new RangeError("a name is too long for an archive");
  const split = splitName(path);
  if (split !== undefined) return formatEntry(REGULAR, split, bytes, options);
  const base = path.subarray(0, FIELD.name[1]);
  return concat(
    formatEntry(EXTENDED, { base: EXTENDED_NAME }, formatRecord("path", name), options),
    formatEntry(REGULAR, { base }, bytes, options),
  );
}

interface SplitName {
  readonly prefix?: Uint8Array;
  readonly base: Uint8Array;
}

function formatEntry(
  type: string,
  { prefix, base }: SplitName,
  bytes: Uint8Array,
  { mode = 0o644, mtime = 0 }: ArchiveEntryOptions,
): Bytes {
  if (bytes.length > LARGEST) throw new RangeError("a file of an archive is shorter than 8 GiB");
  const blocks = new Uint8Array(ARCHIVE_BLOCK + alignUp(bytes.length, ARCHIVE_BLOCK));
  const put = (field: Field, text: string | Uint8Array) =>
    blocks.set(typeof text === "string" ? encodeUtf8(text) : text, FIELD[field][0]);
  put("name", base);
  put("mode", octal(mode, "mode"));
  put("uid", octal(0, "uid"));
  put("gid", octal(0, "gid"));
  put("size", octal(bytes.length, "size"));
  put("mtime", octal(mtime, "mtime"));
  put("type", type);
  put("magic", MAGIC);
  if (prefix !== undefined) put("prefix", prefix);
  put("checksum", checksum(blocks));
  blocks.set(bytes, ARCHIVE_BLOCK);
  return blocks;
}

/**
 * The files of an archive in memory, in order.
 *
 * @param bytes The archive.
 * @returns Each entry with its content, a view of the input.
 * @throws {SecureCertError} `ERR_TRUNCATED`, `ERR_MAGIC`, `ERR_CHECKSUM` with the offset, for what
 * {@linkcode formatArchiveEntry} does not write; `ERR_STRAY_BYTES` for bytes behind the end.
 */
export function* readArchive(
  bytes: Uint8Array,
): Generator<ArchiveEntry & { readonly bytes: Uint8Array }> {
  let name: string | undefined;
  for (let at = 0; at < bytes.length;) {
    const header = decodeHeader(take(bytes, at, ARCHIVE_BLOCK, "archive"), at);
    if (header === undefined) {
      if (name === undefined && isFilledWith(bytes.subarray(at), 0)) return;
      throw new SecureCertError("ERR_STRAY_BYTES", "Cannot decode archive: bytes behind its end", {
        offset: at,
      });
    }
    const { isExtended, ...entry } = header;
    const blocks = take(bytes, entry.offset, alignUp(entry.size, ARCHIVE_BLOCK), "archive");
    const content = blocks.subarray(0, entry.size);
    if (isExtended) name = pathOf(content, at);
    else {
      yield { ...entry, name: name ?? entry.name, bytes: content };
      name = undefined;
    }
    at = entry.offset + blocks.length;
  }
}

/** A header, which is that of a file or says more of the next one. */
export interface Header extends ArchiveEntry {
  /** Whether it says more of the next entry, and is none itself. */
  readonly isExtended: boolean;
}

/** The entry that a header describes, or undefined for the zeros of the end. */
export function decodeHeader(block: Uint8Array, at: number): Header | undefined {
  if (isFilledWith(block, 0)) return undefined;
  const text = (field: Field) => {
    const [start, length] = FIELD[field];
    const value = block.subarray(start, start + length);
    const nul = value.indexOf(0);
    return decodeUtf8(nul < 0 ? value : value.subarray(0, nul)) ?? "\uFFFD";
  };
  const number = (field: Field) =>
    /^ *[0-7]+ *$/.test(text(field)) ? parseInt(text(field), 8) : NaN;
  const isExtended = text("type") === EXTENDED;
  if (text("magic") !== "ustar" || !isExtended && text("type") !== REGULAR) {
    throw badHeader("ERR_MAGIC", "no ustar header of a file", at);
  }
  const stored = decodeUtf8(block.subarray(FIELD.checksum[0], FIELD.type[0]));
  if (stored !== checksum(block) || Number.isNaN(number("size"))) {
    throw badHeader("ERR_CHECKSUM", "checksum of a header does not match", at);
  }
  if (isExtended && number("size") > EXTENDED_LIMIT) {
    throw badHeader("ERR_MAGIC", "an extended header is too long", at);
  }
  const prefix = text("prefix");
  return {
    name: prefix === "" ? text("name") : `${prefix}/${text("name")}`,
    mode: number("mode"),
    size: number("size"),
    offset: at + ARCHIVE_BLOCK,
    isExtended,
  };
}

/** A record of an extended header: its own length in decimal, a space, `key=value`, a line break. */
function formatRecord(key: string, value: string): Uint8Array {
  const rest = encodeUtf8(` ${key}=${value}\n`);
  let length = rest.length;
  while (String(length).length + rest.length !== length) {
    length = String(length).length + rest.length;
  }
  return concat(encodeUtf8(String(length)), rest);
}

/** The path in an extended header; other records are passed over. */
export function pathOf(content: Uint8Array, at: number): string | undefined {
  let path: string | undefined;
  for (let start = 0; start < content.length;) {
    const head = String.fromCharCode(...content.subarray(start, start + 8));
    const length = Number(/^([1-9][0-9]*) /.exec(head)?.[1] ?? NaN);
    const record = decodeUtf8(content.subarray(start, start + length));
    const [, key, value] = /^[0-9]+ ([^=]+)=(.*)\n$/s.exec(record ?? "") ?? [];
    if (!(start + length <= content.length) || key === undefined) {
      throw badHeader("ERR_MAGIC", "an extended header is malformed", at);
    }
    if (key === "path") path = value;
    start += length;
  }
  return path;
}

/** The checksum's field: the sum of the header's bytes, the field itself counted as spaces. */
function checksum(blocks: Uint8Array): string {
  const [start, length] = FIELD.checksum;
  const header = blocks.subarray(0, ARCHIVE_BLOCK);
  const sum = header.reduce(
    (sum, byte, at) => sum + (at >= start && at < start + length ? 0x20 : byte),
    0,
  );
  return `${sum.toString(8).padStart(6, "0")}\0 `;
}

function octal(value: number, field: Field): string {
  const digits = FIELD[field][1] - 1;
  const text = value.toString(8);
  if (Number.isInteger(value) && value >= 0 && text.length <= digits) {
    return text.padStart(digits, "0");
  }
  throw new RangeError(`${field} ${value} does not fit an archive`);
}

/** A long name is split at a slash: up to 155 bytes before it, up to 100 behind; not all can be. */
function splitName(bytes: Uint8Array): SplitName | undefined {
  if (bytes.length <= FIELD.name[1]) return { base: bytes };
  const slash = bytes.indexOf(0x2F, bytes.length - FIELD.name[1] - 1);
  if (slash < 0 || slash > FIELD.prefix[1]) return undefined;
  return { prefix: bytes.subarray(0, slash), base: bytes.subarray(slash + 1) };
}

export function badHeader(
  code: "ERR_MAGIC" | "ERR_CHECKSUM" | "ERR_STRAY_BYTES",
  problem: string,
  offset: number,
): SecureCertError {
  return new SecureCertError(code, `Cannot decode archive: ${problem} at ${offset}`, { offset });
}
