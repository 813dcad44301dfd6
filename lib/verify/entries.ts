import { keyStorageOf, TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import { NVS_CREDENTIALS } from "../format/nvs/credentials.ts";
import { SECURITY_CONFIG_SIZE } from "../format/peripheral.ts";
import type { SkippedBlock } from "../device/stored.ts";
import { type Finding, finding, type FindingCode } from "../findings/findings.ts";
import type { ReadImage } from "./check.ts";

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
  ESP_SECURE_CERT_DS_DATA_TLV: DS_DATA,
  ESP_SECURE_CERT_DS_CONTEXT_TLV: DS_CONTEXT,
  ESP_SECURE_CERT_TLV_SEC_CFG: SECURITY_CONFIG,
  ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV: SIGNATURE,
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
  const message = `${after.length} entries follow the integrity entry and are not covered by it`;
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
    const message =
      `the security configuration has ${length} bytes instead of ${SECURITY_CONFIG_SIZE}`;
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
