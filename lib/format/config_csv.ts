import { SecureCertError } from "../bytes/errors.ts";
import {
  CONFIG_DATA_TYPES,
  type ConfigValue,
  configValueBytes,
  isPemValue,
} from "./config_value.ts";
import { type CsvField, type CsvProblem, formatCsvRecord, readCsv } from "./csv_records.ts";
import { type KeyMode, parseTlvType, tlvTypeName } from "./names.ts";

/** The columns of a configuration CSV as Espressif's host tool documents them. */
export const CONFIG_COLUMNS = [
  "tlv_type",
  "tlv_subtype",
  "data_value",
  "data_type",
  "priv_key_type",
  "algorithm",
  "key_size",
  "efuse_id",
  "efuse_key",
] as const;

const KEY_MODES = ["plaintext", "rsa-ds", "ecdsa-peripheral", "hmac-encrypted", "hmac-derived"];
const ALGORITHMS = ["RSA", "ECDSA"] as const;
const KEY_SIZES = { RSA: [1024, 2048, 3072, 4096], ECDSA: [192, 256, 384, 521] } as const;

/** One row of a configuration CSV: an entry to be made. */
export interface ConfigRow extends ConfigValue {
  /** Number among the entries of this type, 0 to 253; the types 50, 254 and 255 are reserved. */
  readonly subtype: number;
  /** How a private key reaches the device; present in private key rows alone. */
  readonly keyMode?: KeyMode;
  /** Kind of the private key, where the row tells. */
  readonly algorithm?: "RSA" | "ECDSA";
  /** Size of the private key in bits, where the row tells. */
  readonly keySize?: number;
  /** eFuse key block KEY0 to KEY5, where the row tells. */
  readonly efuseId?: number;
  /** Name of the file with the eFuse key, where the row tells. */
  readonly efuseKey?: string;
  /** Line of the text where the row begins, from 1. */
  readonly line?: number;
}

/** Something that is wrong with a configuration CSV. */
export type ConfigProblem = CsvProblem;

/** What {@linkcode readConfigCsv} found. */
export interface ConfigCsv {
  /** The rows that nothing is wrong with, in order. */
  readonly rows: readonly ConfigRow[];
  /** Everything that is wrong, by line and column. */
  readonly problems: readonly ConfigProblem[];
}

type Column = typeof CONFIG_COLUMNS[number];
/** Reports what is wrong with a cell. */
type Fail = (column: Column, message: string) => undefined;
type Cell = (column: Column) => string;

const PRIVATE_KEY = 2;
/** Numbers that only the firmware's queries use (FORMAT: types). */
const RESERVED_TYPES: readonly number[] = [50, 254, 255];
const LAST_SUBTYPE = 253;
/** Names of Espressif's host tool that differ from those of the firmware. */
const TOOL_NAMES: ReadonlyMap<string, number> = new Map([
  ["ESP_SECURE_CERT_ECDSA_KEY_SALT_TLV", 5],
  ["ESP_SECURE_CERT_SEC_CFG_TLV", 6],
  ["ESP_SECURE_CERT_TLV_TYPE_INTEGRITY", 9],
]);

/**
 * The rows of a configuration CSV. Byte order mark, any line breaks,
 * blank lines and lines that begin with `#` are taken; spaces around a value are not part of it, also
 * within quotes; the last column may be left out. No file is read.
 *
 * @param text The text.
 * @returns The rows.
 * @throws {SecureCertError} `ERR_CSV` with every problem of every row, and the line of the first.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { formatConfigCsv, parseConfigCsv } from "@esp-secure-cert/toolkit";
 *
 * const text = formatConfigCsv([{ type: 51, subtype: 0, dataValue: "hello", dataType: "string" }]);
 * assertEquals(parseConfigCsv(text)[0]?.dataValue, "hello");
 * ```
 */
export function parseConfigCsv(text: string): readonly ConfigRow[] {
  const { rows, problems } = readConfigCsv(text);
  if (problems.length === 0) return rows;
  const all = problems.map(({ line, column, message }) => `line ${line}:${column}: ${message}`);
  const message = `Cannot parse configuration CSV: ${all.join("; ")}`;
  throw new SecureCertError("ERR_CSV", message, { line: problems[0]!.line });
}

