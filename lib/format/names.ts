import { nearestName } from "../bytes/nearest.ts";

/** What is known of an entry type. */
interface TlvTypeRow {
  /** Number on flash, 0 to 255. */
  readonly number: number;
  /** In words. */
  readonly title: string;
  /** What people write for it. */
  readonly short?: string;
  /** Its name in a configuration CSV; absent where Espressif's host tool knows the number only. */
  readonly csv?: string;
  /** A query value of the firmware, which is never written. */
  readonly reserved?: true;
}

/**
 * A row for each entry type, by its name in the firmware's `esp_secure_cert_tlv_type_t` (FORMAT: TLV
 * types; esp_secure_cert_mgr include/esp_secure_cert_tlv_config.h).
 *
 * @category Names and chips
 */
export const TLV_TYPE_TABLE = {
  ESP_SECURE_CERT_CA_CERT_TLV: {
    number: 0,
    title: "CA certificate",
    short: "ca",
    csv: "ESP_SECURE_CERT_CA_CERT_TLV",
  },
  ESP_SECURE_CERT_DEV_CERT_TLV: {
    number: 1,
    title: "device certificate",
    short: "dev",
    csv: "ESP_SECURE_CERT_DEV_CERT_TLV",
  },
  ESP_SECURE_CERT_PRIV_KEY_TLV: {
    number: 2,
    title: "private key",
    csv: "ESP_SECURE_CERT_PRIV_KEY_TLV",
  },
  ESP_SECURE_CERT_DS_DATA_TLV: {
    number: 3,
    title: "DS data",
    csv: "ESP_SECURE_CERT_DS_DATA_TLV",
  },
  ESP_SECURE_CERT_DS_CONTEXT_TLV: {
    number: 4,
    title: "DS context",
    csv: "ESP_SECURE_CERT_DS_CONTEXT_TLV",
  },
  ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT: {
    number: 5,
    title: "HMAC-ECDSA salt",
    csv: "ESP_SECURE_CERT_ECDSA_KEY_SALT_TLV",
  },
  ESP_SECURE_CERT_TLV_SEC_CFG: {
    number: 6,
    title: "security configuration",
    csv: "ESP_SECURE_CERT_SEC_CFG_TLV",
  },
  ESP_SECURE_CERT_TEE_SEC_STORAGE_KEY_TLV: {
    number: 7,
    title: "TEE storage key",
    csv: "ESP_SECURE_CERT_TEE_SEC_STORAGE_KEY_TLV",
  },
  ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV: {
    number: 8,
    title: "signature",
    csv: "ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV",
  },
  ESP_SECURE_CERT_INTEGRITY_TLV: {
    number: 9,
    title: "integrity (SHA-256)",
    csv: "ESP_SECURE_CERT_TLV_TYPE_INTEGRITY",
  },
  ESP_SECURE_CERT_TLV_END: { number: 50, title: "end of chain", reserved: true },
  ESP_SECURE_CERT_USER_DATA_1: {
    number: 51,
    title: "user data 1",
    short: "user1",
    csv: "ESP_SECURE_CERT_USER_DATA_1_TLV",
  },
  ESP_SECURE_CERT_USER_DATA_2: {
    number: 52,
    title: "user data 2",
    short: "user2",
    csv: "ESP_SECURE_CERT_USER_DATA_2_TLV",
  },
  ESP_SECURE_CERT_USER_DATA_3: {
    number: 53,
    title: "user data 3",
    short: "user3",
    csv: "ESP_SECURE_CERT_USER_DATA_3_TLV",
  },
  ESP_SECURE_CERT_USER_DATA_4: {
    number: 54,
    title: "user data 4",
    short: "user4",
    csv: "ESP_SECURE_CERT_USER_DATA_4_TLV",
  },
  ESP_SECURE_CERT_USER_DATA_5: {
    number: 55,
    title: "user data 5",
    short: "user5",
    csv: "ESP_SECURE_CERT_USER_DATA_5_TLV",
  },
  ESP_SECURE_CERT_MATTER_TLV_1: { number: 201, title: "Matter 1" },
  ESP_SECURE_CERT_MATTER_TLV_2: { number: 202, title: "Matter 2" },
  ESP_SECURE_CERT_TLV_MAX: { number: 254, title: "type 254", reserved: true },
  ESP_SECURE_CERT_TLV_INVALID: { number: 255, title: "type 255", reserved: true },
} as const satisfies Readonly<Record<string, TlvTypeRow>>;

/**
 * An entry type where one is taken: its number from 0 to 255, the firmware's name, or a short name.
 *
 * @category Names and chips
 */
export type TlvType =
  | number
  | keyof typeof TLV_TYPE_TABLE
  | "ca"
  | "dev"
  | "user1"
  | "user2"
  | "user3"
  | "user4"
  | "user5";

