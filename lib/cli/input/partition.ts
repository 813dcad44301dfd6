import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { shownWord } from "../../bytes/text.ts";
import { partitionFor } from "../../device/partition.ts";
import type { ImageFormat } from "../../format/names.ts";
import { PARTITION_FLAGS, PARTITION_TYPES } from "../../format/table/binary.ts";
import { checkPartitionTable, isRefusal } from "../../format/table/check.ts";
import { readTable } from "../../format/table/csv.ts";
import type { Io } from "../io.ts";
import type { FlashPlace } from "../render/next_steps.ts";
import { naming } from "./files.ts";

const NVS_SUBTYPE = 2;
/** Names of partitions that a message has. */
const MOST_NAMES = 20;

/**
 * The partition of an image in the partition table of --table.
 *
 * @throws {SecureCertError} for a file that is not a table, or has no such partition.
 */
export async function readFlashPlace(
  path: string,
  format: ImageFormat,
  io: Io,
): Promise<FlashPlace> {
  const file = await io.read(path);
  const { entries } = await naming(path, () => readTable(file));
  const { label, type } = partitionFor(format);
  const isNvs = type === PARTITION_TYPES.data;
  const row = entries.find((entry) =>
    entry.name === label && entry.type === type && (!isNvs || entry.subtype === NVS_SUBTYPE)
  );
  if (row === undefined) {
    const kind = isNvs ? "of data, nvs" : "of type 0x3F";
    const names = entries.slice(0, MOST_NAMES).map(({ name }) => shownWord(name)).join(", ");
    const message = `${path} has no partition ${label} ${kind}: its partitions are ${names}${
      entries.length > MOST_NAMES ? " and others" : ""
    }`;
    throw new SecureCertError("ERR_PLAN", message, { field: "table" });
  }
  if (checkPartitionTable(entries).some(isRefusal)) {
    io.note(`warning: ESP-IDF refuses ${path}; inspect shows what is wrong with it`);
  }
  const { offset, size, flags = 0 } = row;
  return { offset, size, isEncrypted: (flags & PARTITION_FLAGS.encrypted) !== 0, table: path };
}

/** Refuses an image that its partition has no room for. */
export function checkRoom({ length }: Uint8Array, { size }: FlashPlace): void {
  if (length <= size) return;
  const message = `Cannot flash image: it has ${
    countOf(length, "byte")
  }, and its partition ${size}`;
  throw new SecureCertError("ERR_TOO_LARGE", message, { field: "size" });
}