/**
 * As {@linkcode parseConfigCsv}, and never throws.
 *
 * @param text Any text.
 * @returns The good rows, and everything that is wrong. No message quotes the text, for it may hold
 * a key.
 */
export function readConfigCsv(text: string): ConfigCsv {
  const { records, problems: quoting } = readCsv(text);
  const problems = [...quoting];
  const rows: ConfigRow[] = [];
  const columns = readHeader(records[0], problems);
  const lines = new Map<string, number>();
  for (const record of columns ? records.slice(1) : []) {
    if (record.every(({ text }) => text.trim() === "")) continue;
    const before = problems.length;
    const row = readRow(record, columns!, problems);
    const { type, subtype } = row;
    if (type !== undefined && subtype !== undefined) {
      const first = lines.get(`${type}.${subtype}`);
      const { line, column } = record[0]!;
      const message = `tlv_type: same type and subtype as in line ${first}`;
      if (first === undefined) lines.set(`${type}.${subtype}`, line);
      else problems.push({ line, column, message });
    }
    if (problems.length === before) rows.push(row as ConfigRow);
  }
  return { rows, problems: problems.sort((a, b) => a.line - b.line || a.column - b.column) };
}

/**
 * A configuration CSV that {@linkcode parseConfigCsv} and Espressif's host tool read.
 *
 * @param rows The rows.
 * @returns The text, with the header, LF at the ends of lines.
 * @throws {RangeError} for rows that would not read back as they are: reserved or doubled types, a
 * value with spaces around it (hex or base64 keeps them), numbers out of range.
 */
export function formatConfigCsv(rows: readonly ConfigRow[]): string {
  const text = formatCsvRecord(CONFIG_COLUMNS) + rows.map(formatRow).join("");
  const { problems } = readConfigCsv(text);
  if (problems.length === 0) return text;
  throw new RangeError(`Cannot format configuration CSV: ${problems[0]!.message}`);
}

function readHeader(
  header: readonly CsvField[] | undefined,
  problems: ConfigProblem[],
): ReadonlyMap<Column, number> | undefined {
  const names = (header ?? []).map(({ text }) => text.trim());
  const missing = CONFIG_COLUMNS.filter((name) => !names.includes(name));
  const extra = names.some((name, at) =>
    names.indexOf(name) !== at || !CONFIG_COLUMNS.some((column) => column === name)
  );
  const { line, column } = header?.[0] ?? { line: 1, column: 1 };
  if (missing.length > 0) {
    problems.push({ line, column, message: `header lacks ${missing.join(", ")}` });
  } else if (extra) {
    problems.push({ line, column, message: "header names a column twice or an unknown one" });
  } else {
    return new Map(CONFIG_COLUMNS.map((name) => [name, names.indexOf(name)]));
  }
}

function readRow(
  record: readonly CsvField[],
  columns: ReadonlyMap<Column, number>,
  problems: ConfigProblem[],
): Partial<ConfigRow> {
  const { line, column } = record[0]!;
  const extra = record[columns.size];
  if (record.length < columns.size - 1) {
    const message = `${record.length} columns, need ${columns.size}`;
    problems.push({ line, column, message });
    return {};
  }
  if (extra) {
    const message = "more columns than the header has; a value with a comma needs quotes";
    problems.push({ line: extra.line, column: extra.column, message });
    return {};
  }
  const cell: Cell = (name) => record[columns.get(name)!]?.text.trim() ?? "";
  const fail: Fail = (name, message) => {
    const place = record[columns.get(name)!] ?? record[0]!;
    problems.push({ line: place.line, column: place.column, message: `${name}: ${message}` });
  };
  const type = readType(cell("tlv_type"), fail);
  const subtype = readNumber("tlv_subtype", LAST_SUBTYPE, cell, fail);
  if (cell("tlv_subtype") === "") fail("tlv_subtype", "missing");
  return defined({
    type,
    subtype,
    ...readValue(type, cell, fail),
    ...readKey(type, cell, fail),
    line,
  });
}

function readType(text: string, fail: Fail): number | undefined {
  if (text === "") return fail("tlv_type", "missing");
  const hexadecimal = /^0x/i.test(text);
  const type = TOOL_NAMES.get(text.toUpperCase()) ?? (hexadecimal ? undefined : parseTlvType(text));
  if (type === undefined) return fail("tlv_type", "not a name of a type, nor a number up to 253");
  return RESERVED_TYPES.includes(type) ? fail("tlv_type", `${type} is reserved`) : type;
}

