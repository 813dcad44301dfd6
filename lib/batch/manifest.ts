import { formatCsvRecord, fromSpreadsheet, readCsv, toSpreadsheet } from "../bytes/csv.ts";
import { countOf, SecureCertError } from "../bytes/errors.ts";
import { fileNameProblem } from "./files.ts";

/** The columns that every row of a manifest has, in their order. */
export const MANIFEST_COLUMNS = [
  "id",
  "serial",
  "fingerprint",
  "publicKey",
  "imageSha256",
  "keyMode",
  "efuseKeyId",
  "status",
] as const;

const TEXT_COLUMNS = MANIFEST_COLUMNS.filter((name) => name !== "efuseKeyId");

/**
 * One finished device, as the manifest of a batch lists it.
 *
 * @category Manifest and labels
 */
export interface ManifestRow {
  /** Name of the device; unique in the batch. */
  readonly id: string;
  /** Serial number of the certificate, hexadecimal; empty for a device that failed. */
  readonly serial: string;
  /** SHA-256 of the certificate's DER, hexadecimal. */
  readonly fingerprint: string;
  /** SubjectPublicKeyInfo of the key, DER in base64. */
  readonly publicKey: string;
  /** SHA-256 of the image file, hexadecimal. */
  readonly imageSha256: string;
  /** Key mode. */
  readonly keyMode: string;
  /** Number of the eFuse key, where there is one. */
  readonly efuseKeyId: number | null;
  /** Whether the device's image was read back and found good. */
  readonly status: "verified" | "failed";
  /** The other columns of the device list, unchanged. */
  readonly [column: string]: string | number | null;
}

/**
 * A row as a line of NDJSON, with its line break.
 *
 * @category Manifest and labels
 */
export function formatManifestNdjson(row: ManifestRow): string {
  return `${JSON.stringify(row)}\n`;
}

/**
 * The header line of a manifest in CSV (RFC 4180), with its line break. `columns` are those of the
 * device list.
 *
 * @category Manifest and labels
 */
export function formatManifestCsvHeader(columns: readonly string[]): string {
  return formatLine([...MANIFEST_COLUMNS, ...extraColumns(columns)]);
}

/**
 * A row as a line of CSV (RFC 4180), with its line break. `columns` are those of the device list. What
 * a spreadsheet would run as a formula (`=`, `+`, `-`, `@` in front) has a `'` before it.
 *
 * @category Manifest and labels
 */
export function formatManifestCsv(row: ManifestRow, columns: readonly string[]): string {
  const names = [...MANIFEST_COLUMNS, ...extraColumns(columns)];
  return formatLine(names.map((name) => cellOf(row, name)));
}

/** What a row has in a column, as text; a column may have the name of what every object inherits. */
export function cellOf(row: ManifestRow, name: string): string {
  return Object.hasOwn(row, name) ? String(row[name] ?? "") : "";
}

/**
 * The rows of a manifest in NDJSON.
 *
 * @category Manifest and labels
 * @throws {SecureCertError} `ERR_TEXT` with the line of the first that is not a row.
 */
export function parseManifestNdjson(text: string): ManifestRow[] {
  return text.split("\n").flatMap((line, at) =>
    line === "" ? [] : [parseManifestRow(line, at + 1)]
  );
}

/**
 * The rows of a manifest in CSV, with the values that {@linkcode formatManifestCsv} was given.
 *
 * @category Manifest and labels
 * @throws {SecureCertError} `ERR_CSV` with the line of the first that is not a row.
 */
export function parseManifestCsv(text: string): ManifestRow[] {
  const { records: [header, ...records], problems: [wrong] } = readCsv(text, { comments: false });
  if (wrong !== undefined) throw badCsv(wrong.message, wrong.line);
  const columns = manifestCsvColumns(header);
  const missing = MANIFEST_COLUMNS.find((name) => !columns.includes(name));
  if (missing !== undefined) throw badCsv(`there is no column ${missing}`, 1);
  if (new Set(columns).size < columns.length) throw badCsv("a column is there twice", 1);
  return records.map((record) => {
    const { line } = record[0]!;
    if (record.length !== columns.length) {
      throw badCsv(
        `it has ${countOf(record.length, "field")}, the header has ${columns.length}`,
        line,
      );
    }
    const cells = columns.map((name, at) => [name, fromSpreadsheet(record[at]!.text)] as const);
    const row = Object.fromEntries<unknown>(cells);
    const id = String(row.efuseKeyId);
    row.efuseKeyId = id === "" ? null : /^[0-9]+$/.test(id) ? Number(id) : id;
    const problem = rowProblem(row);
    if (problem !== undefined) throw badCsv(problem, line);
    return row as unknown as ManifestRow;
  });
}

/** The names in the header of a manifest in CSV; none without one. */
export function manifestCsvColumns(header: readonly { readonly text: string }[] = []): string[] {
  return header.map(({ text }) => fromSpreadsheet(text));
}

function badCsv(problem: string, line: number): SecureCertError {
  const message = `Cannot read manifest: ${problem} in line ${line}`;
  return new SecureCertError("ERR_CSV", message, { line });
}

/** The columns of a device list that are not among those of every manifest. */
export function extraColumns(columns: readonly string[]): string[] {
  const known: readonly string[] = MANIFEST_COLUMNS;
  return columns.filter((name) => !known.includes(name));
}

/**
 * One row of a manifest in NDJSON.
 *
 * @param text The line, without its break.
 * @param line Number of the line, from 1, which an error names.
 * @throws {SecureCertError} `ERR_TEXT` with the line when it is not a row.
 */
export function parseManifestRow(text: string, line: number): ManifestRow {
  const row = parseObject(text);
  const problem = row === undefined ? "not a JSON object" : rowProblem(row);
  if (problem === undefined) return row as unknown as ManifestRow;
  const message = `Cannot read manifest: ${problem} in line ${line}`;
  throw new SecureCertError("ERR_TEXT", message, { line });
}

function rowProblem(row: Readonly<Record<string, unknown>>): string | undefined {
  const missing = TEXT_COLUMNS.find((name) => typeof row[name] !== "string");
  if (missing !== undefined) return `${missing} is missing`;
  // It becomes the name of files.
  const unfit = fileNameProblem(row.id as string);
  if (unfit !== undefined) return `id ${unfit}`;
  if (row.status !== "verified" && row.status !== "failed") {
    return "status is neither verified nor failed";
  }
  const isText = Object.entries(row).every(([name, value]) => isValue(name, value));
  return isText ? undefined : "a value is not text";
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? value as Record<string, unknown> : undefined;
  } catch {
    return undefined;
  }
}

function isValue(name: string, value: unknown): boolean {
  if (name === "efuseKeyId") return value === null || Number.isInteger(value);
  return typeof value === "string";
}

/** An id may begin with any character, `#` too, so that a manifest has no comments. */
function formatLine(values: readonly string[]): string {
  return formatCsvRecord(values.map(toSpreadsheet), { comments: false });
}
