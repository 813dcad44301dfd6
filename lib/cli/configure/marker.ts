import { isFilledWith } from "../../bytes/pack.ts";
import { formatHex } from "../../bytes/text.ts";
import { walkPartition } from "../../format/partition.ts";

/** What Espressif's tool leaves behind a chain that it appends to (FORMAT: signature defects). */
const MARKER = "ffff0000";

/** An image without the bytes that Espressif's tool leaves behind its chain. */
export function withoutMarker(image: Uint8Array): Uint8Array {
  const { used } = walkPartition(image);
  const isMarked = formatHex(image.subarray(used, used + 4)) === MARKER;
  return isMarked && isFilledWith(image.subarray(used + 4), 0xFF) ? image.subarray(0, used) : image;
}
