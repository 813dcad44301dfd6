import { countOf, SecureCertError } from "../../bytes/errors.ts";
import {
  type Bytes,
  concat,
  equalBytes,
  inRange,
  isFilledWith,
  take,
  viewOf,
} from "../../bytes/pack.ts";
import { decodeUtf8, encodeUtf8 } from "../../bytes/text.ts";
import { md5 } from "../deps.ts";

/** Size in bytes of the table that ESP-IDF writes; the rest of its sector is for a signature. */
const PARTITION_TABLE_SIZE = 0xC00;
/** Where the table is in flash unless the project says otherwise. */
export const PARTITION_TABLE_OFFSET = 0x8000;
/** Bytes of a sector of flash; partitions start at sectors. */
export const FLASH_SECTOR = 0x1000;
/** Bytes of flash that belong to the table. */
export const PARTITION_TABLE_SECTOR = FLASH_SECTOR;
/** The longest name in bytes. */
export const MAX_PARTITION_NAME = 16;

/** Bits of a partition's flags. */
export const PARTITION_FLAGS = { encrypted: 1, readonly: 2 } as const;

/** Partition types by name (FORMAT: partition table). */
export const PARTITION_TYPES = { app: 0, data: 1, bootloader: 2, partition_table: 3 } as const;

const ROW = 32;
const ERASED_WORD = 0xFFFF;
const ERASED = 0xFF;
const ENTRY_MAGIC = 0x50AA;
const MD5_MAGIC = 0xEBEB;
const NAME_AT = 12;
const FLAGS_AT = 28;
const DIGEST_AT = 16;
const NO_NAME = new Uint8Array(MAX_PARTITION_NAME);

/**
 * One partition of a table.
 *
 * @category Partition tables
 */
export interface PartitionTableEntry {
  /** Its name, at most 16 bytes of UTF-8 with no NUL. */
  readonly name: string;
  /** Its type, 0 to 255: 0 for an app, 1 for data, 2 for a bootloader, 3 for a table. */
  readonly type: number;
  /** Its subtype, 0 to 255. */
  readonly subtype: number;
  /** Where it starts in flash, in bytes. */
  readonly offset: number;
  /** Its size in bytes. */
  readonly size: number;
  /** Its flags: 1 for encrypted, 2 for readonly, and any others; decoders always give them. @default 0 */
  readonly flags?: number;
}

/** What a partition table holds. */
export type PartitionTable = ReturnType<typeof decodePartitionTable>;

/**
 * The 0xC00 bytes of a partition table (FORMAT: partition table), integers little-endian. A row is AA 50
 * | type u8 | subtype u8 | offset u32 | size u32 | name, zeros to 16 | flags u32; the row of the digest
 * EB EB | FF x 14 | MD5 of all rows before it. The rest is 0xFF, at least one row, which ends the table.
 * The partitions are not checked against the rules of ESP-IDF.
 *
 * @category Partition tables
 * @throws {SecureCertError} `ERR_TOO_LARGE` for more than 94 partitions, 95 without the digest;
 * `ERR_LENGTH` with the entry for a name of more than 16 bytes; `RangeError` for a number that its field
 * cannot hold, or a NUL in a name.
 */
export function encodePartitionTable(
  entries: readonly PartitionTableEntry[],
  options: {
    /** Close the table with a row that holds the MD5 of the others. @default true */
    readonly md5?: boolean;
  } = {},
): Bytes {
  const { md5 = true } = options;
  const limit = maxPartitions(md5);
  if (entries.length > limit) {
    throw new SecureCertError(
      "ERR_TOO_LARGE",
      `Cannot encode partition table: ${
        countOf(entries.length, "partition")
      }, at most ${limit} fit`,
      { entry: limit },
    );
  }
  const rows = concat(...entries.map(encodeRow));
  const table = new Uint8Array(PARTITION_TABLE_SIZE).fill(ERASED);
  table.set(md5 ? concat(rows, digestRow(rows)) : rows);
  return table;
}

/**
 * How many partitions a table has room for: it has 96 rows, the last of which stays erased.
 *
 * @param md5 Whether a row holds the digest.
 * @returns 94 with a digest, 95 without.
 */
