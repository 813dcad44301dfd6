import { SecureCertError } from "../../bytes/errors.ts";
import { didYouMean } from "../../bytes/nearest.ts";
import { alignUp } from "../../bytes/pack.ts";
import { decodeText, shownWord } from "../../bytes/text.ts";
import {
  isPrimary,
  offsetAlignment,
  PARTITION_FLAGS,
  PARTITION_TABLE_OFFSET,
  PARTITION_TABLE_SECTOR,
  PARTITION_TYPES,
  type PartitionTable,
  type PartitionTableEntry,
  readTableSector,
  startsTable,
} from "./binary.ts";

const APP = PARTITION_TYPES.app;
const UNDEFINED_SUBTYPE = 6;
const OTA_SLOTS = 16;
const TEE_SLOTS = 2;
const FIELDS = ["name", "type", "subtype", "offset", "size", "flags"] as const;
const UNITS: Readonly<Record<string, number>> = { k: 1024, m: 1024 * 1024 };
/** As Python reads numbers with a prefix or none, with a unit after them. */
const NUMBER =
  /^([+-]?)(0x[0-9a-f]+(?:_[0-9a-f]+)*|0o[0-7]+|0b[01]+|0+|[1-9][0-9]*(?:_[0-9]+)*)([km]?)$/i;
const MAX_U32 = 0xFFFFFFFF;

const APP_SUBTYPES: Readonly<Record<string, number>> = {
  factory: 0,
  ...numbered("ota_", 0x10, OTA_SLOTS),
  test: 0x20,
  ...numbered("tee_", 0x30, TEE_SLOTS),
};

const DATA_SUBTYPES: Readonly<Record<string, number>> = {
  ota: 0,
  phy: 1,
  nvs: 2,
  coredump: 3,
  nvs_keys: 4,
  efuse: 5,
  undefined: UNDEFINED_SUBTYPE,
  esphttpd: 0x80,
  fat: 0x81,
  spiffs: 0x82,
  littlefs: 0x83,
  tee_ota: 0x90,
};

const BOOTLOADER_SUBTYPES: Readonly<Record<string, number>> = { primary: 0, ota: 1, recovery: 2 };
const TABLE_SUBTYPES: Readonly<Record<string, number>> = { primary: 0, ota: 1 };

function numbered(prefix: string, first: number, count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [prefix + n, first + n]));
}

/**
 * The partitions of a CSV as ESP-IDF projects have it (FORMAT: partition table): a row a line of `name,
 * type, subtype, offset, size, flags`, with `#` before a comment; further fields are ignored. Numbers are
 * decimal, 0x, 0o or 0b, offsets and sizes also with K or M; types and subtypes may be names; flags are
 * joined by `:`. A blank offset is the next free aligned one, a negative size ends at that address, and a
 * blank subtype is `undefined` except for an app. Quotes and variables have no meaning, and `N/A` is not
 * an offset: rows for the bootloader and the table need numbers, and do not move other rows.
 *
 * @category Partition tables
 * @throws {SecureCertError} `ERR_CSV` with line and field at the first row that cannot be read;
 * `RangeError` for a table offset that is not a 32-bit number.
 */
