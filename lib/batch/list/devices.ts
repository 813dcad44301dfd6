import { countOf } from "../../bytes/errors.ts";
import {
  type CsvField,
  type CsvOptions,
  fromSpreadsheet,
  OPEN_QUOTE,
  readCsv,
  type Separator,
  separatorOf,
  statedSeparator,
} from "../../bytes/csv.ts";
import { didYouMean, editDistance, nearestName, suggestion } from "../../bytes/nearest.ts";
import { shownValue } from "../../bytes/text.ts";
import { fileNameProblem } from "../files.ts";
import { extraColumns, MANIFEST_COLUMNS } from "../manifest.ts";

/**
 * One device of a batch.
 *
 * @category Device list and profile
 */
export interface BulkDevice {
  /** Place in the device list, from 0. */
  readonly index: number;
  /** Its name, unique in the batch and fit for a file's name. */
  readonly id: string;
  /** The other columns of its row. */
  readonly fields: Readonly<Record<string, string>>;
}

/**
 * A row of a device list: a device, or what is wrong with the row.
 *
 * @category Device list and profile
 */
export type DeviceRow =
  | { readonly device: BulkDevice }
  | { readonly problem: string };

/** RFC 4180 has no comments, and an id may begin with any character. */
const NO_COMMENTS: CsvOptions = { comments: false };
/** Columns of a list of JSON objects whose checks are remembered. */
const MOST_COLUMNS = 1000;
const HOLDS_KEY = /PRIVATE KEY-----/;
/** Characters of a row. */
const MAX_ROW = 0x100000;
/**
 * What makes an id unfit for a file's name on any system, in words; undefined when nothing does.
 */
export function idProblem(id: string): string | undefined {
  const problem = fileNameProblem(id);
  return problem && `id ${problem}`;
}

/**
 * What is wrong with an id whose files would be those of another row of the list.
 *
 * @param other The other row.
 */
export function twiceProblem(
  { id, index }: Pick<BulkDevice, "id" | "index">,
  other: Pick<BulkDevice, "id" | "index">,
): string {
  const rows = [index, other.index].toSorted((a, b) => a - b).map((row) => row + 1).join(" and ");
  const twice = `${id}: the id is there twice, in rows ${rows}`;
  return other.id === id ? twice : `${twice}: the files of ${other.id} would have the same names`;
}

/**
 * The devices of a CSV with a header line (RFC 4180; semicolons or tabs too where the header has them or
 * a first line `sep=;` says so), from its lines without their breaks, as they come; memory holds one row.
 *
 * @category Device list and profile
 */
