import { SecureCertError } from "../../bytes/errors.ts";
import {
  type CustFlash,
  type CustFlashName,
  type CustFlashValue,
  decodeCustFlash,
  readCustFlash,
} from "../../format/cust_flash/codec.ts";
import { TLV_TYPES, tlvTypeTitle } from "../../format/names.ts";
import { type Finding, finding } from "../../findings/findings.ts";
import {
  equivalentDsContext,
  equivalentDsData,
  equivalentEntry,
  type ImageEntries,
  type ImageEntry,
  NO_CRC,
} from "./entry.ts";

const TYPES: Readonly<Record<CustFlashName, number>> = {
  caCert: TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV,
  deviceCert: TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV,
  privateKey: TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV,
  ciphertext: TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV,
  iv: TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV,
};

/** Where the RSA length is in the metadata (FORMAT: cust_flash). */
const RSA_BITS_OFFSET = 30;

/** Takes a cust_flash image apart. */
export function readCustFlashImage(
  image: Uint8Array,
  format: "cust_flash" | "cust_flash_legacy",
): ImageEntries {
  const read = readCustFlash(image, { legacy: format === "cust_flash_legacy" });
  const entries = read.values.filter(({ name }) => name !== "iv")
    .map((value) => entryOf(value, read))
    .toSorted((a, b) => a.offset - b.offset);
  const used = Math.max(0, ...read.values.map(({ offset, length }) => offset + length));
  return {
    format,
    entries: [...entries, ...contextOf(read)],
    used,
    findings: [...read.values.flatMap(checkValue), ...checkStrictly(image, read, format)],
  };
}

function entryOf(value: CustFlashValue, read: CustFlash): ImageEntry {
  const { name, data } = value;
  const { ds } = read.credentials;
  const entry = equivalentEntry(TYPES[name], data, value);
  if (name !== "ciphertext" || ds === undefined) return entry;
  // DS data is two values here, each with its own checksum; a wrong one counts for both.
  const iv = read.values.find((each) =>
    each.name === "iv" && each.crc.stored !== each.crc.computed
  );
  const { offset, crc } = value;
  return equivalentEntry(TYPES[name], equivalentDsData(ds) ?? data, {
    offset,
    crc: iv?.crc ?? crc,
  });
}

/** The RSA length and the key block are in the metadata, which no checksum covers. */
function contextOf({ credentials: { ds } }: CustFlash): ImageEntry[] {
  const data = ds && equivalentDsContext(ds);
  if (data === undefined) return [];
  const at = { offset: RSA_BITS_OFFSET, crc: NO_CRC };
  return [equivalentEntry(TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV, data, at)];
}

function checkValue({ name, offset, length, capacity, data }: CustFlashValue): Finding[] {
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
function checkStrictly(image: Uint8Array, { legacy }: CustFlash, format: string): Finding[] {
  try {
    decodeCustFlash(image, { legacy });
    return [];
  } catch (error) {
    if (!(error instanceof SecureCertError) || error.code !== "ERR_STRAY_BYTES") return [];
    const message = `bytes in the ${format} image belong to no value`;
    return [finding("STRAY_BYTES", message, { offset: error.place.offset ?? 0 })];
  }
}
