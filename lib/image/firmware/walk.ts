import { crc32 } from "../../bytes/crc32.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import { hasWord, viewOf } from "../../bytes/pack.ts";
import { DEFAULT_PARTITION_SIZE, WALK_LIMIT, walkPartition } from "../../format/partition.ts";
import {
  readTlvHeader,
  TLV_CRC_SEED,
  TLV_HEADER_SIZE,
  TLV_MAGIC,
  tlvSize,
} from "../../format/tlv.ts";
import type { ImageEntry } from "../read/entry.ts";

/** An entry that the firmware comes to. */
export interface FirmwareEntry extends ImageEntry {
  /** It runs past the end of the image, so that its checksum is never right. */
  readonly isCut?: boolean;
}

/** What the firmware comes to when it looks for an entry. */
export interface FirmwareWalk {
  /** In its order. */
  readonly entries: readonly FirmwareEntry[];
  /** Why it does not come to the end of the chain; absent when it does. */
  readonly broken?: SecureCertError;
}

const ERASED = 0xFF;
const CHECKSUM_SIZE = 4;
/** What is cut off is erased flash. */
const NO_CHECKSUM: ImageEntry["crc"] = { stored: 0xFFFFFFFF, computed: 0 };

/**
 * The entries of an image as the firmware comes to them. It counts in 16 bits: after an entry whose size
 * wraps it goes on within the value of that entry, and at 64 KiB from the start of the image (FORMAT: what
 * the device's reader does with odd images). After the image there is erased flash, as far as the documented
 * size of the partition.
 *
 * @param image Any bytes. Takes time linear in their number.
 */
export function walkAsFirmware(image: Uint8Array): FirmwareWalk {
  const { entries, used, broken } = walkPartition(image);
  const walked: FirmwareEntry[] = [...entries];
  if (broken === undefined && used < WALK_LIMIT) return { entries: walked };
  const seen = new Set(entries.map(({ offset }) => offset));
  const partitionEnd = Math.max(image.length, DEFAULT_PARTITION_SIZE);
  let at = used % WALK_LIMIT;
  while (hasWord(image, at, TLV_MAGIC)) {
    if (seen.has(at)) return { entries: walked, broken: endlessAt(at) };
    seen.add(at);
    const { entry, size } = entryAt(image, at);
    walked.push(entry);
    const next = (at + size) % WALK_LIMIT;
    if (next > partitionEnd) return { entries: walked, broken: outsideAt(at) };
    at = next;
  }
  return { entries: walked };
}

function outsideAt(offset: number): SecureCertError {
  const message = `Cannot read entries: the one at ${offset} runs past the end of the partition`;
  return new SecureCertError("ERR_TRUNCATED", message, { offset });
}

function endlessAt(offset: number): SecureCertError {
  const message =
    `Cannot read entries: the firmware comes back to the one at ${offset}, and never ends`;
  return new SecureCertError("ERR_LENGTH", message, { offset });
}

/** An entry of any length. Its checksum is computed only when asked for: such entries may overlap. */
function entryAt(
  image: Uint8Array,
  offset: number,
): { readonly entry: FirmwareEntry; readonly size: number } {
  const header = new Uint8Array(TLV_HEADER_SIZE).fill(ERASED);
  header.set(image.subarray(offset, offset + TLV_HEADER_SIZE));
  const { length, ...numbers } = readTlvHeader(viewOf(header));
  const size = tlvSize(length);
  const start = offset + TLV_HEADER_SIZE;
  const value = { ...numbers, data: image.subarray(start, start + length) };
  const whole = image.subarray(offset, offset + size);
  if (whole.length < size) {
    return { entry: { offset, value, crc: NO_CHECKSUM, isCut: true }, size };
  }
  const entry = {
    offset,
    value,
    get crc() {
      const end = size - CHECKSUM_SIZE;
      const stored = viewOf(whole).getUint32(end, true);
      return { stored, computed: crc32(whole.subarray(0, end), TLV_CRC_SEED) };
    },
  };
  return { entry, size };
}
