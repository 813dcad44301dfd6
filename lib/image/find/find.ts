import { SecureCertError } from "../../bytes/errors.ts";
import { alignUp, hasWord, inRange, isFilledWith, viewOf } from "../../bytes/pack.ts";
import { searchedPartitions } from "../../device/partition.ts";
import { CUST_FLASH_SIZE, looksLikeCustFlash } from "../../format/cust_flash/codec.ts";
import { NVS_CREDENTIAL_NAMESPACES } from "../../format/nvs/credentials.ts";
import { decodeBoundedNvs } from "../../format/nvs/decode.ts";
import { NVS_PAGE_SIZE, NVS_PAGE_STATES } from "../../format/nvs/page.ts";
import { walkPartition } from "../../format/partition.ts";
import {
  type decodePartitionTable,
  FLASH_SECTOR,
  PARTITION_FLAGS,
  PARTITION_TABLE_OFFSET,
  PARTITION_TABLE_SECTOR,
  PARTITION_TYPES,
  type PartitionTableEntry,
  readTableSector,
  startsTable,
} from "../../format/table/binary.ts";
import { MAX_TLV_LENGTH, readTlv, TLV_ALIGNMENT, TLV_MAGIC, tlvSize } from "../../format/tlv.ts";
import { looksLikeNvs } from "../recognise.ts";

/** A partition table in a dump, and where it starts in it, in bytes. */
export type FoundTable = ReturnType<typeof decodePartitionTable> & { readonly offset: number };

/** A partition that a table names. */
export type FoundPartition = Extract<Found, { readonly kind: "table" }>["partition"];

/** A chain of TLV entries that a scan found. */
export type FoundChain = Extract<Found, { readonly kind: "scan" }>["chains"][number];

/**
 * What {@linkcode findSecureCert} found: that the bytes are themselves an image, that a partition table
 * names the partition, that there are chains of entries and no table that names it, or nothing.
 *
 * @category Reading and checking
 */
export type Found =
  | { readonly kind: "image" }
  | {
    readonly kind: "table";
    /** The table, and where it starts in the dump, in bytes. */
    readonly table: ReturnType<typeof decodePartitionTable> & { readonly offset: number };
    /** The partition that the firmware reads. */
    readonly partition: {
      /** The table's entry; its offset is an address in flash. */
      readonly entry: PartitionTableEntry;
      /** Where the partition starts, in bytes from the start of the dump. */
      readonly offset: number;
      /** Its size in bytes, as the table has it. */
      readonly size: number;
      /** Whether the table flags it as encrypted. */
      readonly encrypted: boolean;
      /** What the dump holds of it, a view: fewer bytes than its size when the dump ends earlier. */
      readonly bytes: Uint8Array;
    };
    /** The other ones that it would look at, in its order. */
    readonly others: readonly {
      readonly entry: PartitionTableEntry;
      readonly offset: number;
      readonly size: number;
      readonly encrypted: boolean;
      readonly bytes: Uint8Array;
    }[];
  }
  | {
    readonly kind: "scan";
    /** The chains in the order of the dump, at least one and at most 100. */
    readonly chains: readonly {
      /** Where it starts in the dump, in bytes. */
      readonly offset: number;
      /** How many entries it has. */
      readonly entries: number;
      /** Bytes that they take. */
      readonly used: number;
    }[];
    /** A table that names no such partition. */
    readonly table?: ReturnType<typeof decodePartitionTable> & { readonly offset: number };
    /** Why the bytes where a table should be are not one. */
    readonly tableProblem?: SecureCertError;
  }
  | {
    readonly kind: "none";
    /** A table that names no such partition. */
    readonly table?: ReturnType<typeof decodePartitionTable> & { readonly offset: number };
    /** Why the bytes where a table should be are not one. */
    readonly tableProblem?: SecureCertError;
  };

/** How many chains a scan lists before it stops. */
export const MAX_CHAINS = 100;

const MAX_U32 = 0xFFFFFFFF;
const ERASED = 0xFF;
/** Subtype of data partitions that are NVS. */
export const NVS_SUBTYPE = 2;

/**
 * Finds the esp_secure_cert partition in a dump of flash, whole or in part: the bytes are an image, or
 * their partition table says where it is, or there are chains of TLV entries at multiples of 16 bytes. A
 * dump that begins with a table, and goes on after its sector, begins at `tableOffset`. Never throws for
 * content; takes time linear in the length of the dump, and copies nothing.
 *
 * Of several partitions, the first in the firmware's order that is not erased counts: type 0x3F
 * `esp_secure_cert`, NVS `esp_secure_cert`, NVS `pre_prov`, type 0x3F `pre_prov` (FORMAT: placement).
 *
 * @category Reading and checking
 * @throws {RangeError} for a table offset that is not a 32-bit number.
 */
