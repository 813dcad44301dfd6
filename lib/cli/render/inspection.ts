import { countOf } from "../../bytes/errors.ts";
import { printableLine, shownWord } from "../../bytes/text.ts";
import { DEFAULT_PARTITION_SIZE } from "../../format/partition.ts";
import { partitionSubtypeName, partitionTypeName } from "../../format/table/csv.ts";
import type { ImageLocation, PartitionPlace } from "../../image/find/locate.ts";
import type { CredentialFileReport } from "../../toolkit/credential_file.ts";
import type { Inspection, PartitionTableReport } from "../../toolkit/inspect.ts";
import { otherTitle } from "../../toolkit/others.ts";
import type { Check, Verdict } from "../../verify/verify.ts";
import { renderEntries, renderFindings } from "./entries.ts";
import {
  bold,
  cyan,
  dim,
  formatDay,
  formatSize,
  formatTable,
  green,
  red,
  wrap,
  yellow,
} from "./text.ts";

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
    return `${bold("partition table")}: ${
      countOf(partitionTable?.entries.length ?? 0, "partition")
    }`;
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
  return [`${bar} ${used} of ${countOf(whole, "byte")}, ${Math.round(used / whole * 100)} %`];
}

const HEAD = ["name", "type", "subtype", "offset", "size", "flags"] as const;
const LISTED = 5;

/** A partition table as people read it: a row a partition, and where esp_secure_cert is. */
function renderPartitionTable(table: PartitionTableReport): string[] {
  const { entries, md5, findings, secureCert } = table;
  const { head, rows } = formatTable(HEAD, entries.map(cellsOf), ["offset", "size"]);
  return [
    head,
    ...rows.map((row, index) => isSame(entries[index]!, secureCert) ? bold(row) : row),
    "",
    ...md5 === null ? [] : [`MD5 ${md5.ok ? green("matches") : red("does not match")}`],
    secureCert === null
      ? red("no partition for credentials: the firmware finds none")
      : `the firmware reads ${describe(secureCert)}`,
    ...findings.map(({ severity, kind, message }) => {
      const color = severity === "error" ? red : yellow;
      return `${color(`table ${kind}`)} ${printableLine(message)}`;
    }),
  ];
}

/** Where an image was found, in a line or two. */
function renderLocation(location: ImageLocation): string[] {
  const { kind, offset, others } = location;
  const more = others.length - LISTED;
  const list = (texts: readonly string[]) =>
    texts.length === 0 ? [] : [
      dim(`also there: ${texts.slice(0, LISTED).join(", ")}${more > 0 ? `, ${more} more` : ""}`),
    ];
  if (kind === "scan") {
    return [
      `found at ${hex(offset)} by its magic number`,
      ...list(
        location.others.map((chain) =>
          `${countOf(chain.entries, "entry", "entries")} at ${hex(chain.offset)}, ${
            countOf(chain.used, "byte")
          }`
        ),
      ),
    ];
  }
  const { tableOffset, partition } = location;
  return [
    `found at ${hex(offset)} through the partition table at ${hex(tableOffset)}: ${
      describe(partition)
    }`,
    ...list(location.others.map(describe)),
  ];
}

function describe({ name, type, subtype, offset, size, encrypted }: PartitionPlace): string {
  const kind = `${partitionTypeName(type)}/${partitionSubtypeName(type, subtype)}`;
  return `${printableLine(name)} (${kind}) at ${hex(offset)}, ${hex(size)} bytes${
    encrypted ? ", flagged encrypted" : ""
  }`;
}

function cellsOf(
  { name, type, subtype, offset, size, encrypted, readonly }: PartitionPlace,
): string[] {
  return [
    shownWord(name),
    partitionTypeName(type),
    partitionSubtypeName(type, subtype),
    hex(offset),
    hex(size),
    [...encrypted ? ["encrypted"] : [], ...readonly ? ["readonly"] : []].join(":"),
  ];
}

function isSame(entry: PartitionPlace, other: PartitionPlace | null): boolean {
  return other !== null && entry.offset === other.offset && entry.name === other.name;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** The certificates, keys and signing requests of a file: a block of lines each. */
function renderCredentialFile(items: readonly CredentialFileReport[]): string[] {
  return items.flatMap((item, index) => [
    ...index === 0 ? [] : [""],
    `${bold(item.format)}: ${titleOf(item)}`,
    ...detailsOf(item).map(([label, value]) => `  ${dim(label.padEnd(9))}${value}`),
    ...item.problem === undefined ? [] : [`  ${red(printableLine(item.problem))}`],
  ]);
}

function titleOf({ subject, key, encrypted }: CredentialFileReport): string {
  if (subject !== undefined) return printableLine(subject) || dim("(empty subject)");
  if (encrypted) return "protected by a password";
  return key ?? "cannot be read";
}

function detailsOf(item: CredentialFileReport): [string, string][] {
  const { subject, issuer, serial, notBefore, notAfter, key, sans, fingerprint } = item;
  const { publicKeyFingerprint } = item;
  const optional = (label: string, value: string | undefined): [string, string][] =>
    value === undefined || value === "" ? [] : [[label, value]];
  return [
    ...optional(
      "issuer",
      issuer === subject ? issuer && "itself" : issuer && printableLine(issuer),
    ),
    ...optional("serial", serial),
    ...optional("valid", notAfter && `${formatDay(notBefore!)} to ${formatDay(notAfter)}`),
    ...subject === undefined ? [] : optional("key", key),
    ...optional("names", sans?.map(printableLine).join(", ")),
    ...optional("SHA-256", fingerprint),
    ...optional("key's", publicKeyFingerprint && `SHA-256 ${publicKeyFingerprint}`),
  ];
}
