import { MAX_FLASH } from "../../format/chips/chips.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, inRange } from "../../bytes/pack.ts";
import {
  decryptFlash,
  FLASH_BLOCK,
  type FlashEncryptionOptions,
} from "../../crypto/flash/encryption.ts";
import {
  PARTITION_FLAGS,
  PARTITION_TABLE_OFFSET,
  PARTITION_TABLE_SECTOR,
  PARTITION_TYPES,
  type PartitionTable,
  readTableSector,
  startsTable,
} from "../../format/table/binary.ts";
import { imageAtStart, NVS_SUBTYPE } from "./find.ts";
import { afterErased } from "./locate.ts";

/** What opens a dump of encrypted flash. */
export interface DecryptDumpOptions extends Omit<FlashEncryptionOptions, "random"> {
  /** Where the partition table is in flash, in bytes. @default 0x8000 */
  readonly tableOffset?: number;
}

/** A dump as the firmware reads it. */
export interface DecryptedDump {
  /** The bytes; of a dump with a partition table, only the table and its data are decrypted. */
  readonly bytes: Bytes;
  /** Whether anything was encrypted. */
  readonly isEncrypted: boolean;
  /** Where the file's first byte is in these bytes; below 0 where they begin after it. */
  readonly start: number;
}

type Decrypted = Omit<DecryptedDump, "start">;

/**
 * What the firmware reads of a dump of encrypted flash: its partition table, and of the partitions that hold
 * data those that the table flags as encrypted; the others are not. A file without a table is one partition.
 *
 * @param file A dump of flash, raw, or an image that is in an encrypted partition.
 * @param options Chip, key, and where the file's first byte is in flash.
 * @returns The bytes, with erased flash before them where a table was found, so that they begin at address 0;
 * of a file that is an image as it is, these.
 * @throws {SecureCertError} `ERR_KEY` for a key of a length that the chip does not take.
 * @throws {RangeError} as `decryptFlash`, and for a table offset that is not a 32-bit number.
 */
export function decryptDump(
  file: Uint8Array,
  { tableOffset = PARTITION_TABLE_OFFSET, ...options }: DecryptDumpOptions,
): DecryptedDump {
  inRange(tableOffset, 0xFFFFFFFF, "Cannot decrypt dump: table offset");
  const decrypt = (start: number, end: number) => {
    const to = Math.min(end, file.length);
    const whole = file.subarray(start, Math.max(start, to - (to - start) % FLASH_BLOCK));
    return decryptFlash(whole, { ...options, address: options.address + start });
  };
  const tableAt = tableOffset - options.address;
  const found = tableAt < 0 ? undefined : findTable(file, tableAt, decrypt);
  if (found === undefined) return { ...decryptPartition(file, decrypt), start: 0 };
  const { address } = options;
  const { bytes, isEncrypted } = decryptPartitions(file, address, found, decrypt);
  if (address + bytes.length > MAX_FLASH) {
    return { bytes: bytes.subarray(tableAt), isEncrypted, start: -tableAt };
  }
  return { bytes: afterErased(address, bytes), isEncrypted, start: address };
}

/** Decrypts the bytes of a file from a place to another, as far as it goes. */
type Decrypt = (start: number, end: number) => Bytes;

interface TableInDump {
  readonly table: PartitionTable;
  /** Where it starts, in bytes from the start of the file. */
  readonly at: number;
  /** What it says in plain; absent where it is not encrypted. */
  readonly sector?: Uint8Array;
}

function findTable(file: Uint8Array, at: number, decrypt: Decrypt): TableInDump | undefined {
  if (startsTable(file, at)) return readTable(file.subarray(at), at);
  const sector = decrypt(at, at + PARTITION_TABLE_SECTOR);
  const found = startsTable(sector) ? readTable(sector, at) : undefined;
  return found && { ...found, sector };
}

/** A table that cannot be read is for those who look for one to report. */
function readTable(sector: Uint8Array, at: number): TableInDump {
  try {
    return { table: readTableSector(sector), at };
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return { table: { entries: [], md5: undefined, used: 0 }, at };
  }
}

function decryptPartition(file: Uint8Array, decrypt: Decrypt): Decrypted {
  const bytes = new Uint8Array(file);
  const plain = decrypt(0, file.length);
  if (imageAtStart(plain) === undefined && imageAtStart(file) !== undefined) {
    return { bytes, isEncrypted: false };
  }
  bytes.set(plain);
  return { bytes, isEncrypted: true };
}

function decryptPartitions(
  file: Uint8Array,
  address: number,
  { table, at, sector }: TableInDump,
  decrypt: Decrypt,
): Decrypted {
  const bytes = new Uint8Array(file);
  if (sector !== undefined) bytes.set(sector, at);
  let isEncrypted = sector !== undefined;
  for (const { type, subtype, offset, size, flags = 0 } of table.entries) {
    const start = offset - address;
    const isFlagged = (flags & PARTITION_FLAGS.encrypted) !== 0;
    if (!isFlagged || type === PARTITION_TYPES.app || start < 0 || start >= file.length) continue;
    // Flash encryption is off where the table is not encrypted, and ESP-IDF reads NVS as it is, unless
    // CONFIG_NVS_COMPATIBLE_PRE_V4_3_ENCRYPTION_FLAG is off: there an image that can be read is read.
    const isNvs = type === PARTITION_TYPES.data && subtype === NVS_SUBTYPE;
    const partition = file.subarray(start, start + size);
    if ((sector === undefined || isNvs) && imageAtStart(partition) !== undefined) continue;
    bytes.set(decrypt(start, start + size), start);
    isEncrypted = true;
  }
  return { bytes, isEncrypted };
}
