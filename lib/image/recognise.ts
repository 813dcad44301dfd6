import { SecureCertError } from "../bytes/errors.ts";
import { hasWord, isFilledWith, viewOf } from "../bytes/pack.ts";
import { isPem } from "../bytes/pem.ts";
import { decodeUtf8, encodeUtf8 } from "../bytes/text.ts";
import { readDer } from "../crypto/der.ts";
import { looksLikeCustFlash, readCustFlash } from "../format/cust_flash/codec.ts";
import { layoutsReadIn, type PartitionKind } from "../device/partition.ts";
import type { ImageFormat } from "../format/names.ts";
import { findMagic } from "../format/partition.ts";
import { TLV_MAGIC } from "../format/tlv.ts";
import { decodeBoundedNvs } from "../format/nvs/decode.ts";
import { type Finding, finding } from "../findings/findings.ts";
import { readTable, startsTable } from "../format/table/read.ts";

/** What some bytes are. */
export interface Recognised {
  /** The layout, or `unknown`. */
  readonly format: ImageFormat | "unknown";
  /** Why the bytes cannot be read, when they cannot. */
  readonly finding?: Finding;
}

const NVS_PAGE = 4096;
const FLASH_SECTOR = 4096;
const ERASED = 0xFF;
const LEAST_RANDOM = 512;
const NVS_STATES: readonly number[] = [0xFFFFFFFE, 0xFFFFFFFC];
const NVS_VERSIONS: readonly number[] = [0xFE, 0xFF];

/**
 * What some bytes are, by their structure. Takes time linear in their number.
 *
 * @param image Any bytes.
 * @param partition Where they are: of the layouts that fit them, one that is read there is taken.
 */
export function recognise(image: Uint8Array, partition?: PartitionKind): Recognised {
  const isExpected = (format: ImageFormat) =>
    partition !== undefined && layoutsReadIn(partition, true).includes(format);
  if (hasWord(image, 0, TLV_MAGIC)) return { format: "tlv" };
  if (looksLikeCustFlash(image)) {
    const isLegacy = isExpected("cust_flash_legacy") && fitsLegacyOrder(image);
    return {
      format: isLegacy || readCustFlash(image).legacy ? "cust_flash_legacy" : "cust_flash",
    };
  }
  if (looksLikeNvs(image)) {
    const isOld = isLegacyNvs(image, isExpected("nvs_legacy") && !isExpected("nvs"));
    return { format: isOld ? "nvs_legacy" : "nvs" };
  }
  return { format: "unknown", finding: explain(image) };
}

/** Certificates of one length and checksum fit both orders of the metadata. */
function fitsLegacyOrder(image: Uint8Array): boolean {
  return readCustFlash(image, { legacy: true }).values
    .every(({ crc }) => crc.stored === crc.computed);
}

/** The older namespace, and no other that holds credentials; beside such a one where it is preferred. */
function isLegacyNvs(image: Uint8Array, isPreferred: boolean): boolean {
  try {
    const { namespaces } = decodeBoundedNvs(image);
    return namespaces.includes("pre_prov") &&
      (isPreferred || !namespaces.includes("esp_secure_cert"));
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}

function explain(image: Uint8Array): Finding {
  if (image.length === 0) return finding("NOT_AN_IMAGE", "the file is empty");
  if (isFilledWith(image, ERASED)) {
    return finding("LOOKS_ERASED", "nothing but 0xFF: erased flash, nothing was written here");
  }
  if (isFilledWith(image, 0)) return finding("NOT_AN_IMAGE", "nothing but zeros");
  const likeness = likenessOf(image);
  if (likeness !== undefined) return finding("NOT_AN_IMAGE", likeness);
  const magic = findMagic(image, 0);
  if (magic >= 0) {
    return finding(
      "BAD_MAGIC",
      `no entry at the start; the first magic number is at 0x${magic.toString(16)}`,
      {
        offset: 0,
      },
    );
  }
  if (looksEncrypted(image)) {
    return finding("LOOKS_ENCRYPTED", "looks like the content of an encrypted partition");
  }
  return finding("NOT_AN_IMAGE", "no format that the firmware reads");
}

/** Segments of an application image (esp-idf, esp_app_format.h: ESP_IMAGE_MAX_SEGMENTS). */
const MOST_SEGMENTS = 16;

/** One SEQUENCE and nothing after it: encrypted bytes may well begin as one does. */
function isDer(image: Uint8Array): boolean {
  try {
    return readDer(image, "file").end === image.length;
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}

function likenessOf(image: Uint8Array): string | undefined {
  const text = decodeUtf8(image.subarray(0, 65536));
  if (text !== undefined && isPem(text)) {
    return "looks like a PEM file, which build puts into an image";
  }
  if (isDer(image)) {
    return "looks like a DER file, which build puts into an image";
  }
  if (text !== undefined && /^[\t\n\r\x20-\x7E]*$/.test(text)) return likenessOfText(text);
  if (startsTable(image)) return `looks like a partition table${problemOf(image)}`;
  if (image[0] === 0xE9 && image[1]! >= 1 && image[1]! <= MOST_SEGMENTS) {
    return "looks like an application or bootloader image";
  }
  if (hasWord(image, 0, 0x11BA5EBA)) return "the magic number is in big-endian order";
  return undefined;
}

function likenessOfText(text: string): string {
  const isTable = /^\s*#\s*Name\s*,\s*Type\s*,\s*SubType/i.test(text) ||
    /^[\w-]{1,16}\s*,\s*(app|data|0x[0-9a-f]{1,2})\s*,/im.test(text);
  if (!isTable) return "looks like text";
  return `looks like the text of a partition table${problemOf(encodeUtf8(text))}`;
}

/** Why a partition table, binary or as text, cannot be read. */
function problemOf(table: Uint8Array): string {
  try {
    readTable(table);
    return "";
  } catch (error) {
    if (error instanceof SecureCertError) return `: ${error.message}`;
    throw error;
  }
}

/** Whether the bytes begin with a page of an NVS partition. */
export function looksLikeNvs(image: Uint8Array): boolean {
  if (image.length < NVS_PAGE) return false;
  return NVS_STATES.includes(viewOf(image).getUint32(0, true)) && NVS_VERSIONS.includes(image[8]!);
}

/**
 * Whether the first sector that is not erased is like one of an encrypted partition: ciphertext has
 * every byte value about equally often.
 */
function looksEncrypted(image: Uint8Array): boolean {
  let from = 0;
  while (image[from] === ERASED) from++;
  const sector = image.subarray(from, from + FLASH_SECTOR);
  const written = sector.subarray(0, sector.findLastIndex((byte) => byte !== ERASED) + 1);
  if (written.length < LEAST_RANDOM) return false;
  const counts = new Uint32Array(256);
  for (const byte of written) counts[byte]!++;
  const expected = written.length / 256;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // With 255 degrees of freedom a random sample stays below 380 in all but one of a million.
  return chiSquare < 380;
}
