import { crc32 } from "../../lib/bytes/crc32.ts";
import { viewOf } from "../../lib/bytes/pack.ts";
import {
  CUST_FLASH_LAYOUTS,
  CUST_FLASH_MAGIC,
  METADATA_SIZE,
} from "../../lib/format/cust_flash/codec.ts";
import { NVS_PAGE_SIZE, nvsChecksum } from "../../lib/format/nvs/page.ts";
import { TLV_CRC_SEED, TLV_MAGIC, tlvSize } from "../../lib/format/tlv.ts";
import { md5 } from "../../lib/format/deps.ts";

const SIGNATURE_BLOCK_SIZE = 1216;
const BLOCK_CRC_AT = 1196;

/** Makes checksums, magic numbers and lengths right again after a mutation, in place, so that what they guard is reached. */
export type Guard = (bytes: Uint8Array) => void;

/** The magic number at the start, and the checksum of every entry. */
export function fixTlv(bytes: Uint8Array): void {
  const view = viewOf(bytes);
  for (let at = 0; at + tlvSize(0) <= bytes.length;) {
    if (at === 0) view.setUint32(at, TLV_MAGIC, true);
    if (view.getUint32(at, true) !== TLV_MAGIC) return;
    const size = tlvSize(view.getUint16(at + 10, true));
    if (at + size > bytes.length) return;
    const end = at + size - 4;
    view.setUint32(end, crc32(bytes.subarray(at, end), TLV_CRC_SEED), true);
    at += size;
  }
}

/** The checksums of page headers, entries and their data. */
export function fixNvs(bytes: Uint8Array): void {
  for (let page = 0; page + NVS_PAGE_SIZE <= bytes.length; page += NVS_PAGE_SIZE) {
    const end = page + NVS_PAGE_SIZE;
    const view = viewOf(bytes);
    view.setUint32(page + 28, nvsChecksum(bytes.subarray(page + 4, page + 28)), true);
    for (let at = page + 64; at < end; at += 32) {
      const span = Math.max(1, bytes[at + 2]!);
      if (bytes[at] === 0xFF) continue;
      if (span > 1 && at + 32 * span <= end) {
        const length = Math.min(view.getUint16(at + 24, true), 32 * (span - 1));
        const data = bytes.subarray(at + 32, at + 32 + length);
        view.setUint32(at + 28, nvsChecksum(data), true);
      }
      const sum = nvsChecksum(
        bytes.subarray(at + 8, at + 32),
        nvsChecksum(bytes.subarray(at, at + 4)),
      );
      view.setUint32(at + 4, sum, true);
      at += 32 * (span - 1);
    }
  }
}

/** The digest after the rows of a partition table. */
export function fixTable(bytes: Uint8Array): void {
  for (let at = 0; at + 32 <= bytes.length; at += 32) {
    if (viewOf(bytes).getUint16(at, true) === 0xEBEB) {
      bytes.set(md5(bytes.subarray(0, at)), at + 16);
      return;
    }
  }
}

/** The checksums of the values in a cust_flash image, in one of its layouts. */
export function fixCustFlash(bytes: Uint8Array): void {
  if (bytes.length < METADATA_SIZE) return;
  const view = viewOf(bytes);
  const layout = CUST_FLASH_LAYOUTS.find(({ magicAt }) =>
    view.getUint32(magicAt, true) === CUST_FLASH_MAGIC
  );
  for (const { offset, pairAt } of layout?.slots ?? []) {
    const data = bytes.subarray(offset, offset + view.getUint16(pairAt + 4, true));
    if (data.length > 0) view.setUint32(pairAt, crc32(data, TLV_CRC_SEED), true);
  }
}

/** The checksum of a secure boot block at the end of the bytes. */
export function fixSignatureBlock(bytes: Uint8Array): void {
  const at = bytes.length - SIGNATURE_BLOCK_SIZE;
  if (at < 0) return;
  const sum = crc32(bytes.subarray(at, at + BLOCK_CRC_AT));
  viewOf(bytes).setUint32(at + BLOCK_CRC_AT, sum, true);
}

/** The lengths of the elements around a change in DER, outermost first, as far as they fit. */
export function fixDer(bytes: Uint8Array): void {
  let [at, end] = [0, bytes.length];
  while (at + 4 <= end && (bytes[at]! & 0x20) !== 0) {
    const octets = bytes[at + 1]! & 0x7F;
    const isLong = bytes[at + 1]! > 0x80;
    const head = isLong ? 2 + octets : 2;
    const length = end - at - head;
    if (octets > 2 && isLong || length < 0 || !isLong && length > 0x7F) return;
    if (!isLong) bytes[at + 1] = length;
    for (let place = 0; isLong && place < octets; place++) {
      bytes[at + head - 1 - place] = length >> 8 * place;
    }
    at += head;
    // Only the first child is as long as it says, where others follow it.
    end = at + childSize(bytes, at);
    if (end > bytes.length) return;
  }
}

function childSize(bytes: Uint8Array, at: number): number {
  const first = bytes[at + 1] ?? 0;
  if (first < 0x80) return 2 + first;
  let length = 0;
  for (let place = 0; place < (first & 0x7F) && place < 4; place++) {
    length = length * 256 + (bytes[at + 2 + place] ?? 0);
  }
  return 2 + (first & 0x7F) + length;
}
