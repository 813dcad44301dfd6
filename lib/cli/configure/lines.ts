import { formatHex } from "../../bytes/text.ts";
import { TLV_TYPES } from "../../format/names.ts";
import { DEFAULT_PARTITION_SIZE, walkPartition } from "../../format/partition.ts";
import type { ImageFormat } from "../../format/names.ts";
import type { Io } from "../io.ts";

/** The lines that scripts around Espressif's tool look for. */
export function printEntries(
  image: Uint8Array,
  count: number,
  format: ImageFormat,
  io: Io,
): void {
  const done = `Successfully processed ${count} out of ${count} entries`;
  if (format !== "tlv") return io.print(done);
  const { entries, used } = walkPartition(image);
  const last = entries.at(-1);
  const isClosed = last?.value.type === TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV;
  for (const { value: { type, subtype }, size } of isClosed ? entries.slice(0, -1) : entries) {
    io.print(`Added TLV entry: type=${type}, subtype=${subtype}, length=${size}`);
  }
  io.print(done);
  if (isClosed) {
    const { value: { type, subtype, data }, size } = last;
    io.print(`Added TLV entry: type=${type}, subtype=${subtype}, length=${size}`);
    io.print(`Added integrity TLV (subtype ${subtype}) with SHA256: ${formatHex(data)}`);
  }
  io.print(`Total TLV entries: ${entries.length}`);
  io.print(`Total partition size used: ${used} / ${DEFAULT_PARTITION_SIZE} bytes`);
}
