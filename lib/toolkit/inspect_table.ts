import { formatHex } from "../bytes/text.ts";
import type { PartitionTable, PartitionTableEntry } from "../format/table/binary.ts";
import { checkPartitionTable, type PartitionTableFinding } from "../format/table/check.ts";
import { secureCertEntries } from "../image/find/find.ts";
import { type PartitionPlace, placeOf } from "../image/find/locate.ts";

/** What is wrong with a partition table, with a line for people. */
export type PartitionTableProblem = PartitionTableFinding & {
  /** One line for people. */
  readonly message: string;
};

/** A partition table in a report. */
export interface PartitionTableReport {
  /** The partitions in the order of the table. */
  readonly entries: readonly PartitionPlace[];
  /** The digest that stands in the table and the one that should, hexadecimal; null without one. */
  readonly md5: { readonly stored: string; readonly computed: string; readonly ok: boolean } | null;
  /** What the rules of ESP-IDF forbid. */
  readonly findings: readonly PartitionTableProblem[];
  /** The partition that the firmware reads its credentials from; null when there is none. */
  readonly secureCert: PartitionPlace | null;
}

/**
 * A partition table as reports show it.
 *
 * @param table The table.
 * @param options Where it stands in flash, and whether its text leaves the digest to the build.
 */
export function reportTable(
  { entries, md5 }: PartitionTable,
  options: { readonly tableOffset?: number; readonly isText?: boolean } = {},
): PartitionTableReport {
  const { tableOffset, isText = false } = options;
  const [secureCert] = secureCertEntries(entries);
  const checks = checkPartitionTable(entries, {
    ...tableOffset === undefined ? {} : { tableOffset },
    md5: isText || md5 !== undefined,
  });
  return {
    entries: entries.map(placeOf),
    md5: md5 === undefined
      ? null
      : { stored: formatHex(md5.stored), computed: formatHex(md5.computed), ok: md5.ok },
    findings: checks.map((each) => ({ ...each, message: messageOf(each, entries) })),
    secureCert: secureCert === undefined ? null : placeOf(secureCert),
  };
}

function messageOf(
  finding: PartitionTableFinding,
  entries: readonly PartitionTableEntry[],
): string {
  const nameOf = (index: number) => entries[index]!.name;
  const name = finding.kind === "too-many" ? "" : nameOf(finding.entry);
  switch (finding.kind) {
    case "alignment":
      return `the ${finding.field} of ${name} is no multiple of ${hex(finding.unit)}`;
    case "overlap":
      return `${name} overlaps ${nameOf(finding.of)}`;
    case "duplicate-name":
      return `a second partition is named ${name}`;
    case "name-length":
      return `the name ${name} has ${finding.length} bytes, more than 16`;
    case "before-table-end":
      return `${name} starts before the partition table ends, at ${hex(finding.end)}`;
    case "past-flash-end":
      return `${name} ends at ${hex(finding.end)}, behind the end of the flash`;
    case "empty":
      return `${name} has no bytes`;
    case "otadata-size":
      return `${name} has ${hex(finding.size)} bytes, OTA data takes 0x2000`;
    case "otadata-twice":
      return `${name} is a second partition for OTA data`;
    case "never-readonly":
      return `${name} is read-only, and the firmware must write it`;
    case "nvs-too-small":
      return `${name} has ${hex(finding.size)} bytes; NVS that is written takes 0x3000`;
    case "too-many":
      return `${entries.length} partitions, at most ${finding.limit} fit`;
    default:
      return finding satisfies never;
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