export function maxPartitions(md5: boolean): number {
  return PARTITION_TABLE_SIZE / ROW - (md5 ? 2 : 1);
}

/**
 * The partitions of a table, strictly: every row is as {@linkcode encodePartitionTable} writes it, the
 * digest is right, and only erased bytes follow the last row.
 *
 * @category Partition tables
 * @throws {SecureCertError} `ERR_TRUNCATED` when no erased row ends the table within 0xC00 bytes,
 * `ERR_MAGIC` for an unknown kind of row, `ERR_TEXT` for a name that is not UTF-8 with zeros after it,
 * `ERR_STRAY_BYTES` for bytes in the digest's row or after the last row, `ERR_CHECKSUM` for a wrong
 * digest; with entry and offset.
 */
export function decodePartitionTable(bytes: Uint8Array): {
  /** The partitions in the order of the table, with their flags. */
  readonly entries: readonly PartitionTableEntry[];
  /** The MD5 in the table and that of the entries, 16 bytes each; undefined when the table has none. */
  readonly md5: {
    readonly stored: Uint8Array;
    readonly computed: Uint8Array;
    readonly ok: boolean;
  } | undefined;
  /** Bytes of the rows in use, without the row that ends them. */
  readonly used: number;
} {
  const table = readPartitionTable(bytes);
  if (table.md5?.ok === false) {
    throw new SecureCertError(
      "ERR_CHECKSUM",
      "Cannot decode partition table: MD5 does not match",
      { offset: table.used - ROW, field: "md5" },
    );
  }
  return table;
}

/**
 * The partitions of a table whose digest is not checked yet; otherwise as
 * {@linkcode decodePartitionTable}.
 *
 * @param bytes The table, with an erased tail of any length.
 * @returns The partitions, both digests and the bytes in use.
 * @throws {SecureCertError} `ERR_TRUNCATED` when no erased row ends the table within 0xC00 bytes, `ERR_MAGIC` for a row
 * of no known kind, `ERR_TEXT` for a name that is not UTF-8 closed by zeros, `ERR_STRAY_BYTES` for
 * bytes in the digest's row or after the last, with entry and offset.
 */
export function readPartitionTable(bytes: Uint8Array): PartitionTable {
  const entries: PartitionTableEntry[] = [];
  let used = 0;
  let row = takeRow(bytes, used);
  for (; viewOf(row).getUint16(0, true) === ENTRY_MAGIC; row = takeRow(bytes, used)) {
    entries.push(decodeRow(row, entries.length));
    used += ROW;
  }
  const md5 = readDigest(row, bytes.subarray(0, used), used);
  if (md5 !== undefined) {
    used += ROW;
    row = takeRow(bytes, used);
  }
  if (isFilledWith(bytes.subarray(used), ERASED)) return { entries, md5, used };
  const known = md5 !== undefined || isFilledWith(row, ERASED);
  throw new SecureCertError(
    known ? "ERR_STRAY_BYTES" : "ERR_MAGIC",
    known
      ? `Cannot decode partition table: bytes after the last row, which ends at ${used}`
      : `Cannot decode partition table: row at ${used} has no magic number`,
    { offset: used, entry: entries.length },
  );
}

/** Whether there is a row of a partition table at an offset. */
export function startsTable(bytes: Uint8Array, offset = 0): boolean {
  return offset + ROW <= bytes.length && viewOf(bytes).getUint16(offset, true) === ENTRY_MAGIC;
}

/**
 * A partition table whose digest is not checked yet, whatever follows the row that ends it, as
 * the firmware reads it.
 *
 * @param bytes The table and what follows it.
 * @throws {SecureCertError} as `readPartitionTable`.
 */
export function readTableSector(bytes: Uint8Array): PartitionTable {
  const sector = bytes.subarray(0, PARTITION_TABLE_SIZE);
  let end = 0;
  while (end + ROW <= sector.length && viewOf(sector).getUint16(end, true) !== ERASED_WORD) {
    end += ROW;
  }
  return readPartitionTable(sector.subarray(0, end + ROW));
}

/**
 * What the offset of a partition must be a multiple of: flash is mapped to instructions in pages of
 * 64 KiB and erased in sectors of 4 KiB.
 *
 * @param type The partition's type.
 * @returns 0x10000 for an app, else 0x1000 bytes.
 */
