import { isPem } from "../bytes/pem.ts";
import { SecureCertError } from "../bytes/errors.ts";
import { readDer } from "../crypto/der.ts";
import { GCM_TAG_SIZE } from "../crypto/peripherals/hmac.ts";
import { type Finding, finding } from "../findings/findings.ts";
import { entryProtectionOf, isReservedType, TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import { decodeDsData } from "../format/peripheral.ts";
import type { ReadEntry } from "../image/contents/contents.ts";
import type { ImageEntry } from "../image/read/entry.ts";
import type { ReadImage } from "./check.ts";

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
  ESP_SECURE_CERT_DS_DATA_TLV: DS_DATA,
  ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT: SALT,
  ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV: SIGNATURE,
} = TLV_TYPES;

/**
 * Flags of a private key on other entries. The firmware applies them to whatever it fetches, through a
 * getter of its own or through `esp_secure_cert_get_tlv_info` (FORMAT: flags on entries other than the
 * private key; esp_secure_cert_mgr srcs/esp_secure_cert_tlv_read.c: esp_secure_cert_tlv_get_addr).
 */
export function checkFlags({ entries }: ReadImage): Finding[] {
  const salts = new Set(
    entries.filter(({ raw: { value } }) => value.type === SALT).map(({ raw }) => raw.value.subtype),
  );
  return entries.flatMap((read, entry) => {
    const { value, offset } = read.raw;
    if (value.type === KEY || isReservedType(value.type)) return [];
    const problem = problemOf(read, salts);
    if (problem === undefined) return [];
    const flags = `0x${value.flags.toString(16).padStart(2, "0")}`;
    const message = `the ${tlvTypeTitle(value.type)} has the flags ${flags}: ${problem}`;
    return [finding("FLAGS_MISREAD", message, { entry, offset })];
  });
}

/** Whether an entry is encrypted, and there is no key to open it with. */
export function isClosed({ content }: ReadEntry): boolean {
  return content.kind === "encrypted" && content.problem === undefined;
}

function problemOf(read: ReadEntry, salts: ReadonlySet<number>): string | undefined {
  switch (entryProtectionOf(read.raw.value)) {
    case "none":
      return undefined;
    case "derived":
      return derivationProblem(read.raw, salts);
    case "encrypted":
      return encryptionProblem(read);
  }
}

function derivationProblem({ value }: ImageEntry, salts: ReadonlySet<number>): string {
  if (value.type === SALT) {
    return "the firmware looks for the salt of the salt, and the chip resets";
  }
  return salts.has(value.subtype)
    ? "the firmware derives the private key, and returns it in place of the value"
    : "the firmware looks for a salt to derive a private key, and the chip resets without one";
}

function encryptionProblem({ raw: { value }, content }: ReadEntry): string | undefined {
  const { type, data } = value;
  if (type === SIGNATURE) {
    return "the firmware takes the signed length from where the value is, and fails on a decrypted copy";
  }
  if (data.length <= GCM_TAG_SIZE) {
    return `the firmware cannot decrypt ${data.length} bytes, of which ${GCM_TAG_SIZE} are the tag`;
  }
  if (content.kind !== "encrypted") return undefined;
  if (content.problem !== undefined) {
    return "it does not open with the HMAC key, and the firmware refuses it";
  }
  return isPlain(type, data)
    ? "the value is not encrypted, and the firmware refuses it"
    : undefined;
}

/** Stored bytes that are already a value of their type are not the ciphertext of one. */
function isPlain(type: number, data: Uint8Array): boolean {
  if (isPem(data)) return true;
  if (type === DS_DATA) return decodes(() => decodeDsData(data));
  return (type === CA || type === DEV) &&
    decodes(() => readDer(data, "certificate").end === data.length);
}

function decodes(decode: () => unknown): boolean {
  try {
    return decode() !== false;
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}
