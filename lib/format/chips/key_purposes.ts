import type { Chip } from "./chip.ts";

/** Purposes by name, as `espefuse` calls them. */
export type KeyPurposes = Chip["purposes"];

/** A purpose that an eFuse key block can be given (FORMAT: eFuse purposes and blocks). */
export type KeyPurpose = KeyPurposes[string];

function purpose(
  value: number,
  family: KeyPurpose["family"],
  byteOrder: KeyPurpose["byteOrder"] = "as-is",
  readProtect = true,
): KeyPurpose {
  return { value, family, byteOrder, readProtect };
}

/** Every chip with key purposes has this one. */
export const USER_PURPOSE: KeyPurposes = { USER: purpose(0, "user", "as-is", false) };

/** The ECDSA peripheral's key: P-256, on H2, H21 and C61 P-192 too. */
export const ECDSA_PURPOSE: KeyPurposes = { ECDSA_KEY: purpose(1, "ecdsa", "reversed") };

/** The ECDSA peripheral's keys of the other curves; a P-384 key takes two blocks. */
export const ECDSA_WIDE_PURPOSES: KeyPurposes = {
  ECDSA_KEY_P192: purpose(16, "ecdsa", "reversed"),
  ECDSA_KEY_P384_L: purpose(17, "ecdsa", "reversed"),
  ECDSA_KEY_P384_H: purpose(18, "ecdsa", "reversed"),
};

/** Flash encryption with two blocks. */
export const XTS_256_PURPOSES: KeyPurposes = {
  XTS_AES_256_KEY_1: purpose(2, "xts", "reversed"),
  XTS_AES_256_KEY_2: purpose(3, "xts", "reversed"),
};

/** Flash encryption with one block. */
export const XTS_128_PURPOSE: KeyPurposes = { XTS_AES_128_KEY: purpose(4, "xts", "reversed") };

/** The HMAC peripheral's keys: 7 serves the DS peripheral, 8 the firmware. */
export const HMAC_PURPOSES: KeyPurposes = {
  HMAC_DOWN_ALL: purpose(5, "hmac"),
  HMAC_DOWN_JTAG: purpose(6, "hmac"),
  HMAC_DOWN_DIGITAL_SIGNATURE: purpose(7, "hmac"),
  HMAC_UP: purpose(8, "hmac"),
};

/** Digests of secure boot public keys. */
export const DIGEST_PURPOSES: KeyPurposes = {
  SECURE_BOOT_DIGEST0: purpose(9, "digest", "as-is", false),
  SECURE_BOOT_DIGEST1: purpose(10, "digest", "as-is", false),
  SECURE_BOOT_DIGEST2: purpose(11, "digest", "as-is", false),
};

/** The key from which the Key Manager makes others. */
export const KEY_MANAGER_PURPOSE: KeyPurposes = { KM_INIT_KEY: purpose(12, "key-manager") };

/** External RAM encryption with two blocks. */
export const PSRAM_256_PURPOSES: KeyPurposes = {
  XTS_AES_256_PSRAM_KEY_1: purpose(13, "xts", "reversed"),
  XTS_AES_256_PSRAM_KEY_2: purpose(14, "xts", "reversed"),
};

/** External RAM encryption with one block. */
export const PSRAM_128_PURPOSE: KeyPurposes = {
  XTS_AES_128_PSRAM_KEY: purpose(15, "xts", "reversed"),
};

/** Only the ESP32-S31 has this one; it is burned with a digest of a public key. */
export const SDC_PURPOSE: KeyPurposes = { SDC_KEY_DIGEST: purpose(19, "sdc") };

/** The ESP32-C2 has one key block and numbers of its own. */
export const C2_PURPOSES: KeyPurposes = {
  XTS_AES_128_KEY: purpose(1, "xts", "reversed"),
  XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS: purpose(2, "xts", "reversed"),
  SECURE_BOOT_DIGEST: purpose(3, "digest", "as-is", false),
};
