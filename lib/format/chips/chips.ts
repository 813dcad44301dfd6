import { didYouMean, spelledName } from "../../bytes/nearest.ts";
import { shownValue } from "../../bytes/text.ts";
import {
  C2_PURPOSES,
  type Chip,
  type Curve,
  DIGEST_PURPOSES,
  DS_3072,
  DS_4096,
  type DsLayout,
  ECDSA_PURPOSE,
  ECDSA_WIDE_PURPOSES,
  HMAC_PURPOSES,
  KEY_MANAGER_PURPOSE,
  PSRAM_128_PURPOSE,
  PSRAM_256_PURPOSES,
  SDC_PURPOSE,
  USER_PURPOSE,
  XTS_128_PURPOSE,
  XTS_256_PURPOSES,
} from "./chip.ts";

/** The largest flash that the chips address: 32 MiB, in bytes. */
export const MAX_FLASH: number = 32 << 20;

const SOURCES: Readonly<Record<Exclude<keyof Chip, "title" | "notes" | "sources">, string>> = {
  chipId: "esptool: targets, image chip id",
  bootloaderOffset: "esptool: targets, bootloader flash offset",
  ds: "ESP-IDF: soc_caps",
  ecdsaCurves: "ESP-IDF: soc_caps",
  hmac: "ESP-IDF: soc_caps",
  keyBlocks: "esptool: espefuse mem_definition",
  purposes: "esptool: espefuse fields",
  block9Refuses: "ESP-IDF: soc_caps, SOC_EFUSE_BLOCK9_KEY_PURPOSE_QUIRK",
  secureBoot: "ESP-IDF: soc_caps and secure boot v2 guide",
  flashEncryption: "esptool: espefuse fields; technical reference manual, flash encryption",
};

const SIX_KEYS: readonly number[] = [4, 5, 6, 7, 8, 9];
const TWO_CURVES: readonly Curve[] = ["P-192", "P-256"];
const THREE_CURVES: readonly Curve[] = ["P-192", "P-256", "P-384"];
const RSA_ONLY: Chip["secureBoot"] = { rsa3072: true, ecdsaCurves: [], digestSlots: 3 };
const NO_P192 = "the P-192 curve is off by default on this chip";

/** What most chips share; each chip below states the rest. */
const COMMON = {
  bootloaderOffset: 0,
  ds: null,
  ecdsaCurves: [],
  hmac: false,
  keyBlocks: SIX_KEYS,
  block9Refuses: [],
  secureBoot: RSA_ONLY,
  flashEncryption: ["xts-aes-128"],
  notes: [],
  sources: SOURCES,
} as const satisfies Partial<Chip>;

/** What every chip with an HMAC peripheral shares. */
const HMAC_PART = { ...USER_PURPOSE, ...HMAC_PURPOSES, ...DIGEST_PURPOSES, ...XTS_128_PURPOSE };

const ESP32: Chip = {
  ...COMMON,
  title: "ESP32",
  chipId: 0,
  bootloaderOffset: 0x1000,
  keyBlocks: [],
  purposes: {},
  secureBoot: { rsa3072: true, ecdsaCurves: [], digestSlots: 1 },
  flashEncryption: ["esp32-aes-256"],
  notes: [
    "BLOCK1 holds the flash encryption key and BLOCK2 the secure boot digest; blocks have no purposes",
    "secure boot v2 needs chip revision 3 or later",
  ],
};

const ESP32S2: Chip = {
  ...COMMON,
  title: "ESP32-S2",
  chipId: 2,
  bootloaderOffset: 0x1000,
  ds: DS_4096,
  hmac: true,
  purposes: { ...HMAC_PART, ...XTS_256_PURPOSES },
  flashEncryption: ["xts-aes-128", "xts-aes-256"],
  sources: { ...SOURCES, ds: "ESP32-S2 technical reference manual, ch. 20; ROM header" },
};

