import { SecureCertError } from "../../bytes/errors.ts";
import { viewOf } from "../../bytes/pack.ts";
import { decodeText } from "../../bytes/text.ts";
import { parsePartitionCsv } from "./csv.ts";
import {
  PARTITION_TABLE_SECTOR,
  PARTITION_TABLE_SIZE,
  type PartitionTable,
  readPartitionTable,
} from "./binary.ts";

const ROW = 32;
const ENTRY_MAGIC = 0x50AA;
const ERASED_WORD = 0xFFFF;
const TEXT_LIMIT = 0x10000;

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
 * The partition table that a file is, binary or as text.
 *
 * @param file Its bytes.
 * @param tableOffset Where the table is in flash, which a text may build on.
 * @throws {SecureCertError} when it cannot be read as one.
 */
export function readTable(file: Uint8Array, tableOffset?: number): PartitionTable {
  if (startsTable(file)) return readTableSector(file);
  const text = file.length > TEXT_LIMIT ? undefined : decodeText(file);
  if (text === undefined) {
    throw new SecureCertError("ERR_CSV", "Cannot parse partition table: not text");
  }
  const entries = parsePartitionCsv(text, tableOffset === undefined ? {} : { tableOffset });
  if (entries.length > 0) return { entries, md5: undefined, used: file.length };
  throw new SecureCertError("ERR_CSV", "Cannot parse partition table: it has no rows");
}

/** As {@linkcode readTable}; undefined for a file that is not a table, or a longer dump. */
export function tableOfFile(file: Uint8Array, tableOffset?: number): PartitionTable | undefined {
  if (startsTable(file) && file.length > PARTITION_TABLE_SECTOR) return undefined;
  try {
    return readTable(file, tableOffset);
  } catch (error) {
    if (error instanceof SecureCertError) return undefined;
    throw error;
  }
}
