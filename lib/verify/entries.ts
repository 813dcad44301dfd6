import { isPem } from "../bytes/pem.ts";
import { decodeUtf8 } from "../bytes/text.ts";
import { TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import { SECURITY_CONFIG_SIZE } from "../format/peripheral.ts";
import type { ReadEntry } from "../image/contents/contents.ts";
import { type Finding, finding } from "../findings/findings.ts";

/** Entries that the firmware refuses for their checksum. */
export function judgeChecksum(
  { raw: { value, crc, offset } }: ReadEntry,
  entry: number,
): Finding[] {
  if (crc.stored === crc.computed) return [];
  const message = `the ${tlvTypeTitle(value.type)} has a wrong checksum; the firmware refuses it`;
  return [finding("BAD_CHECKSUM", message, { entry, offset })];
}

/** What is wrong with how values are stored: a certificate or key as PEM without its NUL. */
export function judgeText({ raw, content }: ReadEntry, entry: number): Finding[] {
  const isText = content.kind === "certificate" || content.kind === "privateKey" ||
    content.kind === "unreadable";
  const { data, type } = raw.value;
  if (!isText || data.at(-1) === 0 || !isPem(decodeUtf8(data) ?? "")) return [];
  const message = `the ${tlvTypeTitle(type)} is PEM without a NUL at its end; mbedTLS refuses it`;
  return [finding("PEM_NO_NUL", message, { entry, offset: raw.offset })];
}

/** What is wrong with the integrity entries. */
export function judgeIntegrity(entries: readonly ReadEntry[]): Finding[] {
  const last = entries.findLastIndex(({ content }) => content.kind === "integrity");
  const found = entries[last];
  if (found?.content.kind !== "integrity") return [];
  const place = { entry: last, offset: found.raw.offset };
  if (!found.content.ok) {
    return [finding("BAD_INTEGRITY", "the integrity entry does not match the image", place)];
  }
  const after = entries.slice(last + 1).filter(({ raw }) =>
    raw.value.type !== TLV_TYPES.ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV
  );
  if (after.length === 0) return [];
  const message = `${after.length} entries follow the integrity entry and are not covered by it`;
  return [finding("BAD_INTEGRITY", message, place, "warning")];
}

/** A security configuration of another length than the firmware's writer makes. */
export function judgeLength(
  { raw: { value, offset }, content }: ReadEntry,
  entry: number,
): Finding[] {
  const { length } = value.data;
  if (content.kind !== "securityConfig" || length === SECURITY_CONFIG_SIZE) return [];
  const message =
    `the security configuration has ${length} bytes instead of ${SECURITY_CONFIG_SIZE}`;
  return [finding("TRUNCATED", message, { entry, offset }, "warning")];
}
