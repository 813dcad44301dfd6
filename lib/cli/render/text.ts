import { countOf } from "../../bytes/errors.ts";
import { printable } from "../../bytes/text.ts";

export { countOf } from "../../bytes/errors.ts";
export { printableLine } from "../../bytes/text.ts";

/** Text in lines of a width, broken at spaces, and within words that are longer than a line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((each) => chunks(each, width))) {
    if (line !== "" && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** Columns that a text takes, wide characters aside. */
export function widthOf(text: string): number {
  return [...plainText(text)].length;
}

function chunks(word: string, width: number): string[] {
  const characters = [...word];
  if (characters.length <= width) return [word];
  const parts: string[] = [];
  for (let at = 0; at < characters.length; at += width) {
    parts.push(characters.slice(at, at + width).join(""));
  }
  return parts;
}

const NO_EXPIRY_YEAR = "9999";

/** The day of a moment in ISO 8601; in words where a certificate has no end. */
export function formatDay(moment: string): string {
  return moment.startsWith(NO_EXPIRY_YEAR) ? "no expiry" : moment.slice(0, 10);
}

/** Bytes as people say them. */
export function formatSize(bytes: number): string {
  return `${countOf(bytes, "byte")} (0x${bytes.toString(16)})`;
}

/** A table as lines of text. */
interface Table {
  readonly head: string;
  /** A line for each row. */
  readonly rows: readonly string[];
  /** Columns of the terminal that the first column takes, with the space after it. */
  readonly indent: number;
}

/**
 * Lays out a table, its columns two spaces apart.
 *
 * @param head The columns' titles.
 * @param cells The cells of each row, as many as there are titles.
 * @param numbers Titles of the columns that are aligned to the right.
 */
export function formatTable<Title extends string>(
  head: readonly Title[],
  cells: readonly (readonly string[])[],
  numbers: readonly Title[] = [],
): Table {
  const widths = head.map((title, column) =>
    Math.max(widthOf(title), ...cells.map((row) => widthOf(row[column]!)))
  );
  const format = (row: readonly string[]) =>
    row.map((cell, column) => {
      const space = " ".repeat(widths[column]! - widthOf(cell));
      return numbers.includes(head[column]!) ? space + cell : cell + space;
    }).join("  ").trimEnd();
  return { head: dim(format(head)), rows: cells.map(format), indent: widths[0]! + 2 };
}

// Not those of @std/fmt: they leave no way round NO_COLOR, and --color always is one.

/**
 * Begins a colour until {@linkcode terminalText} makes it what a terminal takes. Private characters, others
 * in each process and too many to try, so that no text from a file can colour itself.
 */
const MARK = String.fromCharCode(
  ...crypto.getRandomValues(new Uint16Array(4)).map((number) => 0xE000 + number % 6400),
);
const PAINT = new RegExp(`${MARK}\\d+m`, "g");

let enabled = false;

/** Says whether the functions of this file colour their text. */
export function setColorEnabled(wanted: boolean): void {
  enabled = wanted;
}

/** Text in bold. */
export const bold = (text: string): string => paint(text, 1, 22);
/** Text in a faint colour. */
export const dim = (text: string): string => paint(text, 2, 22);
/** Red text. */
export const red = (text: string): string => paint(text, 31, 39);
/** Green text. */
export const green = (text: string): string => paint(text, 32, 39);
/** Yellow text. */
export const yellow = (text: string): string => paint(text, 33, 39);
/** Cyan text. */
export const cyan = (text: string): string => paint(text, 36, 39);

/** Text as a terminal may show it: with the colours of this file, and {@linkcode printable}. */
export function terminalText(text: string): string {
  return printable(text).replaceAll(MARK, "\x1b[");
}

/** Text without the colours of this file. */
function plainText(text: string): string {
  return text.replace(PAINT, "");
}

function paint(text: string, on: number, off: number): string {
  return enabled ? `${MARK}${on}m${text}${MARK}${off}m` : text;
}