export async function* readCsvDevices(
  lines: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<DeviceRow> {
  let columns: readonly string[] | undefined;
  let [index, isEmptyList] = [0, true];
  const empty: number[] = [];
  for await (const { text, line, separator } of csvRows(lines)) {
    const { records, problems } = readCsv(text, { ...NO_COMMENTS, separator });
    isEmptyList &&= records.length === 0;
    if (problems[0] !== undefined) {
      yield { problem: `line ${line}: ${problems[0].message}` };
      // Without its header no row says anything.
      if (columns === undefined) return;
      continue;
    }
    for (const record of records) {
      if (columns === undefined) {
        columns = columnsOf(record);
        const problem = headerProblem(columns);
        if (problem === undefined) continue;
        yield { problem: `line ${line}: ${problem}` };
        return;
      }
      // Spreadsheets save empty rows after the last one.
      if (record.length > 1 && record.every(isEmpty)) {
        empty.push(line);
        continue;
      }
      for (const each of empty.splice(0)) yield { problem: `line ${each}: id is empty` };
      yield csvRow(record, columns, index++, line);
    }
  }
  if (isEmptyList) yield { problem: "the device list is empty" };
}

/**
 * The devices of a text with a JSON object a line, from its lines, as they come.
 *
 * @category Device list and profile
 */
export async function* readNdjsonDevices(
  lines: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<DeviceRow> {
  let [index, line, isEmptyList] = [0, 0, true];
  const columns = new Map<string, string | undefined>();
  const problemOf = (name: string) => {
    if (columns.has(name)) return columns.get(name);
    const problem = columnProblem(name);
    if (columns.size < MOST_COLUMNS) columns.set(name, problem);
    return problem;
  };
  for await (const text of lines) {
    line++;
    if (text.trim() === "") continue;
    isEmptyList = false;
    const row = jsonRow(text.replace(/^\uFEFF/, ""), problemOf);
    if (typeof row === "string") yield { problem: `line ${line}: ${row}` };
    else yield deviceRow(row, index++, `line ${line}`);
  }
  if (isEmptyList) yield { problem: "the device list is empty" };
}

/**
 * Counted devices, with ids from a template such as `dev-{n:06}`, in which `{n}` counts from 1.
 *
 * @category Device list and profile
 */
export function* countDevices(count: number, template: string): Generator<DeviceRow> {
  let last: string | undefined;
  for (let index = 0; index < count; index++) {
    const n = String(index + 1);
    const id = expandTemplate(template, { n });
    if ("problem" in id) {
      yield { problem: `id template: ${id.problem}` };
      return;
    }
    if (id.text === last) {
      yield { problem: `id template: ${shownValue(template)} has no {n}, by which ids differ` };
      return;
    }
    last = id.text;
    yield deviceRow({ id: id.text }, index, `device ${n}`);
  }
}

async function* csvRows(
  lines: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<{ text: string; line: number; separator: Separator | undefined }> {
  let [rest, line, start] = ["", 0, 1];
  let separator: Separator | undefined;
  // Only the new line is searched for quotes: a row of many lines would take quadratic time.
  let isInQuotes = false;
  for await (const each of lines) {
    line++;
    if (separator === undefined && each.trim() !== "") {
      separator = statedSeparator(each);
      if (separator !== undefined) continue;
      separator = separatorOf(each, "id");
    }
    const isFirst = rest === "";
    if (isFirst) start = line;
    rest = isFirst ? each : `${rest}\n${each}`;
    isInQuotes = isFirst ? opensQuotes(each, separator) : isInQuotes !== hasOddQuotes(each);
    if (isInQuotes && rest.length < MAX_ROW) continue;
    yield { text: rest, line: start, separator };
    rest = "";
  }
  if (rest !== "") yield { text: rest, line: start, separator };
}

/**
 * Whether a row goes on after its first line: it has an odd number of quotes, and the first of them is
 * one that opens a field. A quote elsewhere is wrong, and takes no other rows with it.
 */
function opensQuotes(line: string, separator: Separator | undefined): boolean {
  return hasOddQuotes(line) &&
    readCsv(line, { ...NO_COMMENTS, separator }).problems[0]?.message === OPEN_QUOTE;
}

function hasOddQuotes(text: string): boolean {
  return (text.match(/"/g)?.length ?? 0) % 2 === 1;
}

/** A name as people write it in other ways: `Key mode`, `key_mode`. */
function plainName(name: string): string {
  return name.toLowerCase().replace(/[-_.\s]/g, "");
}

/** Too many words are only a typo away from a shorter name. */
const SHORTEST_NEAR = 4;
/** A name may have one typo for every six characters. */
const A_TYPO_EACH = 6;

/** Whether a name is another one with a typo or two, or cut off: a column with its values would be lost. */
function isNearly(name: string, known: string): boolean {
  if (name === known) return true;
  if (name.length >= SHORTEST_NEAR && known.startsWith(name)) return true;
  const most = Math.ceil(known.length / A_TYPO_EACH);
  const isShort = known.length < SHORTEST_NEAR || Math.abs(name.length - known.length) > most;
  return !isShort && editDistance(name, known) <= most;
}

/**
 * What keeps a column from being used or kept: one that looks like one that is used, or has the name of
 * what the manifest says itself.
 */
function columnProblem(name: string): string | undefined {
  const known: readonly string[] = DEVICE_COLUMNS;
  if (known.includes(name)) return undefined;
  if (HOLDS_KEY.test(name)) return "a column has a private key instead of a name";
  if (name === "__proto__") return `a column cannot have the name ${shownValue(name)}`;
  const column = `the column ${shownValue(name)}`;
  if (plainName(name) === "serial") {
    return `${column} has the name of the certificate's serial number in the manifest; a device's ` +
      'name or number goes into the column "id"';
  }
  const meant = known.find((each) => isNearly(plainName(name), plainName(each)));
  if (meant !== undefined) return `${column} is not known${suggestion(meant)}`;
  const own = MANIFEST_COLUMNS.find((each) => plainName(each) === plainName(name));
  return own && `${column} has the name of one of the manifest's own; give it another name`;
}

/** Names of the columns, without the empty ones that a spreadsheet has after the last. */
function columnsOf(header: readonly CsvField[]): string[] {
  const names = header.map(({ text }) => fromSpreadsheet(text.trim()));
  return names.slice(0, names.findLastIndex((name) => name !== "") + 1);
}

function isEmpty({ text, quoted }: CsvField): boolean {
  return !quoted && text.trim() === "";
}

function headerProblem(columns: readonly string[]): string | undefined {
  const twice = columns.find((name, at) => columns.indexOf(name) !== at);
  if (twice !== undefined) return `the column ${shownValue(twice)} is there twice`;
  if (columns.includes("")) return "a column has no name";
  const unfit = columns.map(columnProblem).find((problem) => problem !== undefined);
  if (unfit !== undefined) return unfit;
  if (columns.includes("id")) return undefined;
  const nearest = columns.find((name) => nearestName(name, ["id"]) !== undefined);
  const meant = nearest === undefined ? "" : `; did you mean it by ${shownValue(nearest)}?`;
  return `there is no column id${meant}`;
}

function csvRow(
  record: readonly CsvField[],
  columns: readonly string[],
  index: number,
  line: number,
): DeviceRow {
  const hasMore = record.slice(columns.length).some((field) => !isEmpty(field));
  if (record.length < columns.length || hasMore) {
    const fields = countOf(record.length, "field");
    const problem = `${fields}, the header has ${columns.length}`;
    const isComment = record[0]!.text.trimStart().startsWith("#") && !record[0]!.quoted;
    return {
      problem: `line ${line}: ${problem}${isComment ? "; a device list has no comments" : ""}`,
    };
  }
  const row = Object.fromEntries(
    columns.map((name, at) => [name, fromSpreadsheet(record[at]!.text)]),
  );
  return deviceRow(row, index, `line ${line}`);
}

function jsonRow(
  text: string,
  problemOf: (column: string) => string | undefined,
): Record<string, string> | string {
  let value: unknown;
  try {
    value = JSON.parse(text, numberAsText);
  } catch {
    return "not JSON";
  }
  if (Array.isArray(value)) return "a JSON array, where each line is an object";
  if (typeof value !== "object" || value === null) return "not a JSON object";
  const row: Record<string, string> = {};
  for (const [name, each] of Object.entries(value)) {
    const problem = problemOf(name);
    if (problem !== undefined) return problem;
    const isList = Array.isArray(each) && each.every((item) => typeof item === "string");
    if (each === null) continue;
    if (isList) row[name] = name === "sans" ? joinList(each) : each.join(",");
    else if (typeof each === "string" || typeof each === "boolean") row[name] = String(each);
    else return `${shownValue(name)} is neither text nor a number`;
  }
  return row;
}

/** A number as it is written: a serial number may have more digits than JavaScript keeps. */
function numberAsText(_name: string, value: unknown, context?: { source?: string }): unknown {
  return typeof value === "number" ? context?.source ?? String(value) : value;
}

function deviceRow(row: Readonly<Record<string, string>>, index: number, place: string): DeviceRow {
  const { id = "", ...fields } = row;
  const problem = idProblem(id) ?? keyProblem(fields);
  return problem === undefined
    ? { device: { index, id, fields } }
    : { problem: `${place}: ${problem}` };
}

/** A private key among what is kept: manifests and what is exported of them are for everybody. */
function keyProblem(fields: Readonly<Record<string, string>>): string | undefined {
  if (!Object.values(fields).some((value) => HOLDS_KEY.test(value))) return undefined;
  const [name] =
    Object.entries(manifestFields(fields)).find(([, value]) => HOLDS_KEY.test(value)) ?? [];
  return name && `the column ${shownValue(name)} has a private key, which the manifest would show`;
}

/** Columns of a device list that say something of a device; all others go into the manifest only. */
const DEVICE_COLUMNS = [
  "id",
  "subject",
  "sans",
  "chip",
  "keyMode",
  "efuseKeyId",
  "user1",
  "user2",
  "user3",
  "user4",
  "user5",
  "certificate",
  "privateKey",
] as const;

/** The columns of a device list that go into the manifest. */
export function manifestColumns(columns: readonly string[]): string[] {
  const known: readonly string[] = DEVICE_COLUMNS;
  return extraColumns(columns.filter((name) => !known.includes(name)));
}

/** The values of a device that go into the manifest, by column. */
export function manifestFields(
  fields: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    manifestColumns(Object.keys(fields)).map((name) => [name, fields[name]!]),
  );
}

/** Values for the placeholders of a template, by name. */
type TemplateValues = Readonly<Record<string, string>>;

/** A text with its placeholders filled in, or what is wrong with it. */
type Expanded = { readonly text: string } | { readonly problem: string };

/** A literal brace, a placeholder with its width, or a brace that is out of place. */
const PLACEHOLDER = /\{\{|\}\}|\{([^{}:]+)(?::0?([0-9]{1,2}))?\}|[{}]/g;

/**
 * Fills the placeholders of a template such as `CN={id},O=Example`. `{n:06}` pads a number with
 * zeros; `{{` and `}}` stand for braces.
 *
 * @param template The template.
 * @param values The values.
 * @param escape Makes a value safe for its place. @default none
 */
export function expandTemplate(
  template: string,
  values: TemplateValues,
  escape: (value: string) => string = (value) => value,
): Expanded {
  if (!/[{}]/.test(template)) return { text: template };
  let problem: string | undefined;
  const text = template.replace(PLACEHOLDER, (found, name?: string, width?: string) => {
    if (found === "{{" || found === "}}") return found[0]!;
    if (name === undefined) {
      problem ??= `${shownValue(template)} has a brace that belongs to no {column}`;
    } else if (!Object.hasOwn(values, name)) {
      problem ??= `there is no column ${shownValue(name)}${didYouMean(name, Object.keys(values))}`;
    } else return escape(values[name]!.padStart(Number(width ?? 0), "0"));
    return "";
  });
  return problem === undefined ? { text } : { problem };
}

/** A list in one text: commas part it, and a backslash keeps those of a value. */
function joinList(values: readonly string[]): string {
  return values.map((value) => value.replace(/[,;\\]/g, "\\$&")).join(",");
}

/** The values of a list that commas or semicolons part, without the spaces around them. */
export function splitList(text: string): string[] {
  const values: string[] = [];
  let value = "";
  const end = () => void values.push(value.trim());
  for (const [part] of text.matchAll(/\\[,;\\]|[^]/g)) {
    if (part === "," || part === ";") {
      end();
      value = "";
    } else value += part.length > 1 ? part.slice(1) : part;
  }
  end();
  return values;
}
