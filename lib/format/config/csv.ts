import {
  type CsvField,
  type CsvProblem,
  type CsvRecords,
  formatCsvRecord,
  readCsv,
  separatorOf,
  statedSeparator,
} from "../../bytes/csv.ts";
import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { didYouMean, nearestName, spelledName, suggestion } from "../../bytes/nearest.ts";
import { shownValue } from "../../bytes/text.ts";
import {
  formatConfigType,
  isReservedType,
  KEY_MODES,
  type KeyMode,
  MAX_SUBTYPE,
  nearestTlvType,
  parseConfigType,
  TLV_TYPES,
} from "../names.ts";
import {
  CONFIG_COLUMNS,
  CONFIG_DATA_TYPES,
  type ConfigColumn,
  type ConfigPlaces,
  type ConfigRow,
  configValueBytes,
  formatConfigKeyMode,
  formatImageForm,
  formatStoredForm,
  type ImageForm,
  readConfigForms,
  type StoredForm,
} from "./row.ts";

export { CONFIG_COLUMNS, type ConfigRow } from "./row.ts";

/** Something that is wrong with a configuration CSV. */
type ConfigProblem = CsvProblem;

/** What {@linkcode readConfigCsv} found. */
interface ConfigCsv {
  /** The rows that nothing is wrong with, in order. */
  readonly rows: readonly ConfigRow[];
  /** Where the cells of each of these rows begin. */
  readonly places: readonly ConfigPlaces[];
  /** What a comment line says of the image, where one does. */
  readonly image?: ImageForm;
  /** Everything that is wrong, by line and column. */
  readonly problems: readonly ConfigProblem[];
}

/**
 * The rows of a configuration CSV. A byte order mark, any line breaks, blank lines and lines that begin
 * with `#` are accepted; spaces around a value are not part of it, those within quotes are; the last
 * column may be left out. Semicolons or tabs instead of commas, as spreadsheets write them, are taken where
 * the header has them or a first line `sep=;` says so. No file is read.
 *
 * @category Configuration CSV
 * @throws {SecureCertError} `ERR_CSV` with every problem of every row, and the line of the first.
 */
export function parseConfigCsv(text: string): readonly ConfigRow[] {
  const { rows, problems } = readConfigCsv(text);
  if (problems.length === 0) return rows;
  const all = problems.map(({ line, column, message }) => `line ${line}:${column}: ${message}`);
  const message = `Cannot parse configuration CSV: ${all.join("; ")}`;
  throw new SecureCertError("ERR_CSV", message, { line: problems[0]!.line }, { problems });
}

/**
 * As {@linkcode parseConfigCsv}, and never throws.
 *
 * @param text Any text.
 * @returns The good rows, and everything that is wrong. No message quotes the text, which may hold a
 * key.
 */
export function readConfigCsv(text: string): ConfigCsv {
  if (text.length > MAX_CONFIG_TEXT) return { rows: [], places: [], problems: [TOO_LONG] };
  const csv = readAnyCsv(text);
  const problems = [...csv.problems];
  const forms = readConfigForms(csv, problems);
  const rows: ConfigRow[] = [];
  const places: ConfigPlaces[] = [];
  const header = readHeader(csv.records[0], problems);
  const lines = new Map<string, number>();
  for (const record of header ? csv.records.slice(1) : []) {
    if (record.every(({ text }) => text.trim() === "")) continue;
    if (problems.length >= MAX_CONFIG_PROBLEMS) break;
    const before = problems.length;
    const stored = forms.entries.get(record[0]!.line);
    const cells = readConfigCells(record, header!, stored, problems);
    checkDouble(cells.row, record[0]!, lines, problems);
    if (problems.length > before) continue;
    rows.push(cells.row as ConfigRow);
    places.push(cells.places);
  }
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  return { rows, places, image: forms.image, problems: firstOf(problems) };
}

/** The records of a text, with commas or what a spreadsheet put in their place. */
function readAnyCsv(text: string): CsvRecords {
  const [first] = /^.*/.exec(text)!;
  const stated = statedSeparator(first);
  return stated === undefined
    ? readCsv(text, { separator: separatorOf(firstLine(text), CONFIG_COLUMNS[0]) })
    : readCsv(text.slice(first.length), { separator: stated });
}

/** No more problems than somebody may want to read. */
function firstOf(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  if (problems.length < MAX_CONFIG_PROBLEMS) return problems;
  const listed = problems.slice(0, MAX_CONFIG_PROBLEMS);
  return [...listed, { ...listed.at(-1)!, message: "too many problems; the rest is not listed" }];
}

/**
 * Characters of a configuration CSV. A chain of entries has less than 64 KiB and at most 4096 entries:
 * with their values inline, a comment for each and every blank, they take half of this.
 */
export const MAX_CONFIG_TEXT = 0x100000;
/** Nobody reads more, and each takes memory. */
const MAX_CONFIG_PROBLEMS = 1000;

