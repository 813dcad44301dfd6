import type { Place } from "../bytes/errors.ts";
import { type KeyStorage, tlvEntryTitle } from "../format/names.ts";
import { DEFAULT_PARTITION_SIZE } from "../format/partition.ts";
import type { Finding } from "../provision/findings.ts";
import type { CertificateReport, EntryReport, Inspection } from "../provision/inspect.ts";
import type { Verdict } from "../provision/verify.ts";
import { ADVICE } from "./advice.ts";
import { bold, cyan, dim, green, red, yellow } from "./colors.ts";
import { renderLocation, renderPartitionTable } from "./render_table.ts";

const MIN_COLUMNS = 40;
const NARROW = 72;
const BAR = 32;
const NO_EXPIRY_YEAR = "9999";

/** An inspection as people read it. */
export function renderInspection(report: Inspection, columns: number): string {
  const width = Math.max(MIN_COLUMNS, columns);
  const lines = [renderTitle(report), ...renderWhere(report), ""];
  if (report.entries.length > 0) {
    lines.push(...renderSpace(report), "");
    lines.push(
      ...width < NARROW ? report.entries.flatMap(renderNarrow) : renderTable(report.entries),
    );
    lines.push("");
  }
  if (report.format !== "partition_table" || report.findings.length > 0) {
    lines.push(...renderFindings(report.findings, width));
  }
  return lines.join("\n").trimEnd();
}

/** A verdict as people read it. */
export function renderVerdict(
  { ok, checks, findings, location }: Verdict,
  columns: number,
): string {
  const width = Math.max(MIN_COLUMNS, columns);
  const marks = checks.map((check) => {
    return `  ${check.ok ? green("✓") : red("✗")} ${check.name}`;
  });
  const verdict = ok ? bold(green("good")) : bold(red("BAD"));
  const where = location === undefined ? [] : [...renderLocation(location), ""];
  return [...where, ...marks, "", ...renderFindings(findings, width), "", `verdict: ${verdict}`]
    .join("\n");
}

/** Findings, errors first: what it is, what it means on the device, and what to do. */
export function renderFindings(findings: readonly Finding[], width: number): string[] {
  if (findings.length === 0) return [green("no findings")];
  const sorted = findings.toSorted((a, b) => a.severity.localeCompare(b.severity));
  return sorted.flatMap(({ severity, code, message, place }) => {
    const head = severity === "error" ? red(`error ${code}`) : yellow(`warning ${code}`);
    return [
      head,
      ...wrap(`${message}${renderPlace(place)}`, width - 4).map((line) => `    ${line}`),
      ...wrap(`→ ${ADVICE[code]}`, width - 4).map((line) => dim(`    ${line}`)),
    ];
  });
}

/** A certificate in a few lines. */
export function renderCertificate(certificate: CertificateReport): string[] {
  const { subject, issuer, serial, notBefore, notAfter, key, sans } = certificate;
  const end = notAfter.startsWith(NO_EXPIRY_YEAR) ? "no expiry" : notAfter.slice(0, 10);
  const isSelfSigned = subject === issuer;
  return [
    `subject  ${subject || dim("(empty)")}`,
    isSelfSigned ? `issuer   ${dim("itself")}` : `issuer   ${issuer}`,
    `valid    ${notBefore.slice(0, 10)} to ${end}`,
    `key      ${key}, serial ${serial}`,
    ...sans.length === 0 ? [] : [`names    ${sans.join(", ")}`],
  ];
}

/** Bytes as people say them. */
export function formatSize(bytes: number): string {
  return `${bytes} bytes (0x${bytes.toString(16)})`;
}

/** Where the image was found; without one the partition table, which is all there is to show. */
function renderWhere({ location, partitionTable }: Inspection): string[] {
  if (location !== undefined) return renderLocation(location);
  return partitionTable === undefined ? [] : ["", ...renderPartitionTable(partitionTable)];
}

function renderTitle({ format, size, credentials, partitionTable }: Inspection): string {
  if (format === "partition_table") {
    return `${bold("partition table")}: ${partitionTable?.entries.length} partitions`;
  }
  const name = format === "unknown"
    ? bold("not an esp_secure_cert image")
    : bold(`esp_secure_cert image, ${format}`);
  const key = credentials.key === null ? "" : `, ${credentials.key}`;
  const mode = credentials.keyMode === null ? "" : `, ${credentials.keyMode} key`;
  return `${name}: ${formatSize(size)}${key}${mode}`;
}

function renderSpace({ size, used }: Inspection): string[] {
  const whole = Math.max(size, DEFAULT_PARTITION_SIZE);
  const filled = Math.min(BAR, Math.ceil(used / whole * BAR));
  const bar = cyan("█".repeat(filled)) + dim("░".repeat(BAR - filled));
  return [`${bar} ${used} of ${whole} bytes, ${Math.round(used / whole * 100)} %`];
}