const ESP32S3: Chip = {
  ...ESP32S2,
  title: "ESP32-S3",
  chipId: 9,
  bootloaderOffset: 0,
  block9Refuses: ["xts"],
  sources: {
    ...SOURCES,
    ds: "ESP32-S3 technical reference manual, ch. 13",
    block9Refuses: "ESP32-S3 technical reference manual, ch. 7; ESP-IDF: soc_caps",
  },
};

const ESP32C2: Chip = {
  ...COMMON,
  title: "ESP32-C2",
  chipId: 12,
  keyBlocks: [3],
  purposes: { ...USER_PURPOSE, ...C2_PURPOSES },
  secureBoot: { rsa3072: false, ecdsaCurves: TWO_CURVES, digestSlots: 1 },
  flashEncryption: ["xts-aes-128", "xts-aes-128-derived"],
};

const ESP32C3: Chip = {
  ...COMMON,
  title: "ESP32-C3",
  chipId: 5,
  ds: DS_3072,
  hmac: true,
  purposes: HMAC_PART,
  block9Refuses: ["xts"],
  sources: { ...SOURCES, ds: "ESP32-C3 technical reference manual, ch. 11" },
};

const ESP32C5: Chip = {
  ...COMMON,
  title: "ESP32-C5",
  chipId: 23,
  bootloaderOffset: 0x2000,
  ds: DS_3072,
  ecdsaCurves: THREE_CURVES,
  hmac: true,
  purposes: {
    ...HMAC_PART,
    ...ECDSA_PURPOSE,
    ...ECDSA_WIDE_PURPOSES,
    ...KEY_MANAGER_PURPOSE,
    ...PSRAM_128_PURPOSE,
  },
  secureBoot: { rsa3072: true, ecdsaCurves: THREE_CURVES, digestSlots: 3 },
  flashEncryption: ["xts-aes-128", "xts-aes-256-key-manager"],
  notes: [
    "images that Espressif's tool 2.6 makes for this chip have DS data in the 4096-bit layout, " +
    "which the chip refuses",
    "an ECDSA key in eFuse has been seen to hang later boots with flash encryption off",
  ],
  sources: {
    ...SOURCES,
    ds: "ESP32-C5 technical reference manual, ch. 27; ROM header; ESP-IDF: SOC_RSA_MAX_BIT_LEN",
  },
};

const ESP32C6: Chip = {
  ...ESP32C3,
  title: "ESP32-C6",
  chipId: 13,
  secureBoot: { rsa3072: true, ecdsaCurves: TWO_CURVES, digestSlots: 3 },
  sources: { ...SOURCES, ds: "ESP32-C6 technical reference manual, ch. 27" },
};

const ESP32C61: Chip = {
  ...COMMON,
  title: "ESP32-C61",
  chipId: 20,
  ecdsaCurves: TWO_CURVES,
  purposes: { ...USER_PURPOSE, ...ECDSA_PURPOSE, ...XTS_128_PURPOSE, ...DIGEST_PURPOSES },
  secureBoot: { rsa3072: false, ecdsaCurves: TWO_CURVES, digestSlots: 3 },
  sources: {
    ...SOURCES,
    purposes: "esptool: espefuse fields, and ESP-IDF: soc_caps; the technical reference manual's " +
      "table names HMAC purposes instead and is not followed",
  },
};

const ESP32H2: Chip = {
  ...COMMON,
  title: "ESP32-H2",
  chipId: 16,
  ds: DS_3072,
  ecdsaCurves: TWO_CURVES,
  hmac: true,
  purposes: { ...HMAC_PART, ...ECDSA_PURPOSE },
  block9Refuses: ["xts", "ecdsa"],
  secureBoot: { rsa3072: true, ecdsaCurves: TWO_CURVES, digestSlots: 3 },
  notes: [
    "up to revision 1.1, burning an ECDSA key also burns ECDSA_FORCE_USE_HARDWARE_K",
    `from revision 1.2, ${NO_P192}`,
  ],
  sources: {
    ...SOURCES,
    ds: "ESP32-H2 technical reference manual, ch. 24; ROM header",
    block9Refuses: "ESP32-H2 technical reference manual, ch. 5; ESP-IDF: soc_caps",
  },
};

