import { MAX_FLASH } from "../../format/chips/chips.ts";
import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { alignUp, type Bytes, concat, inRange } from "../../bytes/pack.ts";
import {
  buildsThatRead,
  isSearchedName,
  layoutsReadIn,
  LEGACY_FORMATS_OPTION,
  type PartitionKind,
  searchedPartitions,
} from "../../device/partition.ts";
import { type Finding, finding } from "../../findings/findings.ts";
import type { DumpEncoding } from "../../format/dump/dump.ts";
import type { ImageFormat } from "../../format/names.ts";
import {
  FLASH_SECTOR,
  PARTITION_FLAGS,
  PARTITION_TABLE_OFFSET,
  type PartitionTable,
  type PartitionTableEntry,
} from "../../format/table/binary.ts";
import {
  findSecureCert,
  findTable,
  type Found,
  type FoundChain,
  type FoundPartition,
  type FoundTable,
  imageAtStart,
  originOf,
} from "./find.ts";

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

/** Where to look for an image in a file. */
export interface Whereabouts {
  /** Where the partition table of a flash dump is in flash, in bytes. @default 0x8000 */
  readonly tableOffset?: number;
  /**
   * Where the image begins in the file, in bytes; in an Intel HEX or UF2 file its address.
   * @default where the partition table says, or else where a chain of entries is found
   */
  readonly offset?: number;
}

/** The image in a file. */
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
  /** How the file is encoded, when it is Intel HEX or UF2. */
  readonly encoding?: DumpEncoding;
  /** What is wrong with where it is, whatever its layout. */
  readonly findings: readonly Finding[];
}

const LISTED_CHAINS = 5;
const MAX_U32 = 0xFFFFFFFF;
const ERASED = 0xFF;

/** What Intel HEX and UF2 begin with: what decodes them is loaded for nothing else. */
const ENCODED = new Set([":", "U", " ", "\t", "\r", "\n"].map((first) => first.charCodeAt(0)));

/**
 * The image in a dump of flash, in an Intel HEX or UF2 file of one, or in a file that is one.
 *
 * @param file Any bytes.
 * @throws {RangeError} for a table offset that is not a 32-bit number, or an offset after the end.
 */
export async function locate(file: Uint8Array, where: Whereabouts = {}): Promise<Located> {
  const { tableOffset = PARTITION_TABLE_OFFSET, offset } = where;
  inRange(tableOffset, MAX_U32, "Cannot find partition: table offset");
  if (!ENCODED.has(file[0]!)) return locateIn(file, tableOffset, offset);
  const { decodeDump, dumpEncodingOf } = await import("../../format/dump/dump.ts");
  const encoding = dumpEncodingOf(file);
  if (encoding === undefined) return locateIn(file, tableOffset, offset);
  try {
    const { address, bytes } = decodeDump(file, encoding);
    const start = address + bytes.length <= MAX_FLASH ? address : 0;
    // The file may hold only an image, at its address.
    const begin = offset ?? (imageAtStart(bytes) === undefined ? undefined : start);
    return { ...locateIn(afterErased(start, bytes), tableOffset, begin), encoding };
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return { encoding, findings: [undecoded(encoding, error)] };
  }
}

/** Bytes at an address, with erased flash before them. */
export function afterErased(address: number, bytes: Bytes): Bytes {
  return address === 0 ? bytes : concat(new Uint8Array(address).fill(ERASED), bytes);
}

/** Why a file that is encoded cannot be read. */
function undecoded(encoding: DumpEncoding, { code, message }: SecureCertError): Finding {
  if (code === "ERR_TRUNCATED") return finding("TRUNCATED", message);
  const name = encoding === "uf2" ? "UF2" : "Intel HEX";
  return finding("NOT_AN_IMAGE", `looks like ${name}: ${message}`);
}

