import type { SecureCertError } from "../../bytes/errors.ts";
import { alignUp } from "../../bytes/pack.ts";
import {
  PARTITION_FLAGS,
  PARTITION_TABLE_OFFSET,
  type PartitionTable,
  type PartitionTableEntry,
} from "../../format/table/binary.ts";
import { isSearchedName } from "../../device/partition.ts";
import {
  findSecureCert,
  type Found,
  type FoundChain,
  type FoundPartition,
  type FoundTable,
  originOf,
} from "./find.ts";
import { type Finding, finding } from "../../findings/findings.ts";

/**
 * Where an image was found that is inside something larger, such as a dump of flash: through a partition
 * table, or by its magic number.
 *
 * @category Reading and checking
 */
export type ImageLocation =
  | {
    readonly kind: "table";
    /** Where the table starts, bytes from the start of the file. */
    readonly tableOffset: number;
    /** What the table says of the partition. */
    readonly partition: {
      readonly name: string;
      readonly type: number;
      readonly subtype: number;
      /** Where it starts in flash, in bytes. */
      readonly offset: number;
      readonly size: number;
      /** Whether it is flagged as encrypted. */
      readonly encrypted: boolean;
      /** Whether it is flagged as read-only. */
      readonly readonly: boolean;
    };
    /** Where the image starts, bytes from the start of the file. */
    readonly offset: number;
    /** Other partitions that the firmware would look at, in its order. */
    readonly others: readonly {
      readonly name: string;
      readonly type: number;
      readonly subtype: number;
      readonly offset: number;
      readonly size: number;
      readonly encrypted: boolean;
      readonly readonly: boolean;
    }[];
  }
  | {
    readonly kind: "scan";
    /** Where a table starts that names no such partition; null when there is none. */
    readonly tableOffset: number | null;
    readonly partition: null;
    /** Where the image starts, bytes from the start of the file. */
    readonly offset: number;
    /** Other chains of entries: where they start, how many entries they have, and their bytes. */
    readonly others: readonly {
      readonly offset: number;
      readonly entries: number;
      readonly used: number;
    }[];
  };

/** A partition in a report. */
export type PartitionPlace = NonNullable<ImageLocation["partition"]>;

/** The image in some bytes. */
export interface Located {
  /** Its bytes, a view; absent when there is none, for which the findings say why. */
  readonly image?: Uint8Array;
  /** Size of its partition in bytes, where a table says it. */
  readonly partitionSize?: number;
  /** Where it was found, inside something larger. */
  readonly location?: ImageLocation;
  /** The partition table. */
  readonly table?: PartitionTable;
  /** The partition of that table that it is in. */
  readonly entry?: PartitionTableEntry;
  /** What is wrong with where it is, whatever its layout. */
  readonly findings: readonly Finding[];
}

/** Partitions start at sectors. */
const FLASH_SECTOR = 0x1000;
const LISTED_CHAINS = 5;

/**
 * The image in a dump, or in a file that is one.
 *
 * @param dump Any bytes.
 * @param tableOffset Where the partition table is in flash, in bytes. @default 0x8000
 * @throws {RangeError} for a table offset that is not a 32-bit number.
 */
export function locate(dump: Uint8Array, tableOffset = PARTITION_TABLE_OFFSET): Located {
  const found = findSecureCert(dump, { tableOffset });
  switch (found.kind) {
    case "image":
      return { image: dump, findings: [] };
    case "table":
      return locateByTable(found);
    case "scan":
      return locateByScan(dump, found, tableOffset);
    case "none":
      return locateNothing(dump, found, tableOffset);
    default:
      return found satisfies never;
  }
}

/** What a table says of a partition, as reports show it. */
export function placeOf(
  { name, type, subtype, offset, size, flags = 0 }: PartitionTableEntry,
): PartitionPlace {
  const encrypted = (flags & PARTITION_FLAGS.encrypted) !== 0;
  const readonly = (flags & PARTITION_FLAGS.readonly) !== 0;
  return { name, type, subtype, offset, size, encrypted, readonly };
}

