/**
 * What one chip can do.
 *
 * @category Names and chips
 */
export interface Chip {
  /** The name that people read. */
  readonly title: string;
  /** Number of the chip in the header of application images. */
  readonly chipId: number;
  /** Where the second-stage bootloader is in flash, in bytes. */
  readonly bootloaderOffset: number;
  /** How big the values of the DS peripheral are; null when the chip has none. */
  readonly ds: {
    /** The longest RSA key in bits. */
    readonly maxRsaBits: 3072 | 4096;
    /** Bytes of the ciphertext: three operands of `maxRsaBits` and 48 bytes of check values. */
    readonly ciphertextLength: number;
    /** Bytes of the DS data: length word 4, initialisation vector 16, ciphertext. */
    readonly dataLength: number;
    /** The RSA key sizes in bits that ESP-IDF accepts. */
    readonly rsaBits: readonly number[];
  } | null;
  /** Curves of the ECDSA peripheral; empty when there is none that takes keys from eFuse. */
  readonly ecdsaCurves: readonly ("P-192" | "P-256" | "P-384")[];
  /** Whether there is an HMAC peripheral. */
  readonly hmac: boolean;
  /** eFuse block numbers of the key blocks: KEYn is the nth, from 0. */
  readonly keyBlocks: readonly number[];
  /** The purposes that key blocks can be given, by the names that `espefuse` has for them. */
  readonly purposes: Readonly<
    Record<string, {
      /** The number burned into the KEY_PURPOSE field. */
      readonly value: number;
      /** What it is for. */
      readonly family: "user" | "ecdsa" | "xts" | "hmac" | "digest" | "key-manager" | "sdc";
      /** Whether the 32 bytes of the key are burned as they are or last byte first. */
      readonly byteOrder: "as-is" | "reversed";
      /** Whether the block must be hidden from software; a digest must stay readable. */
      readonly readProtect: boolean;
    }>
  >;
  /** The families of purposes that BLOCK9 (KEY5) must not have, though other blocks may. */
  readonly block9Refuses: readonly ("xts" | "ecdsa")[];
  /** Secure boot v2: schemes and how many key digests the eFuses hold. */
  readonly secureBoot: {
    readonly rsa3072: boolean;
    readonly ecdsaCurves: readonly ("P-192" | "P-256" | "P-384")[];
    readonly digestSlots: number;
  };
  /** The kinds of flash encryption. */
  readonly flashEncryption: readonly (
    | "esp32-aes-256"
    | "xts-aes-128"
    | "xts-aes-128-derived"
    | "xts-aes-256"
    | "xts-aes-256-key-manager"
  )[];
  /** What a user should know besides. */
  readonly notes: readonly string[];
  /** The source of each fact above, by the name of its field. */
  readonly sources: Readonly<Record<string, string>>;
}

/** A curve of the ECDSA peripheral or of secure boot. */
export type Curve = Chip["ecdsaCurves"][number];

/** How big the values of the DS peripheral are; they follow from the longest RSA key. */
export type DsLayout = NonNullable<Chip["ds"]>;

/** The DS peripheral of chips with operands of 3072 bits (FORMAT: DS parameters, per chip). */
export const DS_3072: DsLayout = {
  maxRsaBits: 3072,
  ciphertextLength: 1200,
  dataLength: 1220,
  rsaBits: [1024, 2048, 3072],
};

/** The DS peripheral of chips with operands of 4096 bits (FORMAT: DS parameters, per chip). */
export const DS_4096: DsLayout = {
  maxRsaBits: 4096,
  ciphertextLength: 1584,
  dataLength: 1604,
  rsaBits: [1024, 2048, 3072, 4096],
};

/** The two layouts there are. */
export const DS_LAYOUTS: readonly DsLayout[] = [DS_4096, DS_3072];

/**
 * The layout that a ciphertext has.
 *
 * @param ciphertextLength Length of the ciphertext in bytes.
 * @returns The layout, or undefined when no chip has ciphertexts of this length.
 */
export function dsLayoutOfCiphertext(ciphertextLength: number): DsLayout | undefined {
  return DS_LAYOUTS.find((layout) => layout.ciphertextLength === ciphertextLength);
}

/** Purposes by name, as `espefuse` calls them. */
type KeyPurposes = Chip["purposes"];

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