function readValue(
  type: number | undefined,
  cell: Cell,
  fail: Fail,
): Pick<Partial<ConfigRow>, "dataValue" | "dataType"> {
  const dataValue = cell("data_value");
  const dataType = CONFIG_DATA_TYPES.find((name) => name === cell("data_type").toLowerCase());
  if (!dataType) {
    fail("data_type", `must be one of ${CONFIG_DATA_TYPES.join(", ")}`);
  } else if (dataValue === "" && dataType !== "hex") {
    fail("data_value", "missing; an entry without a value is written as empty hex");
  } else if (dataType !== "file") {
    try {
      configValueBytes({ type: type ?? -1, dataValue, dataType });
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      fail("data_value", error.message);
    }
  }
  return { dataValue, dataType };
}

function readKey(type: number | undefined, cell: Cell, fail: Fail): Partial<ConfigRow> {
  const columns = CONFIG_COLUMNS.slice(4);
  if (type !== PRIVATE_KEY) {
    const filled = type === undefined ? undefined : columns.find((name) => cell(name) !== "");
    if (filled) fail(filled, "only a private key has one");
    return {};
  }
  const mode = cell("priv_key_type").toLowerCase().replaceAll("_", "-");
  const keyMode = KEY_MODES.find((name) => name === mode) as KeyMode | undefined;
  const modes = KEY_MODES.map(columnText).join(", ");
  if (!keyMode) fail("priv_key_type", `a private key needs one of ${modes}`);
  const algorithm = ALGORITHMS.find((name) => name === cell("algorithm").toUpperCase());
  if (!algorithm && cell("algorithm") !== "") fail("algorithm", "must be RSA or ECDSA");
  const fixed = keyMode === undefined ? undefined : algorithmOf(keyMode);
  if (algorithm && fixed && algorithm !== fixed) {
    fail("algorithm", `${columnText(keyMode!)} is for ${fixed}`);
  }
  const keySize = readNumber("key_size", 4096, cell, fail);
  const sizes: readonly number[] = algorithm
    ? KEY_SIZES[algorithm]
    : [...KEY_SIZES.ECDSA, ...KEY_SIZES.RSA];
  if (keySize !== undefined && !sizes.includes(keySize)) {
    fail("key_size", `must be one of ${sizes.join(", ")}`);
  }
  const efuseId = readNumber("efuse_id", 5, cell, fail);
  return { keyMode, algorithm, keySize, efuseId, efuseKey: cell("efuse_key") || undefined };
}

function readNumber(
  name: Column,
  max: number,
  cell: Cell,
  fail: Fail,
): number | undefined {
  const text = cell(name);
  if (text === "") return undefined;
  const number = /^[0-9]{1,9}$/.test(text) ? Number(text) : max + 1;
  return number <= max ? number : fail(name, `must be a number from 0 to ${max}`);
}

function algorithmOf(mode: KeyMode): "RSA" | "ECDSA" | undefined {
  if (mode === "rsa-ds") return "RSA";
  return mode === "ecdsa-peripheral" || mode === "hmac-derived" ? "ECDSA" : undefined;
}

function formatRow(row: ConfigRow): string {
  const { type, keyMode, dataType } = row;
  const named = TOOL_NAMES.values().some((number) => number === type) ||
    tlvTypeName(type).startsWith("UNKNOWN");
  const fields = [
    named ? type : tlvTypeName(type),
    row.subtype,
    isPemValue(row) ? row.dataValue.trim() : row.dataValue,
    dataType,
    keyMode === undefined ? "" : columnText(keyMode),
    row.algorithm ?? "",
    row.keySize ?? "",
    row.efuseId ?? "",
    row.efuseKey ?? "",
  ].map(String);
  const at = fields.findIndex((field) => field !== field.trim());
  if (at < 0) return formatCsvRecord(fields);
  const hint = "has spaces around it, which would be lost";
  throw new RangeError(`Cannot format configuration CSV: ${CONFIG_COLUMNS[at]} ${hint}`);
}

/** A key mode as it stands in the column. */
function columnText(mode: string): string {
  return mode.replaceAll("-", "_");
}

function defined<T extends object>(fields: T): T {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as T;
}
