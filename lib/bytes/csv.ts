// A reader of its own, because the one in the Deno standard library throws at the first error and
// does not say in which line a record begins, and people must see all errors with their places.

/** One field of a record. */
export interface CsvField {
  /** The text, without its quotes. */
  readonly text: string;
  /** Whether it was in quotes, so that the spaces at its ends belong to it. */
  readonly quoted: boolean;
  /** Line where the field begins, from 1. */
  readonly line: number;
  /** Character of that line where it begins, from 1. */
  readonly column: number;
}

/** Something that is wrong with a text, and where. */
export interface CsvProblem {
  /** Line, from 1. */
  readonly line: number;
  /** Character of the line, from 1. */
  readonly column: number;
  /** What is wrong. Never quotes the text, which may hold a key. */
  readonly message: string;
}

/** What {@linkcode readCsv} found. */
export interface CsvRecords {
  /** The records in order, each with at least one field. */
  readonly records: readonly (readonly CsvField[])[];
  /** The lines that begin with `#`, without the spaces around them. */
  readonly comments: readonly { readonly line: number; readonly text: string }[];
  /** Every place where the quoting is wrong. */
  readonly problems: readonly CsvProblem[];
}

/** Which kind of CSV is read or written. */
export interface CsvOptions {
  /** Whether lines that begin with `#` are comments and not records. @default true */
  readonly comments?: boolean;
  /** What is between fields. @default a comma */
  readonly separator?: Separator;
}

/** What spreadsheets put between the fields of a CSV, by the language of the system. */
export type Separator = "," | ";" | "\t";

/**
 * What is between the fields of a CSV whose first line names its columns: a comma, unless a name that must
 * be among them is there only with semicolons or tabs between.
 *
 * @param header The first line, without its break.
 * @param column The name.
 */
export function separatorOf(header: string, column: string): Separator {
  const isThere = (separator: string) =>
    header.replace(/^\uFEFF/, "").split(separator)
      .some((name) => name.trim().replace(/^"(.*)"$/, "$1") === column);
  return isThere(",") ? "," : ([";", "\t"] as const).find(isThere) ?? ",";
}

/**
 * What a first line such as `sep=;` says is between the fields, as spreadsheets know it; undefined for
 * another line.
 */
export function statedSeparator(line: string): Separator | undefined {
  const [, , stated] = /^\uFEFF?("?)sep=([,;\t])\1[,;\t]*\s*$/i.exec(line) ?? [];
  return stated as Separator | undefined;
}

/** What is wrong with a text whose last quote is missing: another line may hold it. */
export const OPEN_QUOTE = "quote is not closed";

/**
 * The records of a CSV text (RFC 4180): commas or another separator, double quotes, line breaks of any
 * kind, also within quotes. A byte order mark and blank lines are skipped; lines that begin with `#` are
 * comments.
 *
 * @param text The text.
 * @param options Whether there are comments, which RFC 4180 does not have.
 * @returns The records and all problems; time and memory are linear in the length of the text.
 */
export function readCsv(text: string, options: CsvOptions = {}): CsvRecords {
  const skipped = options.comments === false ? /^\s*$/ : /^\s*(#|$)/;
  const { separator = "," } = options;
  const records: CsvField[][] = [];
  const problems: CsvProblem[] = [];
  const comments: { line: number; text: string }[] = [];
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  const breaks = text.match(/\r\n|\n|\r/g) ?? [];
  for (let line = 0; line < lines.length; line++) {
    if (skipped.test(lines[line]!)) {
      const text = lines[line]!.trim();
      if (text !== "") comments.push({ line: line + 1, text });
      continue;
    }
    const record: CsvField[] = [];
    let at = 0;
    for (;;) {
      const start = { line: line + 1, column: at + 1 };
      if (lines[line]![at] === '"') {
        const quoted = readQuoted(lines, breaks, line, at + 1);
        record.push({ ...start, text: quoted.text, quoted: true });
        ({ line, at } = quoted);
        if (!quoted.closed) problems.push({ ...start, message: OPEN_QUOTE });
      } else {
        const end = fieldEnd(lines[line]!, at, separator);
        const plain = lines[line]!.slice(at, end);
        const quote = plain.indexOf('"');
        if (quote >= 0) {
          const column = start.column + quote;
          problems.push({ ...start, column, message: "quote within a field without quotes" });
        }
        record.push({ ...start, text: plain, quoted: false });
        at = end;
      }
      const end = fieldEnd(lines[line]!, at, separator);
      if (lines[line]!.slice(at, end).trim() !== "") {
        problems.push({ line: line + 1, column: at + 1, message: "text after a closing quote" });
      }
      if (end === lines[line]!.length) break;
      at = end + 1;
    }
    records.push(record);
  }
  return { records, comments, problems };
}

/**
 * One line of CSV (RFC 4180); fields that need quotes get them.
 *
 * @param fields The texts.
 * @param options Whether who reads it knows comments, so that a field with `#` in front needs quotes.
 * @returns The line, with a line break (LF) at its end.
 */
export function formatCsvRecord(fields: readonly string[], options: CsvOptions = {}): string {
  const special = options.comments === false ? /[",\r\n]|^\s|\s$/ : /[",\r\n]|^\s*#|^\s|\s$/;
  const quoted = fields.map((text) =>
    special.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  );
  return `${quoted.join(",")}\n`;
}

/** What makes a cell a formula for a spreadsheet, after any number of apostrophes; wide letters too. */
const FORMULA = /^'*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/;

/** A text for a cell of a spreadsheet: one that would run as a formula gets an apostrophe before it. */
export function toSpreadsheet(text: string): string {
  return FORMULA.test(text) ? `'${text}` : text;
}

/** The text that {@linkcode toSpreadsheet} was given. */
export function fromSpreadsheet(text: string): string {
  return text[0] === "'" && FORMULA.test(text) ? text.slice(1) : text;
}

interface Quoted {
  readonly text: string;
  readonly line: number;
  readonly at: number;
  readonly closed: boolean;
}

/** A quoted field from after its opening quote to after its closing one. */
function readQuoted(
  lines: readonly string[],
  breaks: readonly string[],
  line: number,
  at: number,
): Quoted {
  const parts: string[] = [];
  for (;;) {
    const current = lines[line]!;
    const quote = current.indexOf('"', at);
    if (quote < 0) {
      parts.push(current.slice(at));
      if (line + 1 === lines.length) {
        return { text: parts.join(""), line, at: current.length, closed: false };
      }
      parts.push(breaks[line]!);
      line++;
      at = 0;
    } else if (current[quote + 1] === '"') {
      parts.push(current.slice(at, quote + 1));
      at = quote + 2;
    } else {
      parts.push(current.slice(at, quote));
      return { text: parts.join(""), line, at: quote + 1, closed: true };
    }
  }
}

function fieldEnd(line: string, at: number, separator: Separator): number {
  const end = line.indexOf(separator, at);
  return end < 0 ? line.length : end;
}