export function parsePartitionCsv(
  text: string,
  options: {
    /** Where the partition table is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
  } = {},
): PartitionTableEntry[] {
  const { tableOffset = PARTITION_TABLE_OFFSET } = options;
  if (!Number.isInteger(tableOffset) || tableOffset < 0 || tableOffset > MAX_U32) {
    throw new RangeError(`Cannot parse partition table: bad table offset ${tableOffset}`);
  }
  const entries: PartitionTableEntry[] = [];
  let end = tableOffset + PARTITION_TABLE_SECTOR;
  text.split(/\r\n|\n|\r/).forEach((raw, index) => {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) return;
    const entry = parseRow(line, index + 1, end);
    entries.push(entry);
    if (!isPrimary(entry)) end = entry.offset + entry.size;
  });
  return entries;
}

/**
 * The text of a table, as {@linkcode parsePartitionCsv} reads it: a heading, then a row a partition,
 * ended by LF, with names for the types, subtypes and flags that have one, and hexadecimal addresses.
 *
 * @category Partition tables
 * @throws {SecureCertError} `ERR_CSV` with the entry for a name that the text cannot express (a comma, a
 * line break, blanks at an end, `#` at the start) or flags without a name.
 */
export function formatPartitionCsv(entries: readonly PartitionTableEntry[]): string {
  const rows = entries.map((entry, index) => formatRow(entry, index));
  return ["# Name, Type, SubType, Offset, Size, Flags", ...rows].join("\n") + "\n";
}

/** The name of a partition type as texts have it, such as `data`; its number in hexadecimal without. */
export function partitionTypeName(type: number): string {
  return nameOf(type, PARTITION_TYPES);
}

/** The name of a partition subtype as texts have it, such as `nvs`; as {@linkcode partitionTypeName}. */
export function partitionSubtypeName(type: number, subtype: number): string {
  return nameOf(subtype, subtypesOf(type));
}

type Field = typeof FIELDS[number];
type Fail = (field: Field | undefined, problem: string) => SecureCertError;

function parseRow(text: string, line: number, end: number): PartitionTableEntry {
  const fail: Fail = (field, problem) =>
    new SecureCertError(
      "ERR_CSV",
      `Cannot parse partition table: ${problem} in line ${line}`,
      { line, field },
    );
  if (!text.includes(",") && /[;\t]/.test(text)) {
    throw fail(undefined, "no commas, but semicolons or tabs, between the fields");
  }
  // What follows the sixth is not looked at: people put comments there.
  const cells = text.split(",", FIELDS.length).map((cell) => cell.trim());
  const [name = "", typeText = "", subtypeText = "", offsetText = "", sizeText = "", flags = ""] =
    cells;
  const type = parseNamed(typeText, PARTITION_TYPES, "type", fail);
  const subtype = parseSubtype(type, subtypeText, fail);
  const offset = offsetText === ""
    ? alignUp(end, offsetAlignment(type))
    : parseAddress(offsetText, "offset", fail);
  if (offset < 0 || offset > MAX_U32) throw fail("offset", "offset is not a 32-bit number");
  const stated = parseAddress(sizeText, "size", fail);
  const size = stated < 0 ? -stated - offset : stated;
  if (size < 0 || size > MAX_U32) throw fail("size", "size ends before the offset");
  return { name, type, subtype, offset, size, flags: parseFlags(flags, fail) };
}

function parseSubtype(type: number, text: string, fail: Fail): number {
  if (text !== "") return parseNamed(text, subtypesOf(type), "subtype", fail);
  if (type === APP) throw fail("subtype", "an app needs a subtype, there is none");
  return UNDEFINED_SUBTYPE;
}

function parseNamed(
  text: string,
  names: Readonly<Record<string, number>>,
  field: Field,
  fail: Fail,
): number {
  const name = text.toLowerCase();
  if (Object.hasOwn(names, name)) return names[name]!;
  const [, sign, digits, unit] = NUMBER.exec(text) ?? [];
  const number = valueOf(digits);
  if (sign !== "-" && unit === "" && number <= 0xFF) return number;
  const meant = didYouMean(name, Object.keys(names));
  throw fail(
    field,
    `${field} '${shownWord(text)}' is neither a known name nor a number from 0 to 255${meant}`,
  );
}

function parseAddress(text: string, field: Field, fail: Fail): number {
  const [, sign, digits, unit] = NUMBER.exec(text) ?? [];
  if (digits === undefined) throw fail(field, `${field} '${shownWord(text)}' is not a number`);
  const value = valueOf(digits) * (UNITS[unit!.toLowerCase()] ?? 1);
  return sign === "-" ? 0 - value : value;
}

/** Python's numbers may have underscores between their digits. */
function valueOf(digits: string | undefined): number {
  return Number(digits?.replaceAll("_", ""));
}

function parseFlags(text: string, fail: Fail): number {
  let flags = 0;
  for (const flag of text.split(":")) {
    if (flag === "") continue;
    if (flag !== "encrypted" && flag !== "readonly") {
      const meant = didYouMean(flag, Object.keys(PARTITION_FLAGS));
      throw fail(
        "flags",
        `flag '${shownWord(flag)}' is neither 'encrypted' nor 'readonly'${meant}`,
      );
    }
    flags |= PARTITION_FLAGS[flag];
  }
  return flags;
}

function formatRow(entry: PartitionTableEntry, index: number): string {
  const { name, type, subtype, offset, size, flags = 0 } = entry;
  if (/[,\r\n]|^#|^\s|\s$/.test(name)) throw unwritable(index, "name");
  const named = Object.entries(PARTITION_FLAGS).filter(([, bit]) => (flags & bit) !== 0);
  if (named.reduce((sum, [, bit]) => sum + bit, 0) !== flags) throw unwritable(index, "flags");
  return [
    name,
    partitionTypeName(type),
    partitionSubtypeName(type, subtype),
    hex(offset),
    hex(size),
    named.map(([flag]) => flag).join(":"),
  ].join(", ").trimEnd();
}

function subtypesOf(type: number): Readonly<Record<string, number>> {
  return [APP_SUBTYPES, DATA_SUBTYPES, BOOTLOADER_SUBTYPES, TABLE_SUBTYPES][type] ?? {};
}

function nameOf(value: number, names: Readonly<Record<string, number>>): string {
  return Object.entries(names).find(([, number]) => number === value)?.[0] ?? hex(value);
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function unwritable(entry: number, field: Field): SecureCertError {
  return new SecureCertError(
    "ERR_CSV",
    `Cannot format partition table: ${field} of entry ${entry} cannot be written as text`,
    { entry, field },
  );
}

/** A longer file is not the text of a partition table. */
const TEXT_LIMIT = 0x10000;

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