const TOO_LONG: ConfigProblem = {
  line: 1,
  column: 1,
  message: `the text has more than ${MAX_CONFIG_TEXT >> 20} MiB, which no partition has room for`,
};

/** The first line that is neither blank nor a comment. */
function firstLine(text: string): string {
  return /^[^\S\r\n]*[^#\s].*$/m.exec(text)?.[0] ?? "";
}

/** Of two entries with the same numbers the firmware reads only the first. */
function checkDouble(
  { type, subtype, stored }: Partial<ConfigRow>,
  { line, column }: CsvField,
  lines: Map<string, number>,
  problems: ConfigProblem[],
): void {
  if (type === undefined || subtype === undefined || stored?.raw === true) return;
  const first = lines.get(`${type}.${subtype}`);
  const message = `tlv_type: same type and subtype as in line ${first}`;
  if (first === undefined) lines.set(`${type}.${subtype}`, line);
  else problems.push({ line, column, message });
}

/**
 * A configuration CSV with its header, as {@linkcode parseConfigCsv} and Espressif's tool read it.
 *
 * @category Configuration CSV
 * @throws {RangeError} for rows that would not be read back as they are: a reserved or repeated type, a
 * file name with spaces around it, a number out of range.
 */
export function formatConfigCsv(
  rows: readonly ConfigRow[],
  options: {
    /** What ends a line. @default "\n" */
    readonly lineBreak?: "\n" | "\r\n";
  } = {},
): string {
  return formatImageCsv(rows, {}, options.lineBreak);
}

/** As {@linkcode formatConfigCsv}, with a comment line after the header that describes the image. */
export function formatImageCsv(
  rows: readonly ConfigRow[],
  form: ImageForm,
  lineBreak: "\n" | "\r\n" = "\n",
): string {
  const image = formatImageForm(form);
  const text = formatCsvRecord(CONFIG_COLUMNS) + image + rows.map(formatRow).join("");
  const { problems } = readConfigCsv(text);
  if (problems.length > 0) {
    throw new RangeError(`Cannot format configuration CSV: ${problems[0]!.message}`);
  }
  // Values keep their line breaks: those that end a line are the ones outside quotes.
  if (lineBreak !== "\r\n") return text;
  return text.replace(/"(?:[^"]|"")*"|\n/g, (match) => match === "\n" ? "\r\n" : match);
}

function readHeader(
  header: readonly CsvField[] | undefined,
  problems: ConfigProblem[],
): ConfigHeader | undefined {
  const names = (header ?? []).map(({ text }) => text.trim());
  const missing = CONFIG_COLUMNS.filter((name) => !names.includes(name));
  const isUnknown = (name: string) => !CONFIG_COLUMNS.some((column) => column === name);
  const extra = names.some((name, at) => names.indexOf(name) !== at || isUnknown(name));
  const { line, column } = header?.[0] ?? { line: 1, column: 1 };
  if (missing.length > 0) {
    // What is near a column's name is no secret.
    const meant = names.filter(isUnknown).map((name) => [name, nearestName(name, missing)])
      .filter(([, nearest]) => nearest !== undefined)
      .map(([name, nearest]) => `; ${shownValue(name!)}: did you mean ${nearest}?`).join("");
    problems.push({ line, column, message: `header lacks ${missing.join(", ")}${meant}` });
  } else if (extra) {
    problems.push({ line, column, message: "header names a column twice or an unknown one" });
  } else {
    return new Map(CONFIG_COLUMNS.map((name) => [name, names.indexOf(name)]));
  }
}

function formatRow(row: ConfigRow): string {
  const { type, keyMode, dataType } = row;
  const fields = [
    formatConfigType(type),
    row.subtype,
    row.dataValue,
    dataType,
    keyMode === undefined ? "" : formatConfigKeyMode(keyMode),
    row.algorithm ?? "",
    row.keySize ?? "",
    row.efuseId ?? "",
    row.efuseKey ?? "",
  ].map(String);
  const at = fields.findIndex((field, at) =>
    field !== field.trim() && !(CONFIG_COLUMNS[at] === "data_value" && dataType === "string")
  );
  if (at < 0) return formatStoredForm(row.stored ?? {}) + formatCsvRecord(fields);
  const hint = "has spaces around it, which would be lost";
  throw new RangeError(`Cannot format configuration CSV: ${CONFIG_COLUMNS[at]} ${hint}`);
}

/** The index of each column of a CSV. */
type ConfigHeader = ReadonlyMap<ConfigColumn, number>;

/** A row whose cells are read, as far as they can be. */
interface ConfigCells {
  readonly row: Partial<ConfigRow>;
  readonly places: ConfigPlaces;
}

/** Reports what is wrong with a cell. */
type Fail = (column: ConfigColumn, message: string) => undefined;
type Cell = (column: ConfigColumn) => string;

/** DS data, DS context and security configuration: Espressif's tool describes the key beside them. */
const KEY_TYPES: readonly (number | undefined)[] = [
  TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV,
  TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG,
];
const ALGORITHMS = ["RSA", "ECDSA"] as const;
const KEY_SIZES = { RSA: [1024, 2048, 3072, 4096], ECDSA: [192, 256, 384, 521] } as const;