const TYPES: readonly (TlvTypeRow & { readonly name: string })[] = Object.entries(TLV_TYPE_TABLE)
  .map((
    [name, row],
  ) => ({ name, ...row }));
const BY_NUMBER: ReadonlyMap<number, typeof TYPES[number]> = new Map(
  TYPES.map((row) => [row.number, row]),
);

/**
 * The numbers of the entry types, by the firmware's name (FORMAT: TLV types). `…_END`, `…_MAX` and
 * `…_INVALID` are query values of the firmware and are never to be written.
 *
 * @category Names and chips
 */
export const TLV_TYPES: {
  readonly [Name in keyof typeof TLV_TYPE_TABLE]: typeof TLV_TYPE_TABLE[Name]["number"];
} = Object.fromEntries(TYPES.map(({ name, number }) => [name, number])) as never;

/** The types of certificates and private keys, whose values may be PEM text. */
export const CREDENTIAL_TYPES: readonly number[] = [
  TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV,
];

/** The largest subtype of an entry: 254 asks the firmware for the last of a type, 255 is invalid. */
export const MAX_SUBTYPE = 253;
/** The subtype that asks the firmware for the last entry of a type. */
export const LAST_OF_TYPE = 254;

/** All layouts. */
export const IMAGE_FORMATS: readonly ImageFormat[] = [
  "tlv",
  "cust_flash",
  "cust_flash_legacy",
  "nvs",
  "nvs_legacy",
];

/**
 * A layout of an image that the firmware reads: `tlv`, and four that came before it.
 *
 * @category Names and chips
 */
export type ImageFormat = "tlv" | "cust_flash" | "cust_flash_legacy" | "nvs" | "nvs_legacy";

/** Bits of an entry's flags byte; only private keys are meant to have them (FORMAT: flags). */
export const TLV_FLAGS = {
  /** Bits 7..6 = 0b10: the value is AES-256-GCM ciphertext and tag. */
  hmacEncrypted: 0x80,
  /** Bits 7..6 = 0b01: no value; the key is derived from an eFuse key and a salt. */
  hmacDerived: 0x40,
  /** Bits 5..3 = 0b001: no value; the key is in an eFuse block for the ECDSA peripheral. */
  ecdsaPeripheral: 0x08,
} as const;

/**
 * How the private key reaches the device.
 *
 * @category Names and chips
 */
export type KeyMode =
  | "plaintext"
  | "rsa-ds"
  | "ecdsa-peripheral"
  | "hmac-encrypted"
  | "hmac-derived";

/** All key modes. */
export const KEY_MODES: readonly KeyMode[] = [
  "plaintext",
  "rsa-ds",
  "ecdsa-peripheral",
  "hmac-encrypted",
  "hmac-derived",
];

/** Other names of the curves of keys (SEC 2, ANSI X9.62; FIPS 186 as OpenSSL has it), by the usual one. */
export const CURVE_SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  "P-192": ["secp192r1", "prime192v1", "NIST P-192"],
  "P-224": ["secp224r1", "NIST P-224"],
  "P-256": ["secp256r1", "prime256v1", "NIST P-256"],
  "P-384": ["secp384r1", "NIST P-384"],
  "P-521": ["secp521r1", "NIST P-521"],
};

/** Where a private key is, by the flags of its entry. */
export type KeyStorage = Exclude<KeyMode, "rsa-ds">;

/**
 * Where the flags of a private key entry say that the key is, in the order and by the groups of bits
 * in which the firmware compares them: 0x88 is a key in an eFuse, and the 0xFF of old images and other
 * odd values mean a plaintext key (FORMAT: what the device's reader does with odd images; flags on
 * entries other than the private key).
 *
 * @param flags The flags byte.
 */
export function keyStorageOf(flags: number): KeyStorage {
  const protection = protectionOf(flags);
  if (protection === "derived") return "hmac-derived";
  if ((flags & 0x38) === TLV_FLAGS.ecdsaPeripheral) return "ecdsa-peripheral";
  return protection === "encrypted" ? "hmac-encrypted" : "plaintext";
}

/**
 * What the firmware does with the value of an entry when it fetches it, whatever the type: it returns
 * it as it is, decrypts it, or derives a private key in its place.
 */
export type ValueProtection = "none" | "encrypted" | "derived";

/**
 * What the flags of an entry make the firmware do with its value (FORMAT: flags; flags on entries other
 * than the private key).
 *
 * @param flags The flags byte, of which bits 7 and 6 count.
 */
export function protectionOf(flags: number): ValueProtection {
  const hmac = flags & 0xC0;
  if (hmac === TLV_FLAGS.hmacEncrypted) return "encrypted";
  return hmac === TLV_FLAGS.hmacDerived ? "derived" : "none";
}

/**
 * What the firmware does with the value of an entry of a type, by its flags. It reads the security
 * configuration and the integrity entry in place, without a look at their flags.
 *
 * @param entry Type and flags.
 */
