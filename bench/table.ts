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

/** A line of a comparison with another checkout. */
export interface Comparison {
  /** What was measured. */
  readonly name: string;
  /** The measures with their unit: of this checkout, and of the other. */
  readonly here: string;
  readonly there: string;
  /** This checkout as a multiple of the other: the median over pairs. */
  readonly ratio: number;
  /** The smallest ratio that is wanted. */
  readonly atLeast?: number;
}

/** The rows as a Markdown table. */
export function formatRows(rows: readonly Row[]): string {
  return formatTable(["what", "result", "ratio", "goal", ""], rows.map(cellsOf));
}

/** The comparisons as a Markdown table. */
export function formatComparisons(comparisons: readonly Comparison[]): string {
  const cells = comparisons.map(({ name, here, there, ratio, atLeast }) => [
    name,
    here,
    there,
    formatTimes(ratio),
    atLeast === undefined ? "" : `at least ${atLeast}x`,
    atLeast === undefined ? "" : metOrMissed(ratio >= atLeast),
  ]);
  return formatTable(["what", "here", "there", "here/there", "goal", ""], cells);
}

/** A Markdown table whose columns line up; all but the first and those without a heading are numbers. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => row[column]!.length))
  );
  const isNumber = (column: number) => column > 0 && head[column] !== "";
  const line = (row: readonly string[]) =>
    `| ${
      row.map((cell, column) =>
        isNumber(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)
      ).join(" | ")
    } |`;
  const rule = widths.map((width, column) =>
    isNumber(column) ? "-".repeat(width - 1) + ":" : "-".repeat(width)
  );
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

/** A number with three significant digits or, from 100 on, none after the point. */
export function formatNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function cellsOf({ name, result, ratio, goal, limit }: Row): string[] {
  if (limit !== undefined) return [name, result, "", limit.text, metOrMissed(limit.met)];
  if (ratio === undefined) return [name, result, "", "", ""];
  if (goal === undefined) return [name, result, formatTimes(ratio), "", ""];
  return [name, result, formatTimes(ratio), `${goal}x`, metOrMissed(ratio <= goal)];
}

function formatTimes(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}

function metOrMissed(met: boolean): string {
  return met ? "met" : "missed";
}
