import { encodeUtf8 } from "../../bytes/text.ts";
import {
  isPrimary,
  MAX_PARTITION_NAME,
  maxPartitions,
  offsetAlignment,
  PARTITION_FLAGS,
  PARTITION_TABLE_OFFSET,
  PARTITION_TABLE_SECTOR,
  PARTITION_TYPES,
  type PartitionTableEntry,
} from "./binary.ts";

/** otadata and its twin of the trusted execution environment. */
const OTA_DATA_SUBTYPES: readonly number[] = [0, 0x90];
const ALWAYS_WRITTEN_SUBTYPES: readonly number[] = [0, 3];
const NVS_SUBTYPES: readonly number[] = [2];
const OTA_DATA_SIZE = 0x2000;
const SMALLEST_WRITABLE_NVS = 0x3000;
const APP_SIZE_UNIT = 0x1000;
const SIGNED_V1_SIZE_UNIT = 0x10000;

/** What {@linkcode checkPartitionTable} needs to know of the project. */
export interface PartitionCheckOptions {
  /** Where the partition table is in flash, in bytes. @default 0x8000 */
  readonly tableOffset?: number;
  /** Whether the table has a digest, which takes a row. @default true */
  readonly md5?: boolean;
  /** Size of the flash chip in bytes. @default not looked at */
  readonly flashSize?: number;
  /**
   * Whether the rows must be in the order of their offsets, as ESP-IDF's tool wants them in text: a row
   * starts where the one above it ends, or after. @default false
   */
  readonly ordered?: boolean;
  /** Secure boot v1, for which an app's size must be a multiple of 64 KiB. @default false */
  readonly secureBootV1?: boolean;
}

/** Something wrong with a table; `entry` and `of` are indices of its partitions. */
export type PartitionTableFinding =
  | {
    readonly kind: "alignment";
    readonly entry: number;
    readonly field: "offset" | "size";
    /** What the value should be a multiple of. */
    readonly unit: number;
  }
  | { readonly kind: "out-of-order"; readonly entry: number; readonly of: number }
  | { readonly kind: "overlap"; readonly entry: number; readonly of: number }
  | { readonly kind: "duplicate-name"; readonly entry: number; readonly of: number }
  | { readonly kind: "name-length"; readonly entry: number; readonly length: number }
  | { readonly kind: "before-table-end"; readonly entry: number; readonly end: number }
  | { readonly kind: "past-flash-end"; readonly entry: number; readonly end: number }
  | { readonly kind: "empty"; readonly entry: number }
  | { readonly kind: "otadata-size"; readonly entry: number; readonly size: number }
  | { readonly kind: "otadata-twice"; readonly entry: number; readonly of: number }
  | { readonly kind: "never-readonly"; readonly entry: number }
  | { readonly kind: "nvs-too-small"; readonly entry: number; readonly size: number }
  | { readonly kind: "too-many"; readonly entry: number; readonly limit: number };

/**
 * What the rules of ESP-IDF forbid in a table (FORMAT: partition table): offsets off their
 * alignment, overlaps, names that are long or used twice, partitions that reach into the table or
 * past the flash, an otadata partition (of either kind) that is not 0x2000 bytes or not the only one,
 * otadata or a core dump that is read-only, an NVS partition of less than 0x3000 bytes that is not,
 * more partitions than fit, rows out of order where that matters; and partitions of no bytes.
 *
 * @param entries The partitions in the order of the table.
 * @param options What is known of the project.
 * @returns The findings, none for a good table.
 */
export function checkPartitionTable(
  entries: readonly PartitionTableEntry[],
  options: PartitionCheckOptions = {},
): PartitionTableFinding[] {
  const limit = maxPartitions(options.md5 ?? true);
  return [
    ...entries.flatMap((entry, index) => checkEntry(entry, index, options)),
    ...duplicates(entries, (entry) => entry.name, "duplicate-name"),
    ...duplicates(entries, otaDataKind, "otadata-twice"),
    ...overlaps(entries),
    ...options.ordered === true ? outOfOrder(entries) : [],
    ...entries.length > limit ? [{ kind: "too-many", entry: limit, limit } as const] : [],
  ];
}

