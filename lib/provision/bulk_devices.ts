import { encodeUtf8 } from "../bytes/text.ts";
import { type CsvField, readCsv } from "../format/csv_records.ts";
import { expandTemplate } from "./bulk_template.ts";

/** One device of a batch. */
export interface BulkDevice {
  /** Place in the device list, from 0. */
  readonly index: number;
  /** Its name, unique in the batch and fit for a file's name. */
  readonly id: string;
  /** The other columns of its row. */
  readonly fields: Readonly<Record<string, string>>;
}

/** A row of a device list: a device, or what is wrong with the row. */
export type DeviceRow =
  | { readonly device: BulkDevice }
  | { readonly problem: string };

/** Columns that say something of a device; all others are kept for the manifest alone. */
export const DEVICE_COLUMNS = [
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

const MAX_ID = 100;
/** Names that Windows keeps for devices, with any ending. */
const RESERVED = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;

/**
 * What makes an id unfit for a file's name on any system, in words; undefined when nothing does.
 */
export function idProblem(id: string): string | undefined {
  if (id === "") return "id is empty";
  if ([...id].length > MAX_ID) return `id has ${[...id].length} characters, at most ${MAX_ID}`;
  if (encodeUtf8(id).length > 200) return "id has more than 200 bytes";
  if (/\p{C}/u.test(id)) return "id has control characters";
  if (/[/\\:*?"<>|]/.test(id)) return `id "${id}" has a character that file names cannot have`;
  if (/^[. ]|[. ]$/.test(id)) return `id "${id}" begins or ends with a point or a space`;
  if (RESERVED.test(id)) return `id "${id}" is a name that Windows keeps for itself`;
  return undefined;
}

/** An id as file systems compare names that take no notice of case. */
export function foldId(id: string): string {
  return id.normalize("NFC").toLowerCase();
}

/**
 * The devices of a CSV text with a header line (RFC 4180), as they come; memory holds one row.
 *
 * @param lines The lines of the text, without their breaks.
 */
export async function* readCsvDevices(
  lines: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<DeviceRow> {
  let columns: readonly string[] | undefined;
  let index = 0;
  for await (const { text, line } of csvRows(lines)) {
    const { records, problems } = readCsv(text);
    const [record] = records;
    if (problems[0] !== undefined) yield { problem: `line ${line}: ${problems[0].message}` };
    if (record === undefined || problems.length > 0) continue;
    if (columns === undefined) {
      columns = record.map((field) => field.text.trim());
      const problem = headerProblem(columns);
      if (problem === undefined) continue;
      yield { problem: `line ${line}: ${problem}` };
      return;
    }
    yield csvRow(record, columns, index++, line);
  }
  if (columns === undefined) yield { problem: "the device list is empty" };
}

/** The devices of a text with a JSON object a line, as they come. */
export async function* readNdjsonDevices(
  lines: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<DeviceRow> {
  let [index, line] = [0, 0];
  for await (const text of lines) {
    line++;
    if (text.trim() === "") continue;
    const row = jsonRow(text.replace(/^\uFEFF/, ""));
    if (typeof row === "string") yield { problem: `line ${line}: ${row}` };
    else yield deviceRow(row, index++, `line ${line}`);
  }
  if (index === 0) yield { problem: "the device list has no device" };
}

/**
 * Devices that are counted, with ids after a template in which `{n}` counts from 1.
 *
 * @param count How many.
 * @param template Such as `dev-{n:06}`.
 */
export function* countDevices(count: number, template: string): Generator<DeviceRow> {
  for (let index = 0; index < count; index++) {
    const n = String(index + 1);
    const id = expandTemplate(template, { n });
    if ("problem" in id) {
      yield { problem: `id template: ${id.problem}` };
      return;
    }
    yield deviceRow({ id: id.text }, index, `device ${n}`);
  }
}

async function* csvRows(
  lines: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<{ text: string; line: number }> {
  let [rest, line, start] = ["", 0, 1];
  for await (const each of lines) {
    line++;
    if (rest === "") start = line;
    rest = rest === "" ? each : `${rest}\n${each}`;
    const isOpen = (rest.match(/"/g)?.length ?? 0) % 2 === 1;
    if (isOpen && rest.length < 0x100000) continue;
    yield { text: rest, line: start };
    rest = "";
  }
  if (rest !== "") yield { text: rest, line: start };
}

/** A column that would be kept as an extra one, though it looks like one that is used. */
function miscased(name: string): string | undefined {
  const meant = DEVICE_COLUMNS.find((known) =>
    known.toLowerCase() === name.trim().toLowerCase().replace(/[-_ ]/g, "")
  );
  return meant === undefined || meant === name
    ? undefined
    : `the column "${name}" must be "${meant}"`;
}

function headerProblem(columns: readonly string[]): string | undefined {
  const twice = columns.find((name, at) => columns.indexOf(name) !== at);
  if (twice !== undefined) return `the column "${twice}" is there twice`;
  if (columns.includes("")) return "a column has no name";
  const misspelt = columns.map(miscased).find((problem) => problem !== undefined);
  if (misspelt !== undefined) return misspelt;
  return columns.includes("id") ? undefined : "there is no column id";
}

function csvRow(
  record: readonly CsvField[],
  columns: readonly string[],
  index: number,
  line: number,
): DeviceRow {
  if (record.length !== columns.length) {
    return { problem: `line ${line}: ${record.length} fields, the header has ${columns.length}` };
  }
  const row = Object.fromEntries(columns.map((name, at) => [name, record[at]!.text]));
  return deviceRow(row, index, `line ${line}`);
}

function jsonRow(text: string): Record<string, string> | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "not JSON";
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "no JSON object";
  const row: Record<string, string> = {};
  for (const [name, each] of Object.entries(value)) {
    const isList = Array.isArray(each) && each.every((item) => typeof item === "string");
    if (each === null) continue;
    if (isList) row[name] = each.join(",");
    else if (["string", "number", "boolean"].includes(typeof each)) row[name] = String(each);
    else return `"${name}" is neither text nor a number`;
  }
  return row;
}

function deviceRow(row: Readonly<Record<string, string>>, index: number, place: string): DeviceRow {
  const { id = "", ...fields } = row;
  const problem = idProblem(id);
  return problem === undefined
    ? { device: { index, id, fields } }
    : { problem: `${place}: ${problem}` };
}
