import { SecureCertError } from "../../bytes/errors.ts";
import { alignUp, type Bytes, concat, inRange } from "../../bytes/pack.ts";
import { type ChipName, CHIPS } from "../../format/chips/chips.ts";
import { randomBytes } from "../sources.ts";
import { FLASH_BLOCK, type FlashCipher } from "./block.ts";
import { CONFIG_BITS, esp32Cipher } from "./esp32.ts";
import { xtsCipher } from "./xts.ts";

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
    `Cannot ${direction} flash: the key has ${length} bytes, the ${CHIPS[chip].title} takes ${
      sizes.join(" or ")
    }`,
    { field: "key" },
  );
}

function badLength(direction: string, { length }: Uint8Array): SecureCertError {
  return new SecureCertError(
    "ERR_LENGTH",
    `Cannot ${direction} flash: ${length} bytes are not a multiple of ${FLASH_BLOCK}`,
    { offset: length - length % FLASH_BLOCK },
  );
}
