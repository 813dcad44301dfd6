import { printableLine } from "../../bytes/text.ts";
import { partitionSubtypeName, partitionTypeName } from "../../format/table/csv.ts";
import type { PartitionTableReport } from "../../toolkit/inspect.ts";
import type { ImageLocation, PartitionPlace } from "../../image/find/locate.ts";
import { bold, dim, green, red, yellow } from "./colors.ts";
import { formatTable } from "./text.ts";

const HEAD = ["name", "type", "subtype", "offset", "size", "flags"] as const;
const LISTED = 5;

/** A partition table as people read it: a row a partition, and where esp_secure_cert is. */
export function renderPartitionTable(table: PartitionTableReport): string[] {
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
export function renderLocation(location: ImageLocation): string[] {
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
          `${chain.entries} entries at ${hex(chain.offset)}, ${chain.used} bytes`
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
    printableLine(name),
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