export function offsetAlignment(type: number): number {
  return type === PARTITION_TYPES.app ? 0x10000 : 0x1000;
}

/**
 * Whether an entry names the bootloader or the table, which come before all other partitions.
 *
 * @param entry The partition.
 * @returns Whether it is of type bootloader or partition_table, subtype primary (0).
 */
export function isPrimary({ type, subtype }: PartitionTableEntry): boolean {
  const { bootloader, partition_table } = PARTITION_TYPES;
  return subtype === 0 && (type === bootloader || type === partition_table);
}

function encodeRow(entry: PartitionTableEntry, index: number): Bytes {
  const what = `Cannot encode partition table: entry ${index}`;
  const name = encodeUtf8(entry.name);
  if (name.includes(0)) throw new RangeError(`${what}: name has a NUL`);
  if (name.length > MAX_PARTITION_NAME) {
    throw new SecureCertError(
      "ERR_LENGTH",
      `${what}: name of ${countOf(name.length, "byte")}, at most ${MAX_PARTITION_NAME} fit`,
      { entry: index, field: "name" },
    );
  }
  const row = new Uint8Array(ROW);
  const view = viewOf(row);
  view.setUint16(0, ENTRY_MAGIC, true);
  view.setUint8(2, inRange(entry.type, 0xFF, `${what}: type`));
  view.setUint8(3, inRange(entry.subtype, 0xFF, `${what}: subtype`));
  view.setUint32(4, inRange(entry.offset, 0xFFFFFFFF, `${what}: offset`), true);
  view.setUint32(8, inRange(entry.size, 0xFFFFFFFF, `${what}: size`), true);
  row.set(name, NAME_AT);
  view.setUint32(FLAGS_AT, inRange(entry.flags ?? 0, 0xFFFFFFFF, `${what}: flags`), true);
  return row;
}

function decodeRow(row: Uint8Array, index: number): PartitionTableEntry {
  const view = viewOf(row);
  return {
    name: decodeName(row.subarray(NAME_AT, FLAGS_AT), index),
    type: view.getUint8(2),
    subtype: view.getUint8(3),
    offset: view.getUint32(4, true),
    size: view.getUint32(8, true),
    flags: view.getUint32(FLAGS_AT, true),
  };
}

function decodeName(field: Uint8Array, index: number): string {
  const end = field.indexOf(0);
  const name = decodeUtf8(end < 0 ? field : field.subarray(0, end));
  // A byte order mark is UTF-8 that the decoder drops, so the bytes are compared again.
  const whole = name === undefined ? undefined : concat(encodeUtf8(name), NO_NAME);
  if (name !== undefined && equalBytes(whole!.subarray(0, field.length), field)) return name;
  throw new SecureCertError(
    "ERR_TEXT",
    `Cannot decode partition table: name of entry ${index} is not UTF-8 closed by zeros`,
    { entry: index, offset: index * ROW + NAME_AT, field: "name" },
  );
}

function digestRow(rows: Uint8Array): Bytes {
  const row = new Uint8Array(ROW).fill(ERASED);
  viewOf(row).setUint16(0, MD5_MAGIC, true);
  row.set(md5(rows), DIGEST_AT);
  return row;
}

function readDigest(
  row: Uint8Array,
  rows: Uint8Array,
  offset: number,
): PartitionTable["md5"] {
  if (viewOf(row).getUint16(0, true) !== MD5_MAGIC) return undefined;
  if (!isFilledWith(row.subarray(2, DIGEST_AT), ERASED)) {
    throw new SecureCertError(
      "ERR_STRAY_BYTES",
      `Cannot decode partition table: bytes in front of the MD5 in the row at ${offset}`,
      { offset: offset + 2, field: "md5" },
    );
  }
  const stored = row.subarray(DIGEST_AT);
  const computed = md5(rows);
  return { stored, computed, ok: equalBytes(stored, computed) };
}

function takeRow(bytes: Uint8Array, offset: number): Uint8Array {
  return take(bytes.subarray(0, PARTITION_TABLE_SIZE), offset, ROW, "partition table");
}
