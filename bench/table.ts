/** A line of the result. */
export interface Row {
  /** What was measured. */
  readonly name: string;
  /** The measure with its unit. */
  readonly result: string;
  /** The measure as a multiple of its baseline, where it has one. */
  readonly ratio?: number;
  /** The largest ratio that is wanted. */
  readonly goal?: number;
  /** What is wanted of a measure without a baseline, and whether it is so. */
  readonly limit?: { readonly text: string; readonly met: boolean };
}

const HEAD = ["what", "result", "ratio", "goal", ""] as const;

/** The rows as a Markdown table whose columns line up. */
export function formatTable(rows: readonly Row[]): string {
  const cells = rows.map(cellsOf);
  const widths = HEAD.map((head, column) =>
    Math.max(head.length, ...cells.map((row) => row[column]!.length))
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => align(cell, widths[column]!, column)).join(" | ")} |`;
  const rule = widths.map((width, column) =>
    isNumber(column) ? "-".repeat(width - 1) + ":" : "-".repeat(width)
  );
  return [line(HEAD), line(rule), ...cells.map(line)].join("\n");
}

/** A number with three significant digits or, from 100 on, none behind the point. */
export function formatNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function cellsOf({ name, result, ratio, goal, limit }: Row): string[] {
  if (limit !== undefined) return [name, result, "", limit.text, limit.met ? "met" : "missed"];
  if (ratio === undefined) return [name, result, "", "", ""];
  const times = `${ratio.toFixed(2)}x`;
  if (goal === undefined) return [name, result, times, "", ""];
  return [name, result, times, `${goal}x`, ratio <= goal ? "met" : "missed"];
}

function align(cell: string, width: number, column: number): string {
  return isNumber(column) ? cell.padStart(width) : cell.padEnd(width);
}

function isNumber(column: number): boolean {
  return column >= 1 && column <= 3;
}
