import {
  buildsThatRead,
  layoutsReadIn,
  LEGACY_FORMATS_OPTION,
  type PartitionKind,
  searchedPartitions,
} from "../../device/partition.ts";
import { type Finding, finding } from "../../findings/findings.ts";
import type { ImageFormat } from "../../format/names.ts";
import type { PartitionTable, PartitionTableEntry } from "../../format/table/binary.ts";

/** Type and label of a partition, by which the firmware finds it. */
export function kindOf({ type, name }: PartitionTableEntry): PartitionKind {
  return { type, label: name };
}

/**
 * Whether the firmware reads an image from the partition that it is in, and no other partition before
 * that one.
 *
 * @param format Layout of the image.
 * @param entry The partition, as the table has it.
 * @param table The partition table.
 */
export function checkPlacement(
  format: ImageFormat,
  entry: PartitionTableEntry,
  table: PartitionTable,
): Finding[] {
  if (buildsThatRead(format, kindOf(entry)) === "no build") {
    const message = `no firmware reads a ${format} image in ${describe(entry)}: ${
      whatIsRead(format, kindOf(entry))
    }`;
    return [finding("WRONG_PARTITION", message)];
  }
  const [first] = searchedPartitions(
    table.entries.map((each) => ({ ...kindOf(each), entry: each })),
  );
  // Of one kind the first that can be opened is read, which is how the partition was found.
  if (first === undefined || isSameKind(first, kindOf(entry))) return [];
  const message = `the firmware reads ${describe(first.entry)} at 0x${
    first.entry.offset.toString(16)
  }, finds no image there, and never looks at ${describe(entry)}, which holds one`;
  return [finding("WRONG_PARTITION", message)];
}

function whatIsRead(format: ImageFormat, partition: PartitionKind): string {
  const expected = layoutsReadIn(partition, true);
  if (expected.length === 0) return "it looks for another type or name";
  const builds = layoutsReadIn(partition, false).length > 0
    ? `it expects tlv, with ${LEGACY_FORMATS_OPTION} also`
    : `with ${LEGACY_FORMATS_OPTION} it expects`;
  const others = expected.filter((each) => each !== "tlv").join(" or ");
  const isOtherOrder = format.startsWith("cust_flash") && others.startsWith("cust_flash");
  const outcome = isOtherOrder
    ? "reads the checksums of the certificates in the wrong order, so that it gets only the private key"
    : "gets nothing";
  return `${builds} ${others}, and ${outcome}`;
}

function describe({ name, type }: PartitionTableEntry): string {
  return `the partition ${name} of type 0x${type.toString(16)}`;
}

function isSameKind(a: PartitionKind, b: PartitionKind): boolean {
  return a.type === b.type && a.label === b.label;
}
