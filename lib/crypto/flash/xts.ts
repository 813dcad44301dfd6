import { alignUp, viewOf } from "../../bytes/pack.ts";
import { sha256 } from "../deps.ts";
import { FLASH_BLOCK, type FlashCipher } from "./block.ts";
import { ecb } from "./deps.ts";

/** Bytes of flash that are encrypted as one unit. */
const UNIT = 128;
/** Bytes that are worked on at a time, so that a large file needs little more memory than its own. */
const CHUNK = 256 * UNIT;
const DERIVED_KEY_SIZE = 16;
const WORD = 4;
const RAW = { disablePadding: true } as const;

/**
 * XTS-AES (IEEE 1619) as the chips have it: a unit is turned around, encrypted with its address as its
 * number, and turned around again. Blocks of a unit do not depend on each other, so that a part of one is
 * encrypted as the whole of it.
 *
 * @param direction What to do.
 * @param key 32 or 64 bytes: the first half is for data, the second for the numbers of units; or the 16
 * bytes from which an ESP32-C2 derives 32.
 */
export function xtsCipher(direction: "encrypt" | "decrypt", key: Uint8Array): FlashCipher {
  const whole = key.length === DERIVED_KEY_SIZE ? sha256(key) : key;
  const half = whole.length / 2;
  const [dataKey, unitKey] = [whole.subarray(0, half), whole.subarray(half)];
  return (blocks, address) => {
    const result = new Uint8Array(blocks.length);
    for (let at = 0; at < blocks.length;) {
      const lead = (address + at) % UNIT;
      const taken = Math.min(CHUNK - lead, blocks.length - at);
      const units = new Uint8Array(alignUp(lead + taken, UNIT));
      units.set(blocks.subarray(at, at + taken), lead);
      const masks = masksFrom(address + at - lead, units.length, unitKey);
      turn(units);
      mask(units, masks);
      const data = ecb(dataKey, RAW)[direction](units);
      mask(data, masks);
      turn(data);
      result.set(data.subarray(lead, lead + taken), at);
      at += taken;
    }
    return result;
  };
}

/** What the blocks of units are masked with: the encrypted address of each unit, doubled for each block. */
function masksFrom(address: number, length: number, unitKey: Uint8Array): Uint8Array {
  const numbers = new Uint8Array(length / UNIT * FLASH_BLOCK);
  for (let at = 0, unit = address; at < numbers.length; at += FLASH_BLOCK, unit += UNIT) {
    viewOf(numbers).setUint32(at, unit, true);
  }
  const first = ecb(unitKey, RAW).encrypt(numbers);
  const masks = new Uint8Array(length);
  const view = viewOf(masks);
  for (let at = 0, number = 0; at < length; at += UNIT, number += FLASH_BLOCK) {
    masks.set(first.subarray(number, number + FLASH_BLOCK), at);
    for (let block = at; block + FLASH_BLOCK < at + UNIT; block += FLASH_BLOCK) {
      writeDouble(view, block);
    }
  }
  return masks;
}

/** Writes the product of a little-endian element of GF(2^128) and x after it. */
function writeDouble(view: DataView, at: number): void {
  let carry = 0;
  for (let word = at; word < at + FLASH_BLOCK; word += WORD) {
    const value = view.getUint32(word, true);
    view.setUint32(word + FLASH_BLOCK, value << 1 | carry, true);
    carry = value >>> 31;
  }
  // x^128 is x^7 + x^2 + x + 1.
  if (carry === 1) view.setUint8(at + FLASH_BLOCK, view.getUint8(at + FLASH_BLOCK) ^ 0x87);
}

/** Turns each unit around in place, last byte first. */
function turn(units: Uint8Array): void {
  for (let at = 0; at < units.length; at += UNIT) units.subarray(at, at + UNIT).reverse();
}

function mask(units: Uint8Array, masks: Uint8Array): void {
  for (let at = 0; at < units.length; at++) units[at]! ^= masks[at]!;
}