function checkEntry(
  entry: PartitionTableEntry,
  index: number,
  options: PartitionCheckOptions,
): PartitionTableFinding[] {
  const findings: PartitionTableFinding[] = [];
  const { name, offset, size, flags = 0 } = entry;
  const tableEnd = (options.tableOffset ?? PARTITION_TABLE_OFFSET) + PARTITION_TABLE_SECTOR;
  const nameLength = encodeUtf8(name).length;
  if (nameLength > MAX_PARTITION_NAME) {
    findings.push({ kind: "name-length", entry: index, length: nameLength });
  }
  findings.push(...checkAlignment(entry, index, options.secureBootV1 ?? false));
  if (size === 0) findings.push({ kind: "empty", entry: index });
  if (offset < tableEnd && !isPrimary(entry)) {
    findings.push({ kind: "before-table-end", entry: index, end: tableEnd });
  }
  if (options.flashSize !== undefined && offset + size > options.flashSize) {
    findings.push({ kind: "past-flash-end", entry: index, end: offset + size });
  }
  if (isData(entry, OTA_DATA_SUBTYPES) && size !== OTA_DATA_SIZE) {
    findings.push({ kind: "otadata-size", entry: index, size });
  }
  const writable = (flags & PARTITION_FLAGS.readonly) === 0;
  if (isData(entry, ALWAYS_WRITTEN_SUBTYPES) && !writable) {
    findings.push({ kind: "never-readonly", entry: index });
  }
  if (isData(entry, NVS_SUBTYPES) && writable && size < SMALLEST_WRITABLE_NVS) {
    findings.push({ kind: "nvs-too-small", entry: index, size });
  }
  return findings;
}

function checkAlignment(
  { type, offset, size }: PartitionTableEntry,
  entry: number,
  secureBootV1: boolean,
): PartitionTableFinding[] {
  const findings: PartitionTableFinding[] = [];
  const unit = offsetAlignment(type);
  if (offset % unit !== 0) findings.push({ kind: "alignment", entry, field: "offset", unit });
  if (type !== PARTITION_TYPES.app) return findings;
  const sizeUnit = secureBootV1 ? SIGNED_V1_SIZE_UNIT : APP_SIZE_UNIT;
  if (size % sizeUnit !== 0) {
    findings.push({ kind: "alignment", entry, field: "size", unit: sizeUnit });
  }
  return findings;
}

function duplicates<K>(
  entries: readonly PartitionTableEntry[],
  keyOf: (entry: PartitionTableEntry) => K | undefined,
  kind: "duplicate-name" | "otadata-twice",
): PartitionTableFinding[] {
  const first = new Map<K, number>();
  return entries.flatMap((each, entry) => {
    const key = keyOf(each);
    if (key === undefined) return [];
    const of = first.get(key);
    if (of === undefined) first.set(key, entry);
    return of === undefined ? [] : [{ kind, entry, of }];
  });
}

/** One finding for each partition that starts before all that start earlier have ended. */
function overlaps(entries: readonly PartitionTableEntry[]): PartitionTableFinding[] {
  const order = entries.map((_, index) => index)
    .sort((a, b) => entries[a]!.offset - entries[b]!.offset);
  const findings: PartitionTableFinding[] = [];
  let end = 0;
  let of = 0;
  for (const entry of order) {
    const { offset, size } = entries[entry]!;
    if (offset < end && size > 0) findings.push({ kind: "overlap", entry, of });
    if (offset + size > end) [end, of] = [offset + size, entry];
  }
  return findings;
}

/** The bootloader and the table itself are before the others, and may be in any row. */
function outOfOrder(entries: readonly PartitionTableEntry[]): PartitionTableFinding[] {
  const findings: PartitionTableFinding[] = [];
  let above: number | undefined;
  entries.forEach((each, entry) => {
    if (isPrimary(each)) return;
    const last = above === undefined ? undefined : entries[above]!;
    if (last !== undefined && each.offset < last.offset) {
      findings.push({ kind: "out-of-order", entry, of: above! });
    }
    above = entry;
  });
  return findings;
}

/**
 * Whether ESP-IDF's tool refuses a table for a finding. It writes names that are too long cut off, and
 * partitions of no bytes; small NVS it refuses only since it knows the flag `readonly`.
 */
export function isRefusal({ kind }: PartitionTableFinding): boolean {
  return kind !== "name-length" && kind !== "empty" && kind !== "nvs-too-small";
}

function isData({ type, subtype }: PartitionTableEntry, wanted: readonly number[]): boolean {
  return type === PARTITION_TYPES.data && wanted.includes(subtype);
}

function otaDataKind(entry: PartitionTableEntry): number | undefined {
  return isData(entry, OTA_DATA_SUBTYPES) ? entry.subtype : undefined;
}
