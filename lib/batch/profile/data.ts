import { encodeUtf8, parseBase64, parseHex } from "../../bytes/text.ts";
import {
  type ImageFormat,
  isReservedType,
  type KeyMode,
  parseTlvType,
  TLV_TYPES,
} from "../../format/names.ts";

/**
 * An entry that each image of a batch carries; `string` may have placeholders.
 *
 * @category Device list and profile
 */
export interface BulkData {
  /** Entry type: a number, `user1` to `user5` or a name of the firmware's enum. */
  readonly type: number | string;
  /** Number among the entries of this type, 0 to 253. @default 0 */
  readonly subtype?: number;
  /** The value as text. */
  readonly string?: string;
  /** The value in hexadecimal. */
  readonly hex?: string;
  /** The value in base64. */
  readonly base64?: string;
  /** Name of a file, which the caller of `bulk` replaces with its content. */
  readonly file?: string;
}

/** The largest entry type that a profile may name. */
export const MAX_TYPE = 253;

/** Certificates and key, which every device gets. */
const OWN_ENTRIES: readonly string[] = [
  TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV,
].map((type) => `${type}.0`);

/** Key modes whose key every layout carries; the others need entries of a TLV image. */
const ANY_LAYOUT: readonly KeyMode[] = ["plaintext", "rsa-ds"];

/** The number of an entry type that a profile names; undefined when it is not one. */
export function entryType(type: number | string): number | undefined {
  return typeof type === "string" ? parseTlvType(type) : type;
}

/** The bytes of data that is the same for all devices; undefined for text with placeholders, and files. */
export function fixedData({ hex, base64, string }: BulkData): Uint8Array | undefined {
  if (hex !== undefined) return parseHex(hex.replace(/\s/g, ""));
  if (base64 !== undefined) return parseBase64(base64.replace(/\s/g, ""));
  return string === undefined || /[{}]/.test(string) ? undefined : encodeUtf8(string);
}

/**
 * What keeps an image of a layout from being made, whatever the key: entries that it cannot carry, or
 * that the firmware or the device itself needs.
 */
export function layoutProblems(
  format: ImageFormat,
  keyMode: KeyMode,
  data: readonly Pick<BulkData, "type" | "subtype">[],
): string[] {
  const problems: string[] = [];
  const isTlv = format === "tlv";
  if (!isTlv && data.length > 0) problems.push(`data: a ${format} image carries none`);
  if (!isTlv && !ANY_LAYOUT.includes(keyMode)) {
    problems.push(`keyMode: a ${format} image carries no ${keyMode} key`);
  }
  const names = data.map(({ type, subtype = 0 }) => `${entryType(type)}.${subtype}`);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) problems.push(`data: two entries of type and subtype ${twice}`);
  const own = names.find((name) => OWN_ENTRIES.includes(name));
  if (own !== undefined) {
    problems.push(`data: type and subtype ${own} are those of the device's own`);
  }
  const types = data.map(({ type }) => entryType(type));
  if (types.some((type) => type !== undefined && isReservedType(type))) {
    problems.push("data: a type that is a query value of the firmware is never stored");
  }
  return problems;
}
