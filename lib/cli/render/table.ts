import { dim } from "./colors.ts";
import { widthOf } from "./text.ts";

/** A table as lines of text. */
export interface Table {
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