/** Reads the cells of a row, and reports all that is wrong with them. */
function readConfigCells(
  record: readonly CsvField[],
  header: ConfigHeader,
  stored: StoredForm | undefined,
  problems: CsvProblem[],
): ConfigCells {
  const { line, column } = record[0]!;
  const extra = record[header.size];
  const places = placesOf(record, header);
  if (record.length < header.size - 1) {
    problems.push({
      line,
      column,
      message: `${countOf(record.length, "column")}, need ${header.size}`,
    });
    return { row: {}, places };
  }
  if (extra) {
    const message = "more columns than the header has; a value with a comma needs quotes";
    problems.push({ line: extra.line, column: extra.column, message });
    return { row: {}, places };
  }
  const cell: Cell = (name) => record[header.get(name)!]?.text.trim() ?? "";
  const fail: Fail = (name, message) => {
    problems.push({ ...places[name], message: `${name}: ${message}` });
  };
  const type = readType(cell("tlv_type"), stored?.raw === true, fail);
  const row = {
    type,
    subtype: readSubtype(cell, stored?.raw === true, fail),
    ...readValue(type, record[header.get("data_value")!], cell, fail),
    ...readKey(type, cell, fail),
    stored,
    line,
  };
  const known = Object.entries(row).filter(([, value]) => value !== undefined);
  return { row: Object.fromEntries(known), places };
}

function placesOf(record: readonly CsvField[], header: ConfigHeader): ConfigPlaces {
  return Object.fromEntries(CONFIG_COLUMNS.map((name) => {
    const { line, column } = record[header.get(name)!] ?? record[0]!;
    return [name, { line, column }];
  })) as ConfigPlaces;
}

function readType(text: string, raw: boolean, fail: Fail): number | undefined {
  if (text === "") return fail("tlv_type", "missing");
  const type = parseConfigType(text);
  if (type === undefined) {
    const meant = suggestion(nearestTlvType(text));
    return fail("tlv_type", `not a name of a type, nor a number up to 253${meant}`);
  }
  const isReserved = isReservedType(type) && !raw;
  return isReserved ? fail("tlv_type", `${type} is reserved`) : type;
}

function readSubtype(cell: Cell, raw: boolean, fail: Fail): number | undefined {
  const subtype = readNumber("tlv_subtype", raw ? 255 : MAX_SUBTYPE, cell, fail);
  if (cell("tlv_subtype") === "") fail("tlv_subtype", "missing");
  return subtype;
}

function readValue(
  type: number | undefined,
  field: CsvField | undefined,
  cell: Cell,
  fail: Fail,
): Pick<Partial<ConfigRow>, "dataValue" | "dataType"> {
  const dataType = CONFIG_DATA_TYPES.find((name) => name === cell("data_type").toLowerCase());
  const keepsSpaces = field?.quoted === true && dataType === "string";
  const dataValue = keepsSpaces ? field.text : cell("data_value");
  if (!dataType) {
    const meant = didYouMean(cell("data_type"), CONFIG_DATA_TYPES);
    fail("data_type", `must be one of ${CONFIG_DATA_TYPES.join(", ")}${meant}`);
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
  const filled = CONFIG_COLUMNS.slice(4).find((name) => cell(name) !== "");
  if (type !== TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV && !(KEY_TYPES.includes(type) && filled)) {
    if (type !== undefined && filled) fail(filled, "only a private key has one");
    return {};
  }
  const mode = cell("priv_key_type");
  const keyMode = spelledName(mode, KEY_MODES);
  if (!keyMode) {
    const modes = KEY_MODES.map(formatConfigKeyMode);
    const meant = didYouMean(mode, modes);
    fail("priv_key_type", `a private key needs one of ${modes.join(", ")}${meant}`);
  }
  const algorithm = ALGORITHMS.find((name) => name === cell("algorithm").toUpperCase());
  if (!algorithm && cell("algorithm") !== "") fail("algorithm", "must be RSA or ECDSA");
  const fixed = keyMode === undefined ? undefined : algorithmOf(keyMode);
  if (algorithm && fixed && algorithm !== fixed) {
    fail("algorithm", `${formatConfigKeyMode(keyMode!)} is for ${fixed}`);
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

function readNumber(name: ConfigColumn, max: number, cell: Cell, fail: Fail): number | undefined {
  const text = cell(name);
  if (text === "") return undefined;
  const number = /^[0-9]{1,9}$/.test(text) ? Number(text) : max + 1;
  return number <= max ? number : fail(name, `must be a number from 0 to ${max}`);
}

function algorithmOf(mode: KeyMode): "RSA" | "ECDSA" | undefined {
  if (mode === "rsa-ds") return "RSA";
  return mode === "ecdsa-peripheral" || mode === "hmac-derived" ? "ECDSA" : undefined;
}
