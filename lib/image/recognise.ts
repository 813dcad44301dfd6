import { SecureCertError } from "../bytes/errors.ts";
import { hasWord, isFilledWith, viewOf } from "../bytes/pack.ts";
import { isPem } from "../bytes/pem.ts";
import { decodeText, decodeUtf16, encodeUtf8 } from "../bytes/text.ts";
import { readDer, TAG } from "../crypto/der.ts";
import { foreignFormat } from "../crypto/foreign.ts";
import { layoutsReadIn, type PartitionKind } from "../device/partition.ts";
import { type Finding, finding } from "../findings/findings.ts";
import { looksLikeCustFlash, readCustFlash } from "../format/cust_flash/codec.ts";
import type { ImageFormat } from "../format/names.ts";
import { decodeBoundedNvs } from "../format/nvs/decode.ts";
import { NVS_PAGE_SIZE } from "../format/nvs/page.ts";
import { findMagic } from "../format/partition.ts";
import { FLASH_SECTOR, startsTable } from "../format/table/binary.ts";
import { readTable } from "../format/table/csv.ts";
import { TLV_MAGIC } from "../format/tlv.ts";

/** What some bytes are. */
export interface Recognised {
  /** The layout, or `unknown`. */
  readonly format: ImageFormat | "unknown";
  /** Why the bytes cannot be read, when they cannot. */
  readonly finding?: Finding;
}

const ERASED = 0xFF;
/** AES works on so many bytes: ciphertext has no other lengths. */
const CIPHER_BLOCK = 16;
const LEAST_RANDOM = 512;
/** Partitions of credentials have about 64 KiB; anything longer shows what it is before that. */
const MOST_SCANNED = 0x100000;
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

/** Whether only the older namespace holds credentials, or both do and it is preferred. */
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

/** Bytes of a text that are looked at. */
const MOST_TEXT = 0x10000;

/** The beginning of a file, which ends with a whole character if it is UTF-8. */
function beginningOf(image: Uint8Array): Uint8Array {
  let end = Math.min(image.length, MOST_TEXT);
  while (end > MOST_TEXT - 3 && (image[end]! & 0xC0) === 0x80) end--;
  return image.subarray(0, end);
}

function likenessOf(image: Uint8Array): string | undefined {
  const text = decodeText(beginningOf(image));
  const isText = text !== undefined && /^[\t\n\r\P{Cc}]*$/u.test(text);
  if (isText && looksLikeTableText(text)) {
    return `looks like the text of a partition table${problemOf(encodeUtf8(text))}`;
  }
  const foreign = foreignOf(image, text ?? decodeUtf16(image));
  if (foreign !== undefined) return foreign;
  if (isText) return "looks like text";
  if (startsTable(image)) return `looks like a partition table${problemOf(image)}`;
  if (image[0] === 0xE9 && image[1]! >= 1 && image[1]! <= MOST_SEGMENTS) {
    return "looks like an application or bootloader image";
  }
  if (hasWord(image, 0, 0x11BA5EBA)) return "the magic number is in big-endian order";
  return undefined;
}

/** A file of another format, or one for `build`. PEM within other bytes says nothing of them. */
function foreignOf(image: Uint8Array, text: string | undefined): string | undefined {
  const isInPem = text !== undefined && isPem(text);
  if (!isInPem && isPem(image)) return undefined;
  const isInDer = !isInPem && image[0] === TAG.sequence && isDer(image);
  if (image[0] === TAG.sequence && !isInPem && !isInDer) return undefined;
  const { name, kind, remedy } = foreignFormat(image) ?? {};
  if ((isInPem || isInDer) && (name === undefined || kind !== undefined)) {
    return `looks like a ${isInPem ? "PEM" : "DER"} file, which build puts into an image`;
  }
  if (name === undefined) return undefined;
  const advice = typeof remedy === "string" ? remedy : remedy?.any;
  return `the file is ${name}${advice === undefined ? "" : `; ${advice}`}`;
}

function looksLikeTableText(text: string): boolean {
  return /^\s*#\s*Name\s*[,;]\s*Type\s*[,;]\s*SubType/i.test(text) ||
    /^[\w-]{1,16}[ \t]*[,;][ \t]*(app|data|0x[0-9a-f]{1,2})[ \t]*[,;]/im.test(text);
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
  if (image.length < NVS_PAGE_SIZE) return false;
  return NVS_STATES.includes(viewOf(image).getUint32(0, true)) && NVS_VERSIONS.includes(image[8]!);
}

/**
 * Whether the bytes are like those of an encrypted partition: whole cipher blocks, of which those that
 * differ have every byte value about equally often. Blocks that are equal count once: an ESP32 encrypts
 * both halves of 32 bytes alike, and without its address all blocks, so that what was filled repeats.
 */
function looksEncrypted(image: Uint8Array): boolean {
  if (image.length % CIPHER_BLOCK !== 0) return false;
  const blocks = distinctBlocks(image);
  if (blocks.length * CIPHER_BLOCK < LEAST_RANDOM) return false;
  const counts = new Uint32Array(256);
  for (const block of blocks) for (const byte of block) counts[byte]!++;
  const expected = blocks.length * CIPHER_BLOCK / 256;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // With 255 degrees of freedom a random sample stays below 380 in all but one of a million.
  return chiSquare < 380;
}

/** The first blocks that are neither erased nor equal to one before, a flash sector of them. */
function distinctBlocks(image: Uint8Array): Uint8Array[] {
  const found = new Map<string, Uint8Array>();
  let from = 0;
  while (image[from] === ERASED) from++;
  from -= from % CIPHER_BLOCK;
  const end = Math.min(image.length, from + MOST_SCANNED);
  for (let at = from; at < end && found.size < FLASH_SECTOR / CIPHER_BLOCK; at += CIPHER_BLOCK) {
    const block = image.subarray(at, at + CIPHER_BLOCK);
    if (!isFilledWith(block, ERASED)) found.set(block.toHex(), block);
  }
  return [...found.values()];
}
