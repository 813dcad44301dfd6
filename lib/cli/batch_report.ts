import type { BatchProblem } from "../provision/batch_check.ts";
import { green, red } from "./colors.ts";

/** Problems as people read them, one a line, and how many of each kind. */
export function renderProblems(problems: readonly BatchProblem[]): string[] {
  if (problems.length === 0) return [green("nothing is wrong")];
  const counts = Object.entries(Object.groupBy(problems, ({ code }) => code))
    .map(([code, each]) => `${each.length} ${code}`);
  return [
    ...problems.map(({ code, id, message }) =>
      `${red(code)}${id === null ? "" : ` ${id}`}: ${message}`
    ),
    "",
    `${problems.length} wrong: ${counts.join(", ")}`,
  ];
}
