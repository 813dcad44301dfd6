import { countOf, type Place } from "../../bytes/errors.ts";
import { printableLine } from "../../bytes/text.ts";
import { type Finding, FINDINGS } from "../../findings/findings.ts";
import { type KeyStorage, tlvEntryTitle } from "../../format/names.ts";
import type { CertificateReport, EntryReport } from "../../toolkit/inspect.ts";
import { dim, formatDay, formatTable, green, red, widthOf, wrap, yellow } from "./text.ts";

const HEAD = ["offset", "entry", "sub", "bytes", "crc"] as const;
const NARROW = 72;

/** The entries of an image: a table, or blocks where the terminal is too narrow for one. */
export function renderEntries(entries: readonly EntryReport[], width: number): string[] {
  return width < NARROW
    ? entries.flatMap((entry) => renderNarrow(entry, width))
    : renderTable(entries, width);
}

/** A certificate in a few lines. */
export function renderCertificate(certificate: CertificateReport): string[] {
  const { subject, issuer, serial, notBefore, notAfter, key, sans } = certificate;
  const isSelfSigned = subject === issuer;
  return [
    `subject  ${printableLine(subject) || dim("(empty)")}`,
    isSelfSigned ? `issuer   ${dim("itself")}` : `issuer   ${printableLine(issuer)}`,
    `valid    ${formatDay(notBefore)} to ${formatDay(notAfter)}`,
    `key      ${key}, serial ${serial}`,
    ...sans.length === 0 ? [] : [`names    ${sans.map(printableLine).join(", ")}`],
  ];
}

/** Lines folded to a width, what follows indented to the text after the label. */
function foldLines(lines: readonly string[], width: number): string[] {
  return lines.flatMap((line) => {
    const isSecret = line.startsWith("-");
    if (isSecret || widthOf(line) <= width || !/^\w+ {2,}/.test(line)) return [line];
    const [label] = /^\w+ +/.exec(line)!;
    const [first, ...rest] = wrap(line.slice(label.length), width - label.length);
    return [label + first, ...rest.map((each) => " ".repeat(label.length) + each)];
  });
}

function renderTable(entries: readonly EntryReport[], width: number): string[] {
  const cells = entries.map((entry) => [
    `0x${entry.offset.toString(16).padStart(4, "0")}`,
    tlvEntryTitle(entry.type, entry.subtype),
    String(entry.subtype),
    String(entry.length),
    entry.crc.ok ? "✓" : "✗",
  ]);
  const { head, rows, indent } = formatTable(HEAD, cells, ["sub", "bytes"]);
  return [
    head,
    ...entries.flatMap((entry, index) => [
      paintMark(rows[index]!, entry.crc.ok),
      ...renderDetails(entry, width - indent).map((line) => " ".repeat(indent) + line),
    ]),
  ];
}

function renderNarrow(entry: EntryReport, width: number): string[] {
  const mark = entry.crc.ok ? green("✓") : red("✗");
  return [
    `${mark} ${tlvEntryTitle(entry.type, entry.subtype)}`,
    dim(
      `  at 0x${entry.offset.toString(16)}, ${
        countOf(entry.length, "byte")
      }, subtype ${entry.subtype}`,
    ),
    ...renderDetails(entry, width - 2).map((line) => `  ${line}`),
  ];
}

function paintMark(line: string, ok: boolean): string {
  return ok ? line.replace(/✓/, green("✓")) : line.replace(/✗/, red("✗"));
}

function renderDetails(entry: EntryReport, width: number): string[] {
  const { certificate, certificates, crc, flags, problem } = entry;
  const lines: string[] = [];
  if (!crc.ok) lines.push(red(`checksum is ${crc.stored}, should be ${crc.computed}`));
  if (flags !== 0) lines.push(`flags    0x${flags.toString(16).padStart(2, "0")}`);
  for (const each of certificates ?? (certificate === undefined ? [] : [certificate])) {
    lines.push(...renderCertificate(each));
  }
  lines.push(...renderKey(entry), ...renderValue(entry));
  if (problem !== undefined) lines.push(red(printableLine(problem)));
  return foldLines(lines, width).map((line) =>
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
    if (secret !== undefined) lines.push(...secret.trimEnd().split(/\r?\n/));
  }
  if (dsData !== undefined) {
    const { rsaLengthBits, ciphertextLength, checks } = dsData;
    lines.push(
      `key      RSA-${rsaLengthBits}, ${countOf(ciphertextLength, "byte")} for the DS peripheral`,
    );
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
    lines.push(`signed   ${algorithm}, ${countOf(signedLength, "byte")}`, `digest   ${keyDigest}`);
  }
  if (integrity !== undefined) {
    const { sha256, ok } = integrity;
    lines.push(`sha256   ${sha256.slice(0, 16)}… ${ok ? green("matches") : red("does not match")}`);
  }
  if (userData !== undefined) lines.push(`text     ${clip(userData.text)}`);
  return lines;
}

function clip(text: string): string {
  const line = printableLine(text.replace(/[\r\n\t]+/g, " "));
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}

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
