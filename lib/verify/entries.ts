import { isPem } from "../bytes/pem.ts";
import { TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import { SECURITY_CONFIG_SIZE } from "../format/peripheral.ts";
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

/** What a value that cannot be read leaves the device without. */
const UNREADABLE: Readonly<Record<number, FindingCode>> = {
  [CA]: "NO_CA_CERT",
  [DEV]: "NO_DEVICE_CERT",
  [KEY]: "NO_KEY",
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

/** Values that cannot be read as their types say; `checkSignatures` has its own say on signatures. */
export function checkReadable({ entries }: ReadImage): Finding[] {
  return entries.flatMap(({ raw: { value, offset }, content }, entry) => {
    if (value.type === SIGNATURE || content.kind !== "unreadable") return [];
    const message = `the ${tlvTypeTitle(value.type)} cannot be read: ${content.problem}`;
    return [finding(UNREADABLE[value.type] ?? "NO_KEY", message, { entry, offset }, "error")];
  });
}

/** Certificates and keys as PEM without the NUL that mbedTLS needs. */
export function checkPemEndings({ entries }: ReadImage): Finding[] {
  return entries.flatMap(({ raw: { value, offset }, content }, entry) => {
    const isText = content.kind === "certificate" || content.kind === "privateKey" ||
      content.kind === "unreadable";
    const { data, type } = value;
    if (!isText || data.at(-1) === 0 || !isPem(data)) return [];
    const message = `the ${tlvTypeTitle(type)} is PEM without a NUL at its end; mbedTLS refuses it`;
    return [finding("PEM_NO_NUL", message, { entry, offset })];
  });
}

/** Security configurations of another length than the firmware's writer makes. */
export function checkLengths({ entries }: ReadImage): Finding[] {
  return entries.flatMap(({ raw: { value, offset }, content }, entry) => {
    const { length } = value.data;
    if (content.kind !== "securityConfig" || length === SECURITY_CONFIG_SIZE) return [];
    const message =
      `the security configuration has ${length} bytes instead of ${SECURITY_CONFIG_SIZE}`;
    return [finding("TRUNCATED", message, { entry, offset }, "warning")];
  });
}

/** What is missing; legal, because the firmware reads what is there. */
export function checkMissing({ credentials: { types } }: ReadImage): Finding[] {
  const findings: Finding[] = [];
  if (!types.has(DEV)) {
    findings.push(finding("NO_DEVICE_CERT", "there is no device certificate"));
  }
  if (!types.has(CA)) findings.push(finding("NO_CA_CERT", "there is no CA certificate"));
  if (!types.has(KEY) && !types.has(DS_DATA)) {
    findings.push(finding("NO_KEY", "there is no private key"));
  }
  return findings;
}
