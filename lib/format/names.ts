/**
 * Entry types of the firmware's `esp_secure_cert_tlv_type_t`, name to number (FORMAT: TLV types;
 * esp_secure_cert_mgr include/esp_secure_cert_tlv_config.h). `…_END`, `…_MAX` and `…_INVALID` are
 * query values of the firmware and are never to be written.
 */
export const TLV_TYPES = {
  ESP_SECURE_CERT_CA_CERT_TLV: 0,
  ESP_SECURE_CERT_DEV_CERT_TLV: 1,
  ESP_SECURE_CERT_PRIV_KEY_TLV: 2,
  ESP_SECURE_CERT_DS_DATA_TLV: 3,
  ESP_SECURE_CERT_DS_CONTEXT_TLV: 4,
  ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT: 5,
  ESP_SECURE_CERT_TLV_SEC_CFG: 6,
  ESP_SECURE_CERT_TEE_SEC_STORAGE_KEY_TLV: 7,
  ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV: 8,
  ESP_SECURE_CERT_INTEGRITY_TLV: 9,
  ESP_SECURE_CERT_TLV_END: 50,
  ESP_SECURE_CERT_USER_DATA_1: 51,
  ESP_SECURE_CERT_USER_DATA_2: 52,
  ESP_SECURE_CERT_USER_DATA_3: 53,
  ESP_SECURE_CERT_USER_DATA_4: 54,
  ESP_SECURE_CERT_USER_DATA_5: 55,
  ESP_SECURE_CERT_MATTER_TLV_1: 201,
  ESP_SECURE_CERT_MATTER_TLV_2: 202,
  ESP_SECURE_CERT_TLV_MAX: 254,
  ESP_SECURE_CERT_TLV_INVALID: 255,
} as const;

/** A name of {@linkcode TLV_TYPES}. */
export type TlvTypeName = keyof typeof TLV_TYPES;

/** Bits of an entry's flags byte; only private keys use them (FORMAT: flags). */
export const TLV_FLAGS = {
  /** Bits 7..6 = 0b10: the value is AES-256-GCM ciphertext and tag. */
  hmacEncrypted: 0x80,
  /** Bits 7..6 = 0b01: no value; the key is derived from an eFuse key and a salt. */
  hmacDerived: 0x40,
  /** Bits 5..3 = 0b001: no value; the key lies in an eFuse block for the ECDSA peripheral. */
  ecdsaPeripheral: 0x08,
} as const;

/** How the private key reaches the device. */
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

/** Where a private key is, by the flags of its entry. */
export type KeyStorage = Exclude<KeyMode, "rsa-ds">;

/**
 * Where the flags of a private key entry say that the key is, as the firmware compares them: in
 * groups of bits, so that the 0xFF of old images and other odd values mean a plaintext key (FORMAT:
 * what the device's reader does with odd images).
 *
 * @param flags The flags byte.
 */
export function keyStorageOf(flags: number): KeyStorage {
  const hmac = flags & 0xC0;
  if (hmac === TLV_FLAGS.hmacEncrypted) return "hmac-encrypted";
  if (hmac === TLV_FLAGS.hmacDerived) return "hmac-derived";
  return (flags & 0x38) === TLV_FLAGS.ecdsaPeripheral ? "ecdsa-peripheral" : "plaintext";
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(TLV_TYPES).map(([name, number]) => [number, name]),
);

const TITLES: ReadonlyMap<number, string> = new Map([
  [0, "CA certificate"],
  [1, "device certificate"],
  [2, "private key"],
  [3, "DS data"],
  [4, "DS context"],
  [5, "HMAC-ECDSA salt"],
  [6, "security configuration"],
  [7, "TEE storage key"],
  [8, "signature"],
  [9, "integrity (SHA-256)"],
  [50, "end of chain"],
  [51, "user data 1"],
  [52, "user data 2"],
  [53, "user data 3"],
  [54, "user data 4"],
  [55, "user data 5"],
  [201, "Matter 1"],
  [202, "Matter 2"],
]);

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

const SHORT_NAMES: ReadonlyMap<string, number> = new Map([
  ["ca", 0],
  ["dev", 1],
  ["user1", 51],
  ["user2", 52],
  ["user3", 53],
  ["user4", 54],
  ["user5", 55],
]);

/**
 * The firmware's name of an entry type.
 *
 * @param type The type number, 0 to 255.
 * @returns The enum name, or `UNKNOWN_n` for a number nobody has named.
 */
export function tlvTypeName(type: number): string {
  return NAMES.get(type) ?? `UNKNOWN_${type}`;
}

/** An entry type in words, such as "device certificate", or "type n". */
export function tlvTypeTitle(type: number): string {
  return TITLES.get(type) ?? `type ${type}`;
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
  const short = SHORT_NAMES.get(text.toLowerCase());
  if (short !== undefined) return short;
  if (/^(0x[0-9a-f]+|[0-9]+)$/i.test(text)) return Number(text) <= 255 ? Number(text) : undefined;
  const wanted = text.toUpperCase().replace(/_TLV$/, "");
  for (const [name, number] of Object.entries(TLV_TYPES)) {
    if (name.replace(/_TLV$/, "") === wanted) return number;
  }
  return undefined;
}
