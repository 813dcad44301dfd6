import type { Place } from "../../bytes/errors.ts";
import { printableLine } from "../../bytes/text.ts";
import { type Finding, FINDINGS } from "../../findings/findings.ts";
import { dim, green, red, yellow } from "./colors.ts";
import { wrap } from "./text.ts";

/** Findings, errors first: what it is, what it means on the device, and what to do. */
export function renderFindings(findings: readonly Finding[], width: number): string[] {
  if (findings.length === 0) return [green("no findings")];
  const sorted = findings.toSorted((a, b) => a.severity.localeCompare(b.severity));
  return sorted.flatMap(({ severity, code, message, place }) => {
    const head = severity === "error" ? red(`error ${code}`) : yellow(`warning ${code}`);
    return [
      head,
      ...wrap(`${printableLine(message)}${renderPlace(place)}`, width - 4).map((line) =>
        `    ${line}`
      ),
      ...wrap(`→ ${FINDINGS[code].advice}`, width - 4).map((line) => dim(`    ${line}`)),
    ];
  });
}

function renderPlace({ entry, offset }: Place): string {
  const parts = [
    ...entry === undefined ? [] : [`entry ${entry}`],
    ...offset === undefined ? [] : [`at 0x${offset.toString(16)}`],
  ];
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}
