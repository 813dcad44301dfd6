import type { NvsErased } from "./decoded.ts";
import { NVS_ENTRY_SIZE, readNvsEntry } from "./entry.ts";
import { NVS_FIRST_ENTRY, NVS_PAGE_ENTRIES } from "./page.ts";

/**
 * What is left in a page of entries that are not marked as written. Nothing is written over in a page
 * of NVS until all of it is erased: deleting a key changes only the bitmap.
 *
 * @param bytes The page.
 * @param offset Where it starts in the image.
 * @param isWritten Whether an entry is one that the firmware reads.
 * @returns The entries that hold other bytes than 0xFF; those without a sound header as one.
 */
export function readErasedEntries(
  bytes: Uint8Array,
  offset: number,
  isWritten: (slot: number) => boolean,
): NvsErased[] {
  const erased: NvsErased[] = [];
  const at = (slot: number) => NVS_FIRST_ENTRY + slot * NVS_ENTRY_SIZE;
  const isLeft = (slot: number) =>
    slot < NVS_PAGE_ENTRIES && !isWritten(slot) &&
    bytes.subarray(at(slot), at(slot + 1)).some((byte) => byte !== 0xFF);
  for (let slot = 0; slot < NVS_PAGE_ENTRIES;) {
    if (!isLeft(slot)) {
      slot++;
      continue;
    }
    const first = slot;
    const header = headerAt(bytes, at(first));
    const end = first + (header?.span ?? NVS_PAGE_ENTRIES);
    do slot++; while (
      slot < end && isLeft(slot) &&
      (header !== undefined || headerAt(bytes, at(slot)) === undefined)
    );
    erased.push({
      offset: offset + at(first),
      key: header?.key,
      bytes: bytes.subarray(at(first), at(slot)),
    });
  }
  return erased;
}

function headerAt(bytes: Uint8Array, at: number): { key: string; span: number } | undefined {
  const { value: { key, span }, crc } = readNvsEntry(bytes.subarray(at));
  return crc.stored === crc.computed && key !== "" ? { key, span } : undefined;
}
