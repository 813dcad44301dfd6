import { type Bytes, concat, viewOf } from "../../bytes/pack.ts";
import { unsafe } from "./deps.ts";
import { FLASH_BLOCK, type FlashCipher } from "./block.ts";

/** FLASH_CRYPT_CONFIG with all its bits: the address changes every bit of the key. */
export const CONFIG_BITS = 15;

/** Bytes of flash that share a key. */
const ROW = 32;
const KEY_SIZE = 32;
/** The bits of an address that count, from the lowest. */
const ADDRESS_BITS = Array.from({ length: 19 }, (_, at) => 5 + at);
/** The bits of the key that each bit of the configuration lets the address change, from the most significant. */
const RANGES = [[0, 66], [67, 131], [132, 194], [195, 255]] as const;
/** Of each of the four groups of key bits: the address bit that its last run begins with. */
const LAST_RUNS = [14, 12, 10, 8] as const;
/** For each bit of the key, from the most significant, the bit of the address that flips it. */
const FLIPPED_BY = LAST_RUNS.flatMap((first) => [23, 23, 23, first].flatMap(downToFive));

/**
 * The flash encryption of the ESP32: each 32 bytes have a key of their own, the eFuse's with some bits
 * flipped by the address; each 16 bytes are turned around, given to the AES-256 block function for the other
 * direction, and turned around again.
 *
 * @param direction What to do.
 * @param key 32 bytes, or 24 with 3/4 coding, which the chip fills up with the last 8 but 8.
 * @param config FLASH_CRYPT_CONFIG, 0 to 15.
 */
export function esp32Cipher(
  direction: "encrypt" | "decrypt",
  key: Uint8Array,
  config: number,
): FlashCipher {
  const whole = key.length === KEY_SIZE ? key : concat(key, key.subarray(8, 16));
  const flips = flipsFor(config);
  const isEncryption = direction === "encrypt";
  const expand = isEncryption ? unsafe.expandKeyDecLE : unsafe.expandKeyLE;
  const transform = isEncryption ? unsafe.decrypt : unsafe.encrypt;
  return (blocks, address) => {
    const result: Bytes = blocks.slice();
    const view = viewOf(result);
    const row = new Uint8Array(KEY_SIZE);
    for (let at = 0; at < result.length;) {
      const end = Math.min(result.length, at + ROW - (address + at) % ROW);
      const roundKeys = expand(rowKey(row, whole, address + at, flips));
      for (; at < end; at += FLASH_BLOCK) {
        // A block that is turned around has its last word first, and in each word the last byte.
        const { s0, s1, s2, s3 } = transform(
          roundKeys,
          view.getUint32(at + 12),
          view.getUint32(at + 8),
          view.getUint32(at + 4),
          view.getUint32(at),
        );
        view.setUint32(at + 12, s0);
        view.setUint32(at + 8, s1);
        view.setUint32(at + 4, s2);
        view.setUint32(at, s3);
      }
    }
    return result;
  };
}

/** The key of the 32 bytes at an address. */
function rowKey(
  row: Bytes,
  key: Uint8Array,
  address: number,
  flips: readonly Uint8Array[],
): Bytes {
  row.set(key);
  flips.forEach((flip, at) => {
    if ((address >>> ADDRESS_BITS[at]! & 1) === 0) return;
    for (let byte = 0; byte < KEY_SIZE; byte++) row[byte]! ^= flip[byte]!;
  });
  return row;
}

/** The bits of the key that each bit of the address flips. */
function flipsFor(config: number): Bytes[] {
  return ADDRESS_BITS.map((addressBit) => {
    const flip = new Uint8Array(KEY_SIZE);
    FLIPPED_BY.forEach((bit, at) => {
      const isEnabled = RANGES.some(([from, to], range) =>
        at >= from && at <= to && (config >> range & 1) === 1
      );
      if (bit === addressBit && isEnabled) flip[at >> 3]! |= 0x80 >> (at & 7);
    });
    return flip;
  });
}

function downToFive(first: number): number[] {
  return Array.from({ length: first - 4 }, (_, at) => first - at);
}
