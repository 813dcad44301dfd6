import { printableLine } from "../../bytes/text.ts";
import { DEFAULT_PARTITION_SIZE } from "../../format/partition.ts";
import type { CredentialFileReport } from "../../toolkit/credential_file.ts";
import type { Inspection } from "../../toolkit/inspect.ts";
import { otherTitle } from "../../toolkit/others.ts";
import type { Check, Verdict } from "../../verify/verify.ts";
import { bold, cyan, dim, green, red, yellow } from "./colors.ts";
import { renderCredentialFile } from "./credential_file.ts";
import { renderEntries } from "./entries.ts";
import { renderFindings } from "./findings.ts";
import { renderLocation, renderPartitionTable } from "./partition_table.ts";
import { formatSize, wrap } from "./text.ts";

const MIN_COLUMNS = 40;
const BAR = 32;

/** An inspection as people read it. */
export function renderInspection(report: Inspection, columns: number): string {
  if (isCredentialFile(report)) {
    return renderCredentialFile(report.contents ?? [report]).join("\n");
  }
  const width = Math.max(MIN_COLUMNS, columns);
  const lines = [
    ...wrap(renderTitle(report), width),
    ...renderWhere(report),
    ...report.kconfig === undefined ? [] : wrap(`read by firmware with ${report.kconfig}`, width),
    "",
  ];
  if (report.entries.length > 0) {
    lines.push(...renderSpace(report), "");
    lines.push(...renderEntries(report.entries, width));
    lines.push("");
  }
  if (report.others !== undefined) lines.push(...renderOthers(report, width), "");
  if (report.format !== "partition_table" || report.findings.length > 0) {
    lines.push(...renderFindings(report.findings, width));
  }
  return lines.join("\n").trimEnd();
}

/** Formats of files that are not images, and of which only what they hold is shown. */
const CREDENTIALS: readonly string[] = ["certificate", "private key", "public key", "request"];

function isCredentialFile(
  report: Inspection,
): report is Inspection & CredentialFileReport {
  return CREDENTIALS.includes(report.format);
}

const ENCODINGS = { intel_hex: "Intel HEX", uf2: "UF2" } as const;

const MARKS: Readonly<Record<Check["state"], () => string>> = {
  ok: () => green("✓"),
  warning: () => yellow("!"),
  error: () => red("✗"),
  unchecked: () => dim("–"),
};

/** A verdict as people read it. */
export function renderVerdict(verdict: Verdict, columns: number): string {
  const { ok, complete, checks, findings, unchecked = [], location } = verdict;
  const width = Math.max(MIN_COLUMNS, columns);
  const marks = checks.map(({ name, state }) => {
    return `  ${MARKS[state]()} ${state === "unchecked" ? dim(`${name}, not checked`) : name}`;
  });
  const warnings = findings.filter(({ severity }) => severity === "warning").length;
  const but = warnings === 0 ? "" : `, with ${warnings} warning${warnings === 1 ? "" : "s"}`;
  const word = ok ? `${bold(green("good"))}${but}` : bold(red("BAD"));
  return [
    ...location === undefined ? [] : [...renderLocation(location), ""],
    ...marks,
    "",
    ...renderFindings(findings, width),
    "",
    `verdict: ${word}${complete ? "" : "; not complete"}`,
    ...unchecked.map(({ what, flag }) =>
      yellow(`not checked: ${what}${flag === undefined ? "" : `, give --${flag}`}`)
    ),
  ].join("\n");
}

/** Where the image was found; without one the partition table, which is all there is to show. */
function renderWhere({ location, partitionTable }: Inspection): string[] {
  if (location !== undefined) return renderLocation(location);
  return partitionTable === undefined ? [] : ["", ...renderPartitionTable(partitionTable)];
}

const MOST_OTHERS = 50;

function renderOthers({ format, others = [] }: Inspection, width: number): string[] {
  const rest = others.length - MOST_OTHERS;
  return [
    dim(format === "unknown" ? "in the NVS" : "beside the credentials"),
    ...others.slice(0, MOST_OTHERS).flatMap((other) =>
      wrap(printableLine(otherTitle(other)), width - 2).map((line) => `  ${line}`)
    ),
    ...rest > 0 ? [`  and ${rest} more`] : [],
  ];
}

function renderTitle(
  { format, size, encoding, credentials, partitionTable, others }: Inspection,
): string {
  if (format === "partition_table") {
    return `${bold("partition table")}: ${partitionTable?.entries.length} partitions`;
  }
  const name = format === "unknown"
    ? bold(`${others === undefined ? "" : "NVS, "}not an esp_secure_cert image`)
    : bold(`esp_secure_cert image, ${format}`);
  const from = encoding === undefined ? "" : ` in ${ENCODINGS[encoding]}`;
  const key = credentials.key === null ? "" : `, ${credentials.key}`;
  const mode = credentials.keyMode === null ? "" : `, ${credentials.keyMode} key`;
  return `${name}${from}: ${formatSize(size)}${key}${mode}`;
}

function renderSpace({ size, used }: Inspection): string[] {
  const whole = Math.max(size, DEFAULT_PARTITION_SIZE);
  const filled = Math.min(BAR, Math.ceil(used / whole * BAR));
  const bar = cyan("█".repeat(filled)) + dim("░".repeat(BAR - filled));
  return [`${bar} ${used} of ${whole} bytes, ${Math.round(used / whole * 100)} %`];
}
