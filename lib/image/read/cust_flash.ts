import { SecureCertError } from "../../bytes/errors.ts";
import type { CustFlashName } from "../../format/cust_flash/layout.ts";
import {
  type CustFlash,
  type CustFlashValue,
  decodeCustFlash,
  readCustFlash,
} from "../../format/cust_flash/codec.ts";
import { TLV_TYPES, tlvTypeTitle } from "../../format/names.ts";
import { type Finding, finding } from "../../findings/findings.ts";
import type { ImageContents, ImageEntry } from "./image.ts";
import { equivalentDsContext, equivalentDsData } from "./equivalent.ts";

const TYPES: Readonly<Record<CustFlashName, number>> = {
  caCert: TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV,
  deviceCert: TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV,
  privateKey: TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV,
  ciphertext: TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV,
  iv: TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV,
};

/** Where the RSA length lies in the metadata (FORMAT: cust_flash). */
const RSA_BITS_OFFSET = 30;

/** Takes a cust_flash image apart. */
export function readCustFlashImage(
  image: Uint8Array,
  format: "cust_flash" | "cust_flash_legacy",
): ImageContents {
  const read = readCustFlash(image, { legacy: format === "cust_flash_legacy" });
  const entries = read.values.filter(({ name }) => name !== "iv")
    .map((value) => entryOf(value, read))
    .toSorted((a, b) => a.offset - b.offset);
  const used = Math.max(0, ...read.values.map(({ offset, length }) => offset + length));
  return {
    format,
    entries: [...entries, ...contextOf(read)],
    used,
    findings: [...read.values.flatMap(judgeValue), ...judgeStrictly(image, read, format)],
  };
}

function entryOf({ name, offset, data, crc }: CustFlashValue, read: CustFlash): ImageEntry {
  const value = { type: TYPES[name], subtype: 0, flags: 0, data };
  const { ds } = read.credentials;
  if (name !== "ciphertext" || ds === undefined) return { offset, crc, value };
  // DS data is two values here, each under its own checksum; a wrong one speaks for both.
  const iv = read.values.find((each) =>
    each.name === "iv" && each.crc.stored !== each.crc.computed
  );
  return { offset, crc: iv?.crc ?? crc, value: { ...value, data: equivalentDsData(ds) ?? data } };
}

/** The RSA length and the key block stand in the metadata, under no checksum. */
function contextOf({ credentials: { ds } }: CustFlash): ImageEntry[] {
  const data = ds === undefined ? undefined : equivalentDsContext(ds);
  if (data === undefined) return [];
  const type = TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV;
  const value = { type, subtype: 0, flags: 0, data };
  return [{ offset: RSA_BITS_OFFSET, crc: { stored: 0, computed: 0 }, value }];
}

function judgeValue({ name, offset, length, capacity, data }: CustFlashValue): Finding[] {
  const what = name === "iv" ? "initialisation vector" : tlvTypeTitle(TYPES[name]);
  if (length > capacity) {
    const message = `the ${what} has ${length} bytes, its region ${capacity}; it overlaps the next`;
    return [finding("TOO_LARGE", message, { offset })];
  }
  if (data.length < length) {
    return [finding("TRUNCATED", `the ${what} runs past the end of the image`, { offset })];
  }
  return [];
}

/** Bytes between the values that the strict decoder does not know; the firmware does not look. */
function judgeStrictly(image: Uint8Array, { legacy }: CustFlash, format: string): Finding[] {
  try {
    decodeCustFlash(image, { legacy });
    return [];
  } catch (error) {
    if (!(error instanceof SecureCertError) || error.code !== "ERR_STRAY_BYTES") return [];
    const message = `bytes in the ${format} image belong to no value`;
    return [finding("STRAY_BYTES", message, { offset: error.place.offset ?? 0 })];
  }
}
