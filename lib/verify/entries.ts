import { countOf, SecureCertError } from "../bytes/errors.ts";
import { isPem } from "../bytes/pem.ts";
import { readDer } from "../crypto/der.ts";
import { GCM_TAG_SIZE } from "../crypto/peripherals/hmac.ts";
import type { SkippedBlock } from "../device/stored.ts";
import { type Finding, finding, type FindingCode } from "../findings/findings.ts";
import {
  entryProtectionOf,
  isReservedType,
  keyStorageOf,
  TLV_TYPES,
  tlvTypeTitle,
} from "../format/names.ts";
import { NVS_CREDENTIALS } from "../format/nvs/credentials.ts";
import { decodeDsData, SECURITY_CONFIG_SIZE } from "../format/peripheral.ts";
import type { ReadEntry } from "../image/contents/contents.ts";
import type { ImageEntry } from "../image/read/entry.ts";
import type { ReadImage } from "./check.ts";

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
  ESP_SECURE_CERT_DS_DATA_TLV: DS_DATA,
  ESP_SECURE_CERT_DS_CONTEXT_TLV: DS_CONTEXT,
  ESP_SECURE_CERT_TLV_SEC_CFG: SECURITY_CONFIG,
  ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV: SIGNATURE,
  ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT: SALT,
} = TLV_TYPES;

/** Keys of the credentials in NVS. */
const NVS_KEYS: Readonly<Record<number, string>> = {
  [CA]: NVS_CREDENTIALS.caCert.key,
  [DEV]: NVS_CREDENTIALS.deviceCert.key,
  [KEY]: NVS_CREDENTIALS.privateKey.key,
  [DS_DATA]: NVS_CREDENTIALS.ciphertext.key,
};

/** What the device lacks when it refuses a value, or nobody can read it. */
const UNREADABLE: Readonly<Record<number, FindingCode>> = {
  [CA]: "CERT_REFUSED",
  [DEV]: "CERT_REFUSED",
  [KEY]: "KEY_REFUSED",
  [DS_DATA]: "DS_BLOB",
  [DS_CONTEXT]: "DS_CONTEXT",
  [SECURITY_CONFIG]: "NO_KEY",
};

/** Entries that the firmware refuses for their checksum. */
export function checkChecksums({ entries }: ReadImage): Finding[] {
  return entries.flatMap(({ raw: { value, crc, offset } }, entry) => {
    if (crc.stored === crc.computed) return [];
    const message = `the ${tlvTypeTitle(value.type)} has a wrong checksum; the firmware refuses it`;
    return [finding("BAD_CHECKSUM", message, { entry, offset })];
  });
}

/** What is wrong with the integrity entries. */
export function checkIntegrity({ entries }: ReadImage): Finding[] {
  const last = entries.findLastIndex(({ content }) => content.kind === "integrity");
  const found = entries[last];
  if (found?.content.kind !== "integrity") return [];
  const place = { entry: last, offset: found.raw.offset };
  if (!found.content.ok) {
    return [finding("BAD_INTEGRITY", "the integrity entry does not match the image", place)];
  }
  const after = entries.slice(last + 1).filter(({ raw }) => raw.value.type !== SIGNATURE);
  if (after.length === 0) return [];
  const message = `${
    countOf(
      after.length,
      "entry follows the integrity entry and is",
      "entries follow the integrity entry and are",
    )
  } not covered by it`;
  return [finding("BAD_INTEGRITY", message, place, "warning")];
}

/** Certificates and keys that the device's TLS library does not parse, whatever their subtype. */
export function checkRefused({ entries }: ReadImage): Finding[] {
  return entries.flatMap(({ raw: { value, offset }, content }, entry) => {
    const title = tlvTypeTitle(value.type);
    const place = { entry, offset };
    const skipped = content.kind === "certificate" ? content.skipped ?? [] : [];
    const warnings = skipped.map((block) => {
      // The device does not count as skipped what it does not see as a block.
      const code = block.isLast ? "STRAY_BYTES" : "CERT_REFUSED";
      return finding(code, skippedMessage(title, block), place, "warning");
    });
    if (!("refusal" in content) || content.refusal === undefined) return warnings;
    const { reason, lacksNul } = content.refusal;
    if (lacksNul) {
      const message = `the ${title} is PEM without a NUL at its end; mbedTLS refuses it`;
      return [...warnings, finding("PEM_NO_NUL", message, place)];
    }
    const code = value.type === KEY ? "KEY_REFUSED" : "CERT_REFUSED";
    return [...warnings, finding(code, `the device refuses the ${title}: ${reason}`, place)];
  });
}

function skippedMessage(title: string, { index, reason, isLast }: SkippedBlock): string {
  const rest = isLast ? " and what follows it" : "";
  return `the device skips certificate ${index + 1} of the ${title}'s bundle${rest}: ${reason}`;
}

/** Other values that cannot be read as their types say; `checkSignatures` reports signatures. */
export function checkReadable({ entries }: ReadImage): Finding[] {
  return entries.flatMap(({ raw: { value, offset }, content }, entry) => {
    if (value.type === SIGNATURE || content.kind !== "unreadable" || content.refusal) return [];
    const message = `the ${tlvTypeTitle(value.type)} cannot be read: ${content.problem}`;
    // What a key is derived from is missing, not the key refused.
    const isDerived = value.type === KEY && keyStorageOf(value.flags) === "hmac-derived";
    const code = isDerived ? "NO_KEY" : UNREADABLE[value.type] ?? "NO_KEY";
    return [finding(code, message, { entry, offset }, "error")];
  });
}

/** Security configurations of a length that the firmware's writer does not make. */
export function checkLengths({ entries }: ReadImage): Finding[] {
  return entries.flatMap(({ raw: { value, offset }, content }, entry) => {
    const { length } = value.data;
    if (content.kind !== "securityConfig" || length === SECURITY_CONFIG_SIZE) return [];
    const message = `the security configuration has ${
      countOf(length, "byte")
    } instead of ${SECURITY_CONFIG_SIZE}`;
    return [finding("TRUNCATED", message, { entry, offset }, "warning")];
  });
}

/** The 39 bytes of a security configuration that no firmware reads. */
export function checkFreeBytes({ entries }: ReadImage): Finding[] {
  return entries.flatMap(({ raw: { offset }, content }, entry) => {
    if (content.kind !== "securityConfig" || content.config.tail === undefined) return [];
    const message = "the security configuration has nonzero bytes after its block number";
    return [finding("STRAY_BYTES", message, { entry, offset })];
  });
}

/** What is missing; legal, because the firmware reads the rest. */
export function checkMissing(
  { credentials: { types }, format, others = [] }: ReadImage,
): Finding[] {
  // Under a credential's name there may be a value of another type, which is not read, nor absent.
  const namespace = format === "nvs" ? "esp_secure_cert" : "pre_prov";
  const isStored = (type: number) =>
    types.has(type) ||
    others.some((item) => item.namespace === namespace && item.key === NVS_KEYS[type]);
  const findings: Finding[] = [];
  if (!isStored(DEV)) {
    findings.push(finding("NO_DEVICE_CERT", "there is no device certificate"));
  }
  if (!isStored(CA)) findings.push(finding("NO_CA_CERT", "there is no CA certificate"));
  if (!isStored(KEY) && !isStored(DS_DATA)) {
    findings.push(finding("NO_KEY", "there is no private key"));
  }
  return findings;
}

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
    return `the firmware cannot decrypt ${
      countOf(data.length, "byte")
    }, of which ${GCM_TAG_SIZE} are the tag`;
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
