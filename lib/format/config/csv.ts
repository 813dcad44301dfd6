import { SecureCertError } from "../../bytes/errors.ts";
import { nearestName } from "../../bytes/nearest.ts";
import { shownValue } from "../../bytes/text.ts";
import { type ConfigHeader, readConfigCells } from "./cells.ts";
import { formatImageForm, formatStoredForm, type ImageForm, readConfigForms } from "./form.ts";
import { CONFIG_COLUMNS, type ConfigPlaces, type ConfigRow, formatConfigKeyMode } from "./row.ts";
import { formatConfigType } from "../names.ts";
import {
  type CsvField,
  type CsvProblem,
  type CsvRecords,
  formatCsvRecord,
  readCsv,
  separatorOf,
  statedSeparator,
} from "../../bytes/csv.ts";

export { CONFIG_COLUMNS, type ConfigRow } from "./row.ts";

/** Something that is wrong with a configuration CSV. */
export type ConfigProblem = CsvProblem;

/** What {@linkcode readConfigCsv} found. */
export interface ConfigCsv {
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