function renderTable(entries: readonly EntryReport[]): string[] {
  const head = ["offset", "entry", "sub", "bytes", "crc"];
  const rows = entries.map((entry) => [
    `0x${entry.offset.toString(16).padStart(4, "0")}`,
    tlvEntryTitle(entry.type, entry.subtype),
    String(entry.subtype),
    String(entry.length),
    entry.crc.ok ? "✓" : "✗",
  ]);
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => widthOf(row[column]!)))
  );
  const format = (row: readonly string[]) =>
    row.map((cell, column) => pad(cell, widths[column]!, column)).join("  ").trimEnd();
  const indent = " ".repeat(widths[0]! + 2);
  return [
    dim(format(head)),
    ...entries.flatMap((entry, index) => [
      paintMark(format(rows[index]!), entry.crc.ok),
      ...renderDetails(entry).map((line) => indent + line),
    ]),
  ];
}

function renderNarrow(entry: EntryReport): string[] {
  const mark = entry.crc.ok ? green("✓") : red("✗");
  return [
    `${mark} ${tlvEntryTitle(entry.type, entry.subtype)}`,
    dim(`  at 0x${entry.offset.toString(16)}, ${entry.length} bytes, subtype ${entry.subtype}`),
    ...renderDetails(entry).map((line) => `  ${line}`),
  ];
}

/** Numbers to the right, words to the left. */
function pad(cell: string, width: number, column: number): string {
  const space = " ".repeat(width - widthOf(cell));
  return column === 2 || column === 3 ? space + cell : cell + space;
}

function paintMark(line: string, ok: boolean): string {
  return ok ? line.replace(/✓/, green("✓")) : line.replace(/✗/, red("✗"));
}

function renderDetails(entry: EntryReport): string[] {
  const { certificate, certificates, crc, flags, problem } = entry;
  const lines: string[] = [];
  if (!crc.ok) lines.push(red(`checksum is ${crc.stored}, should be ${crc.computed}`));
  if (flags !== 0) lines.push(`flags    0x${flags.toString(16).padStart(2, "0")}`);
  for (const each of certificates ?? (certificate === undefined ? [] : [certificate])) {
    lines.push(...renderCertificate(each));
  }
  lines.push(...renderKey(entry), ...renderValue(entry));
  if (problem !== undefined) lines.push(red(problem));
  return lines.map((line) =>
    line.startsWith("-") ? line : line.replace(/^(\w+) {2,}/, (label) => dim(label))
  );
}

const STORAGE: Readonly<Record<KeyStorage, string>> = {
  "plaintext": "plaintext",
  "hmac-encrypted": "encrypted with an eFuse key",
  "hmac-derived": "derived from an eFuse key and the salt",
  "ecdsa-peripheral": "in an eFuse, used by the ECDSA peripheral",
};

function renderKey({ privateKey, dsData, dsContext, securityConfig }: EntryReport): string[] {
  const lines: string[] = [];
  if (privateKey !== undefined) {
    const { storage, key, secret } = privateKey;
    lines.push(`key      ${key === undefined ? "" : `${key}, `}${STORAGE[storage]}`);
    if (secret !== undefined) lines.push(...secret.trimEnd().split("\n"));
  }
  if (dsData !== undefined) {
    const { rsaLengthBits, ciphertextLength, checks } = dsData;
    lines.push(`key      RSA-${rsaLengthBits}, ${ciphertextLength} bytes for the DS peripheral`);
    if (checks !== undefined) lines.push(`opened   ${renderChecks(checks)}`);
  }
  if (dsContext !== undefined) {
    lines.push(`efuse    KEY${dsContext.efuseKeyId}, RSA-${dsContext.rsaLengthBits}`);
  }
  if (securityConfig !== undefined) {
    const { efuseBlock, efuseKeyId } = securityConfig;
    lines.push(`efuse    block ${efuseBlock}${efuseKeyId === null ? "" : `, KEY${efuseKeyId}`}`);
  }
  return lines;
}

function renderChecks(checks: object): string {
  const wrong = Object.entries(checks).filter(([, holds]) => holds !== true).map(([name]) => name);
  return wrong.length === 0
    ? green("with the HMAC key, and whole")
    : red(`wrong: ${wrong.join(", ")}`);
}

function renderValue({ signature, integrity, userData }: EntryReport): string[] {
  const lines: string[] = [];
  if (signature !== undefined) {
    const { algorithm, signedLength, keyDigest } = signature;
    lines.push(`signed   ${algorithm}, ${signedLength} bytes`, `digest   ${keyDigest}`);
  }
  if (integrity !== undefined) {
    const { sha256, ok } = integrity;
    lines.push(`sha256   ${sha256.slice(0, 16)}… ${ok ? green("matches") : red("does not match")}`);
  }
  if (userData !== undefined) lines.push(`text     ${clip(userData.text)}`);
  return lines;
}

function clip(text: string): string {
  const line = text.replace(/[\r\n\t]+/g, " ");
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}

function renderPlace({ entry, offset }: Place): string {
  const parts = [
    ...entry === undefined ? [] : [`entry ${entry}`],
    ...offset === undefined ? [] : [`at 0x${offset.toString(16)}`],
  ];
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** Columns that a text takes, wide characters aside. */
function widthOf(text: string): number {
  return [...text].length;
}
