import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { alignUp, type Bytes, concat, inRange, viewOf } from "../../bytes/pack.ts";
import { type ChipName, CHIPS } from "../../format/chips/chips.ts";
import { sha256 } from "../deps.ts";
import { randomBytes } from "../sources.ts";
import { ecb, unsafe } from "./deps.ts";

/** Bytes of a block of AES, and what addresses are a multiple of. */
export const FLASH_BLOCK = 16;

/** Turns whole blocks of 16 bytes at an address of flash into others. */
type FlashCipher = (blocks: Uint8Array, address: number) => Bytes;

/** What flash encryption needs to know. */
export type FlashEncryptionOptions = Parameters<typeof encryptFlash>[1];

const MAX_ADDRESS = 0xFFFFFFFF;

type FlashEncryptionKind = (typeof CHIPS)[ChipName]["flashEncryption"][number];

/** Bytes of a key, and the kinds of flash encryption that it may be for. */
const KINDS: Readonly<Record<number, readonly FlashEncryptionKind[]>> = {
  16: ["xts-aes-128-derived"],
  24: ["esp32-aes-256"],
  32: ["esp32-aes-256", "xts-aes-128"],
  64: ["xts-aes-256", "xts-aes-256-key-manager"],
};

/**
 * Encrypts bytes as the chip has them in flash (FORMAT: flash encryption of host-made images). XTS-AES takes
 * each 128 bytes of flash, last byte first, as one unit whose number is its address; the ESP32 changes its
 * key with the address of each 32 bytes, and uses the AES block function for decryption. On the ESP32 the
 * last block of 16 bytes is filled with random ones.
 *
 * @category Flash encryption
 * @throws {SecureCertError} `ERR_KEY` for a key of a length that the chip does not take; `ERR_LENGTH` where
 * XTS-AES is given bytes that are not a multiple of 16.
 * @throws {RangeError} for an address that is not a multiple of 16 or not in 32 bits, and a `config` that is
 * not 0 to 15 or not for an ESP32.
 */
export function encryptFlash(
  bytes: Uint8Array,
  options: {
    /** The chip. */
    readonly chip: ChipName;
    /**
     * The key in the order of its file, of which the eFuse holds each block reversed: on the ESP32 32
     * bytes, or 24 with 3/4 coding; elsewhere 32 for XTS-AES-128, 64 for XTS-AES-256 (KEY_1, then KEY_2),
     * and 16 for the ESP32-C2 where it derives its key.
     */
    readonly key: Uint8Array;
    /** Where in flash the first byte is, in bytes; a multiple of 16. */
    readonly address: number;
    /** FLASH_CRYPT_CONFIG of an ESP32, 0 to 15: which parts of the key the address changes. @default 15 */
    readonly config?: number;
    /** A number of random bytes. @default `crypto.getRandomValues` */
    readonly random?: (length: number) => Uint8Array;
  },
): Bytes {
  const cipher = openCipher("encrypt", bytes, options);
  const missing = alignUp(bytes.length, FLASH_BLOCK) - bytes.length;
  if (missing === 0) return cipher(bytes, options.address);
  if (options.chip !== "esp32") throw badLength("encrypt", bytes);
  return cipher(concat(bytes, randomBytes(missing, options)), options.address);
}

/**
 * What the chip reads of encrypted bytes, the inverse of {@linkcode encryptFlash}. With another key or
 * address it is noise, which nothing here can tell.
 *
 * @category Flash encryption
 * @throws {SecureCertError} and RangeError as `encryptFlash`; `ERR_LENGTH` on every chip.
 */
export function decryptFlash(
  bytes: Uint8Array,
  options: {
    /** The chip. */
    readonly chip: ChipName;
    /** The key, as `encryptFlash` takes it. */
    readonly key: Uint8Array;
    /** Where in flash the first byte is, in bytes; a multiple of 16. */
    readonly address: number;
    /** FLASH_CRYPT_CONFIG of an ESP32, 0 to 15. @default 15 */
    readonly config?: number;
  },
): Bytes {
  const cipher = openCipher("decrypt", bytes, options);
  if (bytes.length % FLASH_BLOCK !== 0) throw badLength("decrypt", bytes);
  return cipher(bytes, options.address);
}

function openCipher(
  direction: "encrypt" | "decrypt",
  bytes: Uint8Array,
  { chip, key, address, config }: FlashEncryptionOptions,
): FlashCipher {
  inRange(address, MAX_ADDRESS + 1 - bytes.length, `Cannot ${direction} flash: address`);
  if (address % FLASH_BLOCK !== 0) {
    throw new RangeError(`Cannot ${direction} flash: address ${address} is not a multiple of 16`);
  }
  checkKey(direction, chip, key);
  if (chip === "esp32") {
    inRange(config ?? CONFIG_BITS, CONFIG_BITS, `Cannot ${direction} flash: config`);
    return esp32Cipher(direction, key, config ?? CONFIG_BITS);
  }
  if (config !== undefined) {
    throw new RangeError(`Cannot ${direction} flash: only the ESP32 has a config, not ${chip}`);
  }
  return xtsCipher(direction, key);
}

/** The lengths in bytes of the keys that a chip takes. */
export function flashKeySizes(chip: ChipName): number[] {
  const kinds: readonly FlashEncryptionKind[] = CHIPS[chip].flashEncryption;
  return Object.keys(KINDS).map(Number)
    .filter((size) => KINDS[size]!.some((kind) => kinds.includes(kind)));
}

function checkKey(direction: string, chip: ChipName, { length }: Uint8Array): void {
  const sizes = flashKeySizes(chip);
  if (sizes.includes(length)) return;
  throw new SecureCertError(
    "ERR_KEY",
    `Cannot ${direction} flash: the key has ${countOf(length, "byte")}, the ${
      CHIPS[chip].title
    } takes ${sizes.join(" or ")}`,
    { field: "key" },
  );
}

function badLength(direction: string, { length }: Uint8Array): SecureCertError {
  return new SecureCertError(
    "ERR_LENGTH",
    `Cannot ${direction} flash: ${
      countOf(length, "byte is", "bytes are")
    } not a multiple of ${FLASH_BLOCK}`,
    { offset: length - length % FLASH_BLOCK },
  );
}

/** FLASH_CRYPT_CONFIG with all its bits: the address changes every bit of the key. */
const CONFIG_BITS = 15;

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
function esp32Cipher(
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
function xtsCipher(direction: "encrypt" | "decrypt", key: Uint8Array): FlashCipher {
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