function locateIn(dump: Uint8Array, tableOffset: number, offset = 0): Located {
  if (offset > 0) return locateAt(dump, tableOffset, offset);
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

/** The image that somebody says is at an offset; or else what is found in a dump that begins there. */
function locateAt(dump: Uint8Array, tableOffset: number, offset: number): Located {
  if (offset >= dump.length) {
    throw new RangeError(`Offset ${offset} is past the file's ${countOf(dump.length, "byte")}`);
  }
  const { table } = findTable(dump, tableOffset);
  const address = offset + (table === undefined ? 0 : originOf(table, tableOffset));
  const entry = table?.entries.find((each) => each.offset === address);
  if (table === undefined || entry === undefined) {
    const rest = dump.subarray(offset);
    const image = imageAtStart(rest);
    if (image !== undefined) return { image, findings: [] };
    return movedBy(offset, locateIn(rest, tableOffset));
  }
  const { size } = entry;
  const bytes = dump.subarray(offset, offset + size);
  return {
    image: bytes,
    partitionSize: size,
    location: locationIn(table, entry, { offset }),
    table,
    // That the firmware looks elsewhere is known to those who say where.
    entry: isSearchedName(entry.name) ? entry : undefined,
    findings: [...checkDigest(table), ...checkCut({ entry, size, bytes })],
  };
}

/** What was found in a part of a file, with its place in the whole. */
function movedBy(distance: number, located: Located): Located {
  const { location } = located;
  if (location === undefined) return located;
  const { tableOffset } = location;
  const moved = { offset: location.offset + distance };
  if (location.kind === "table") {
    return {
      ...located,
      location: { ...location, ...moved, tableOffset: location.tableOffset + distance },
    };
  }
  const others = location.others.map((each) => ({ ...each, offset: each.offset + distance }));
  return {
    ...located,
    location: {
      ...location,
      ...moved,
      others,
      tableOffset: tableOffset === null ? null : tableOffset + distance,
    },
  };
}

/** An image that was found in a file, to be changed, converted or taken apart. */
export interface FoundImage {
  /** Its bytes, a view: the whole of its partition, as far as that is known. */
  readonly image: Uint8Array;
  /** Size of its partition in bytes, where a table says it. */
  readonly partitionSize?: number;
  /** Type and label of its partition, where a table says them. */
  readonly entry?: PartitionTableEntry;
  /** Where it was found, inside something larger. */
  readonly location?: ImageLocation;
  /** How the file is encoded, when it is Intel HEX or UF2. */
  readonly encoding?: DumpEncoding;
}

/**
 * As {@linkcode locate}, for those who need the image whole. A file that is not a dump is returned as it
 * is, even if it is not an image.
 *
 * @throws {SecureCertError} `ERR_MAGIC` for a dump without an image; `ERR_TRUNCATED` for a partition that
 * is not there in full. {@linkcode locate} also throws a RangeError.
 */
export async function findImage(file: Uint8Array, where: Whereabouts = {}): Promise<FoundImage> {
  const { image, findings, ...found } = await locate(file, where);
  const cut = findings.find(({ code }) => code === "TRUNCATED");
  if (image !== undefined && cut === undefined) return { image, ...found };
  const message = `Cannot find image: ${(cut ?? findings.at(-1))?.message}`;
  throw new SecureCertError(cut === undefined ? "ERR_MAGIC" : "ERR_TRUNCATED", message);
}

/** What a table says of a partition, as reports show it. */
export function placeOf(
  { name, type, subtype, offset, size, flags = 0 }: PartitionTableEntry,
): PartitionPlace {
  const encrypted = (flags & PARTITION_FLAGS.encrypted) !== 0;
  const readonly = (flags & PARTITION_FLAGS.readonly) !== 0;
  return { name, type, subtype, offset, size, encrypted, readonly };
}

/** The location of an image in a partition of a table. */
function locationIn(
  { offset: tableOffset }: FoundTable,
  entry: PartitionTableEntry,
  { offset, others = [] }: {
    readonly offset: number;
    readonly others?: readonly PartitionTableEntry[];
  },
): ImageLocation {
  const partition = placeOf(entry);
  return { kind: "table", tableOffset, partition, offset, others: others.map(placeOf) };
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
    location: locationIn(table, entry, { offset, others: others.map((other) => other.entry) }),
    table,
    entry,
    findings: [...checkTable(table, false), ...checkCut(partition)],
  };
}

/** Other checks say what the bytes are instead, unless there is a table. */
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

function checkCut(
  { entry, size, bytes }: Pick<FoundPartition, "entry" | "size" | "bytes">,
): Finding[] {
  if (bytes.length === size) return [];
  const where = `the partition ${entry.name} at ${hex(entry.offset)}`;
  const message = bytes.length === 0
    ? `${where} is outside the dump`
    : `the dump ends ${countOf(size - bytes.length, "byte")} before ${where} does`;
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

/** Type and label of a partition, by which the firmware finds it. */
export function kindOf({ type, name }: PartitionTableEntry): PartitionKind {
  return { type, label: name };
}

/**
 * Whether the firmware reads an image from the partition that it is in, and no other partition before
 * that one.
 *
 * @param format Layout of the image.
 * @param entry The partition, as the table has it.
 * @param table The partition table.
 */
export function checkPlacement(
  format: ImageFormat,
  entry: PartitionTableEntry,
  table: PartitionTable,
): Finding[] {
  if (buildsThatRead(format, kindOf(entry)) === "no build") {
    const message = `no firmware reads a ${format} image in ${describe(entry)}: ${
      whatIsRead(format, kindOf(entry))
    }`;
    return [finding("WRONG_PARTITION", message)];
  }
  const [first] = searchedPartitions(
    table.entries.map((each) => ({ ...kindOf(each), entry: each })),
  );
  // Of one kind the first that can be opened is read, which is how the partition was found.
  if (first === undefined || isSameKind(first, kindOf(entry))) return [];
  const message = `the firmware reads ${describe(first.entry)} at 0x${
    first.entry.offset.toString(16)
  }, finds no image there, and never looks at ${describe(entry)}, which holds one`;
  return [finding("WRONG_PARTITION", message)];
}

function whatIsRead(format: ImageFormat, partition: PartitionKind): string {
  const expected = layoutsReadIn(partition, true);
  if (expected.length === 0) return "it looks for another type or name";
  const builds = layoutsReadIn(partition, false).length > 0
    ? `it expects tlv, with ${LEGACY_FORMATS_OPTION} also`
    : `with ${LEGACY_FORMATS_OPTION} it expects`;
  const others = expected.filter((each) => each !== "tlv").join(" or ");
  const isOtherOrder = format.startsWith("cust_flash") && others.startsWith("cust_flash");
  const outcome = isOtherOrder
    ? "reads the checksums of the certificates in the wrong order, so that it gets only the private key"
    : "gets nothing";
  return `${builds} ${others}, and ${outcome}`;
}

function describe({ name, type }: PartitionTableEntry): string {
  return `the partition ${name} of type 0x${type.toString(16)}`;
}

function isSameKind(a: PartitionKind, b: PartitionKind): boolean {
  return a.type === b.type && a.label === b.label;
}