/** What makes the firmware refuse a table. */
export function checkDigest({ md5 }: PartitionTable): Finding[] {
  if (md5?.ok !== false) return [];
  const message = "the MD5 of the partition table does not match; the firmware refuses the table";
  return [finding("BAD_CHECKSUM", message)];
}

function locateByTable({ table, partition, others }: Extract<Found, { kind: "table" }>): Located {
  const { bytes, size, offset, entry } = partition;
  return {
    image: bytes.length === 0 ? undefined : bytes,
    partitionSize: size,
    location: {
      kind: "table",
      tableOffset: table.offset,
      partition: placeOf(entry),
      offset,
      others: others.map((other) => placeOf(other.entry)),
    },
    table,
    entry,
    findings: [...checkTable(table, false), ...checkCut(partition)],
  };
}

/** What the bytes are instead is for others to say, unless there is a table. */
function locateNothing(
  dump: Uint8Array,
  { table, tableProblem }: Extract<Found, { kind: "none" }>,
  tableOffset: number,
): Located {
  if (table !== undefined) return { table, findings: checkTable(table, true) };
  if (tableProblem !== undefined) return { findings: [noTable(tableOffset, tableProblem)] };
  return { image: dump, findings: [] };
}

function checkTable(table: FoundTable, isWithout: boolean): Finding[] {
  const findings = checkDigest(table);
  if (!isWithout) return findings;
  const message = `the partition table at ${
    hex(table.offset)
  } names no esp_secure_cert partition; the firmware finds none`;
  return [...findings, finding("NOT_AN_IMAGE", message)];
}

function checkCut({ entry, size, bytes }: FoundPartition): Finding[] {
  if (bytes.length === size) return [];
  const where = `the partition ${entry.name} at ${hex(entry.offset)}`;
  const message = bytes.length === 0
    ? `${where} is outside the dump`
    : `the dump ends ${size - bytes.length} bytes before ${where} does`;
  return [finding("TRUNCATED", message, bytes.length === 0 ? {} : { offset: bytes.length })];
}

function locateByScan(
  dump: Uint8Array,
  { chains, table, tableProblem }: Extract<Found, { kind: "scan" }>,
  tableOffset: number,
): Located {
  const chain = chains.find(({ offset }) => offset % FLASH_SECTOR === 0);
  const entry = table && chain && namesakeAt(table, chain.offset + originOf(table, tableOffset));
  const why = table ? checkTable(table, entry === undefined) : [noTable(tableOffset, tableProblem)];
  if (chain === undefined) {
    const errors = why.filter(({ severity }) => severity === "error");
    return { table, findings: [...errors, chainsOnly(chains)] };
  }
  // What follows in the chain's last sector is the partition's, and the rest is unknown.
  const end = chain.offset + alignUp(chain.used + 1, FLASH_SECTOR);
  return {
    image: dump.subarray(chain.offset, end),
    location: {
      kind: "scan",
      tableOffset: table?.offset ?? null,
      partition: null,
      offset: chain.offset,
      others: chains.filter((other) => other !== chain),
    },
    table,
    entry,
    findings: why,
  };
}

/** The partition at an address that has a name that the firmware looks for, though not its type. */
function namesakeAt({ entries }: PartitionTable, address: number): PartitionTableEntry | undefined {
  return entries.find(({ name, offset }) => offset === address && isSearchedName(name));
}

function noTable(tableOffset: number, problem: SecureCertError | undefined): Finding {
  if (problem !== undefined) return finding("BAD_MAGIC", problem.message);
  const message = `no partition table at ${hex(tableOffset)} says where the firmware looks`;
  return finding("BAD_MAGIC", message, {}, "warning");
}

function chainsOnly(chains: readonly FoundChain[]): Finding {
  const listed = chains.slice(0, LISTED_CHAINS)
    .map(({ offset, entries }) => `${hex(offset)} (${entries})`).join(", ");
  const more = chains.length > LISTED_CHAINS ? ` and ${chains.length - LISTED_CHAINS} more` : "";
  const message = `no entry at the start, nor at any sector; chains of entries start at ${listed}`;
  return finding("BAD_MAGIC", message + more, { offset: 0 });
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