export function findSecureCert(
  dump: Uint8Array,
  options: {
    /** Where the partition table is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
  } = {},
): Found {
  const { tableOffset = PARTITION_TABLE_OFFSET } = options;
  inRange(tableOffset, MAX_U32, "Cannot find partition: table offset");
  if (isImage(dump)) return { kind: "image" };
  const { table, tableProblem } = findTable(dump, tableOffset);
  const partitions = table === undefined ? [] : partitionsOf(dump, table, tableOffset);
  const partition = partitions.find(isWritten) ?? partitions[0];
  if (table !== undefined && partition !== undefined) {
    const others = partitions.filter((each) => each !== partition);
    return { kind: "table", table, partition, others };
  }
  const chains = findChains(dump);
  const why = { table, tableProblem };
  return chains.length > 0 ? { kind: "scan", chains, ...why } : { kind: "none", ...why };
}

/**
 * The entries of a table that the firmware would look at for its credentials, in its order. Of those of
 * type data only the ones that are NVS count: the firmware finds others by their label, and then does
 * not open them.
 *
 * @param entries The partitions of a table.
 * @returns At most four of them.
 */
export function secureCertEntries<T extends PartitionTableEntry>(entries: readonly T[]): T[] {
  const kinds = entries
    .filter(({ type, subtype }) => type !== PARTITION_TYPES.data || subtype === NVS_SUBTYPE)
    .map((entry) => ({ type: entry.type, label: entry.name, entry }));
  return searchedPartitions(kinds).map(({ entry }) => entry);
}

/** As the firmware recognises it; NVS only when it holds credentials, because every board has other NVS. */
function isImage(bytes: Uint8Array): boolean {
  return hasWord(bytes, 0, TLV_MAGIC) || looksLikeCustFlash(bytes) ||
    looksLikeNvs(bytes) && holdsCredentials(bytes);
}

/**
 * The image that bytes begin with, of which more may follow; undefined when they begin with something
 * else. It goes to the end of the bytes when the rest is erased; otherwise as far as a partition of it
 * must go: the sector in which a chain ends, the pages of NVS, the documented size of cust_flash.
 */
export function imageAtStart(bytes: Uint8Array): Uint8Array | undefined {
  if (!isImage(bytes)) return undefined;
  const least = hasWord(bytes, 0, TLV_MAGIC)
    ? alignUp(walkPartition(bytes).used + 1, FLASH_SECTOR)
    : looksLikeCustFlash(bytes)
    ? CUST_FLASH_SIZE
    : nvsLength(bytes);
  return isFilledWith(bytes.subarray(least), ERASED) ? bytes : bytes.subarray(0, least);
}

/** Bytes of the pages of NVS that others begin with. */
function nvsLength(bytes: Uint8Array): number {
  const states: readonly number[] = Object.values(NVS_PAGE_STATES);
  let end = 0;
  while (
    end + NVS_PAGE_SIZE <= bytes.length && states.includes(viewOf(bytes).getUint32(end, true))
  ) {
    end += NVS_PAGE_SIZE;
  }
  return end;
}

function holdsCredentials(bytes: Uint8Array): boolean {
  try {
    const { namespaces } = decodeBoundedNvs(bytes.subarray(0, nvsLength(bytes)));
    return NVS_CREDENTIAL_NAMESPACES.some((name) => namespaces.includes(name));
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}

/** The partition table of a dump, or why the bytes where it should be are not one. */
export function findTable(
  dump: Uint8Array,
  tableOffset: number,
): { table?: FoundTable; tableProblem?: SecureCertError } {
  const goesOn = dump.length > PARTITION_TABLE_SECTOR;
  const offset = [tableOffset, ...goesOn ? [0] : []].find((at) => startsTable(dump, at));
  if (offset === undefined) return {};
  try {
    return { table: { ...readTableSector(dump.subarray(offset)), offset } };
  } catch (error) {
    if (error instanceof SecureCertError) return { tableProblem: error };
    throw error;
  }
}

function partitionsOf(
  dump: Uint8Array,
  table: FoundTable,
  tableOffset: number,
): FoundPartition[] {
  const origin = originOf(table, tableOffset);
  return secureCertEntries(table.entries).map((entry) => {
    const { size, flags = 0 } = entry;
    const offset = entry.offset - origin;
    const bytes = offset < 0 ? dump.subarray(0, 0) : dump.subarray(offset, offset + size);
    return { entry, offset, size, encrypted: (flags & PARTITION_FLAGS.encrypted) !== 0, bytes };
  });
}

/** The address in flash of a dump's first byte: a dump that begins with its table begins there. */
export function originOf({ offset }: FoundTable, tableOffset: number): number {
  return offset === tableOffset ? 0 : tableOffset;
}

/** Not erased, as far as the dump shows. */
function isWritten({ bytes }: FoundPartition): boolean {
  return bytes.length === 0 || !isFilledWith(bytes, ERASED);
}

function findChains(dump: Uint8Array): FoundChain[] {
  const chains: FoundChain[] = [];
  const view = viewOf(dump);
  let wasted = 0;
  let at = 0;
  while (at + tlvSize(0) <= dump.length && chains.length < MAX_CHAINS) {
    if (view.getUint32(at, true) !== TLV_MAGIC) {
      at += TLV_ALIGNMENT;
      continue;
    }
    const size = entrySize(dump, at);
    if (size > 0 && isRight(dump.subarray(at, at + size))) {
      const { entries, used } = walkPartition(dump.subarray(at));
      chains.push({ offset: at, entries: entries.length, used });
      at += used;
      continue;
    }
    // Checksums of what turns out not to be an entry would take quadratic time in a crafted dump.
    wasted += size;
    at += wasted > dump.length ? Math.max(size, TLV_ALIGNMENT) : TLV_ALIGNMENT;
  }
  return chains;
}

/** Bytes that an entry at an offset says it has; 0 when it cannot have them. */
function entrySize(dump: Uint8Array, at: number): number {
  const length = viewOf(dump).getUint16(at + 10, true);
  const size = tlvSize(length);
  return length > MAX_TLV_LENGTH || at + size > dump.length ? 0 : size;
}

function isRight(entry: Uint8Array): boolean {
  const { crc } = readTlv(entry);
  return crc.stored === crc.computed;
}