export function entryProtectionOf(
  { type, flags }: { readonly type: number; readonly flags: number },
): ValueProtection {
  return READ_IN_PLACE.includes(type) ? "none" : protectionOf(flags);
}

const READ_IN_PLACE: readonly number[] = [
  TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG,
  TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV,
];

/** Subtypes of Matter's entries (FORMAT: types, MATTER; esp-matter-tools mfg_tool). */
const MATTER_TITLES: ReadonlyMap<number, string> = new Map([
  [0, "discriminator"],
  [1, "SPAKE2+ verifier"],
  [2, "SPAKE2+ salt"],
  [3, "iteration count"],
  [4, "rotating device id"],
  [128, "random 1"],
  [129, "random 2"],
]);

/**
 * The number of an entry type.
 *
 * @param type A number, which is returned as it is, or a name.
 * @throws {RangeError} for an unknown name.
 */
export function tlvTypeNumber(type: TlvType): number {
  if (typeof type === "number") return type;
  const row = TYPES.find(({ name, short }) => name === type || short === type);
  if (row === undefined) throw new RangeError(`Unknown TLV type: ${type}`);
  return row.number;
}

/**
 * The firmware's name of an entry type.
 *
 * @param type The type number, 0 to 255.
 * @returns The enum name, or `UNKNOWN_n` for a number without one.
 */
export function tlvTypeName(type: number): string {
  return BY_NUMBER.get(type)?.name ?? `UNKNOWN_${type}`;
}

/** Whether the firmware has a name for an entry type. */
export function isKnownType(type: number): boolean {
  return BY_NUMBER.has(type);
}

/** Whether an entry type is a query value of the firmware, which is never written. */
export function isReservedType(type: number): boolean {
  return BY_NUMBER.get(type)?.reserved === true;
}

/** An entry type in words, such as "device certificate", or "type n". */
export function tlvTypeTitle(type: number): string {
  return BY_NUMBER.get(type)?.title ?? `type ${type}`;
}

/**
 * An entry in words: its type, and its subtype where that has a meaning of its own.
 *
 * @param type The type number, 0 to 255.
 * @param subtype The subtype number, 0 to 255.
 */
export function tlvEntryTitle(type: number, subtype: number): string {
  const matter = type === TLV_TYPES.ESP_SECURE_CERT_MATTER_TLV_1
    ? MATTER_TITLES.get(subtype)
    : undefined;
  return matter === undefined ? tlvTypeTitle(type) : `Matter ${matter}`;
}

/**
 * The number of an entry type that a person wrote: a short name (`user1` to `user5`, `ca`, `dev`), a
 * name of the firmware's enum with or without its `_TLV` ending, or a number, decimal or 0x.
 *
 * @param text What was written; case does not matter.
 * @returns The type, 0 to 255, or undefined when the text names none.
 */
export function parseTlvType(text: string): number | undefined {
  if (/^(0x[0-9a-f]+|[0-9]+)$/i.test(text)) return Number(text) <= 255 ? Number(text) : undefined;
  const wanted = text.toUpperCase().replace(/_TLV$/, "");
  return TYPES.find(({ name, short }) =>
    short === text.toLowerCase() || name.replace(/_TLV$/, "") === wanted
  )?.number;
}

/** What people write for the entry types that are stored: the short name where there is one. */
export const TLV_TYPE_WORDS: readonly string[] = TYPES.filter(({ reserved }) => reserved !== true)
  .map(({ name, short }) => short ?? name);

/**
 * The entry type that somebody may have meant by a text that names none: its short name or the
 * firmware's, which also its title leads to.
 *
 * @returns The name, or undefined when none is near.
 */
export function nearestTlvType(text: string): string | undefined {
  const words = new Map(
    TYPES.filter(({ reserved }) => reserved !== true).flatMap(({ name, short, csv, title }) =>
      [short, title, name.replace(/^ESP_SECURE_CERT_|_TLV$/g, ""), csv, name]
        .filter((word) => word !== undefined).map((word) => [word, short ?? csv ?? name] as const)
    ),
  );
  const nearest = nearestName(text, [...words.keys()]);
  return nearest && words.get(nearest);
}

/**
 * The number of an entry type in a cell of a configuration CSV: a name of Espressif's host tool, what
 * {@linkcode parseTlvType} takes, or a decimal number to 255.
 *
 * @returns The type, or undefined when the cell names none.
 */
export function parseConfigType(text: string): number | undefined {
  const row = TYPES.find(({ csv }) => csv === text.toUpperCase());
  if (row !== undefined) return row.number;
  return /^0x/i.test(text) ? undefined : parseTlvType(text);
}

/** An entry type in a configuration CSV: the name that Espressif's host tool has, or a number. */
export function formatConfigType(type: number): string {
  return BY_NUMBER.get(type)?.csv ?? String(type);
}