const ESP32H21: Chip = {
  ...ESP32H2,
  title: "ESP32-H21",
  chipId: 25,
  block9Refuses: [],
  secureBoot: RSA_ONLY,
  notes: [NO_P192],
  sources: { ...SOURCES, ds: "ESP32-H21 ROM header" },
};

const ESP32P4: Chip = {
  ...COMMON,
  title: "ESP32-P4",
  chipId: 18,
  bootloaderOffset: 0x2000,
  ds: DS_4096,
  ecdsaCurves: THREE_CURVES,
  hmac: true,
  purposes: {
    ...HMAC_PART,
    ...XTS_256_PURPOSES,
    ...ECDSA_PURPOSE,
    ...ECDSA_WIDE_PURPOSES,
    ...KEY_MANAGER_PURPOSE,
  },
  secureBoot: { rsa3072: true, ecdsaCurves: THREE_CURVES, digestSlots: 3 },
  flashEncryption: ["xts-aes-128", "xts-aes-256", "xts-aes-256-key-manager"],
  sources: { ...SOURCES, ds: "ESP32-P4 technical reference manual, ch. 31; ROM header" },
};

const ESP32S31: Chip = {
  ...ESP32P4,
  title: "ESP32-S31",
  chipId: 32,
  keyBlocks: [4, 5, 6, 7, 8],
  purposes: {
    ...ESP32P4.purposes,
    ...PSRAM_256_PURPOSES,
    ...PSRAM_128_PURPOSE,
    ...SDC_PURPOSE,
  },
  secureBoot: RSA_ONLY,
  sources: { ...SOURCES, ds: "ESP32-S31 ROM header" },
};

/**
 * What each chip can do, with the source of each fact (FORMAT: DS, secure boot, eFuse, flash).
 *
 * @category Names and chips
 */
export const CHIPS = {
  esp32: ESP32,
  esp32s2: ESP32S2,
  esp32s3: ESP32S3,
  esp32c2: ESP32C2,
  esp32c3: ESP32C3,
  esp32c5: ESP32C5,
  esp32c6: ESP32C6,
  esp32c61: ESP32C61,
  esp32h2: ESP32H2,
  esp32h21: ESP32H21,
  esp32p4: ESP32P4,
  esp32s31: ESP32S31,
} as const satisfies Readonly<Record<string, Chip>>;

/**
 * A name of {@linkcode CHIPS}, as esptool and ESP-IDF write it.
 *
 * @category Names and chips
 */
export type ChipName = keyof typeof CHIPS;

const CHIP_NAMES = Object.keys(CHIPS) as ChipName[];

/** The chip that a text names in any usual spelling, such as `ESP32-C3` or `esp32_c3`. */
export function parseChip(text: string): ChipName | undefined {
  return spelledName(text, CHIP_NAMES);
}

/** As {@linkcode parseChip}; what names no chip stays as it is, for others to refuse. */
export function usualChip(chip: ChipName | undefined): ChipName | undefined {
  return chip && (parseChip(chip) ?? chip);
}

/**
 * As {@linkcode parseChip}, for a chip that a program names.
 *
 * @throws {RangeError} for one that is not known.
 */
export function knownChip(text: string): ChipName {
  const chip = parseChip(text);
  if (chip !== undefined) return chip;
  throw new RangeError(`Unknown chip ${shownValue(text)}${didYouMean(text, CHIP_NAMES)}`);
}

/** Whether a text is a name of {@linkcode CHIPS}, in this very spelling. */
export function isChipName(text: string): text is ChipName {
  return Object.hasOwn(CHIPS, text);
}

/**
 * The sizes of a chip's DS peripheral.
 *
 * @param chip The chip.
 * @returns The layout, or undefined when the chip has no DS peripheral.
 */
export function dsLayout(chip: ChipName): DsLayout | undefined {
  return CHIPS[chip].ds ?? undefined;
}
