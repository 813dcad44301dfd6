import { countOf } from "../../bytes/errors.ts";
import type { BatchProblem } from "../../batch/check/problem.ts";
import { printableLine } from "../../bytes/text.ts";
import { green, red } from "../render/text.ts";

/** Problems of a kind that people are shown; a batch may have a million of them. */
const SHOWN = 50;

/** Equal faults of a list that people are shown, and kinds of them. */
const EQUAL_SHOWN = 10;
const KINDS_SHOWN = 20;

/**
 * What is wrong with a list, one line each: of equal faults the first ten, and how many more there are.
 *
 * @param faults In the order of the list, each after its line or device and a colon.
 */
export function renderFaults(faults: readonly string[]): string[] {
  const kinds = Map.groupBy(faults, kindOf);
  const shown = [...kinds.values()].slice(0, KINDS_SHOWN);
  const lines = shown.flatMap((each) => [
    ...each.slice(0, EQUAL_SHOWN).map(printableLine),
    ...each.length > EQUAL_SHOWN ? [`and ${each.length - EQUAL_SHOWN} more of these`] : [],
  ]);
  const left = faults.length - shown.reduce((sum, { length }) => sum + length, 0);
  return left === 0 ? lines : [...lines, `and ${countOf(left, "other problem")}`];
}

/** What a fault says without what is its row's: where it is, what it quotes, numbers and the names of files. */
function kindOf(fault: string): string {
  return fault.replace(/^.*?: /s, "").replace(/"[^"]*"/g, '""').replace(/\S*[\d/\\.:]\S*/g, "0");
}

/** Names one after another, of which the first are shown. */
export function listOf(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN).map(printableLine).join(", ");
  const more = names.length - SHOWN;
  return more <= 0 ? shown : `${shown} and ${more} more`;
}

/** Problems as people read them, one a line, and how many of each kind. */
export function renderProblems(problems: readonly BatchProblem[]): string[] {
  if (problems.length === 0) return [green("nothing is wrong")];
  const groups = Object.entries(Object.groupBy(problems, ({ code }) => code));
  const lines = groups.flatMap(([code, each]) => [
    ...each.slice(0, SHOWN).map(({ id, message }) =>
      `${red(code)}${printableLine(`${id === null ? "" : ` ${id}`}: ${message}`)}`
    ),
    ...each.length > SHOWN ? [`${red(code)}: ${each.length - SHOWN} more; --json lists all`] : [],
  ]);
  const counts = groups.map(([code, each]) => `${each.length} ${code}`);
  return [...lines, "", `${problems.length} wrong: ${counts.join(", ")}`];
}
