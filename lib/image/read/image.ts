import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { isFilledWith } from "../../bytes/pack.ts";
import type { PartitionKind } from "../../device/partition.ts";
import { type Finding, finding } from "../../findings/findings.ts";
import {
  type CustFlash,
  type CustFlashName,
  type CustFlashValue,
  decodeCustFlash,
  readCustFlash,
} from "../../format/cust_flash/codec.ts";
import {
  CREDENTIAL_TYPES,
  type ImageFormat,
  isKnownType,
  isReservedType,
  MAX_SUBTYPE,
  TLV_TYPES,
  tlvTypeTitle,
} from "../../format/names.ts";
import {
  DEFAULT_PARTITION_SIZE,
  findMagic,
  markerOffset,
  type Walk,
  WALK_LIMIT,
  type WalkedTlv,
  walkPartition,
} from "../../format/partition.ts";
import { FLASH_SECTOR } from "../../format/table/binary.ts";
import { TLV_ALIGNMENT } from "../../format/tlv.ts";
import { recognise } from "../recognise.ts";
import {
  equivalentDsContext,
  equivalentDsData,
  equivalentEntry,
  type ImageEntries,
  type ImageEntry,
  NO_CRC,
} from "./entry.ts";
import { readNvsImage } from "./nvs.ts";

/**
 * Takes an image apart by its layout. Never throws for content; takes time linear in its length.
 *
 * @param image Any bytes.
 * @param where What is known of its partition: the size in bytes, by default the length of the image,
 * and type and label.
 */
export function readImage(
  image: Uint8Array,
  where: { readonly size?: number; readonly partition?: PartitionKind } = {},
): ImageEntries {
  const { format, finding } = recognise(image, where.partition);
  if (format !== "unknown") return readImageAs(image, format, where.size);
  return { format, entries: [], used: 0, findings: finding === undefined ? [] : [finding] };
}

/**
 * Takes apart an image of a layout, or one that is read as if it had it. Never throws for content.
 *
 * @param image Bytes that {@linkcode recognise} calls an image of this layout, or of its older form.
 * @param format The layout.
 * @param partitionSize Size of the partition in bytes. @default the length of the image
 */
export function readImageAs(
  image: Uint8Array,
  format: ImageFormat,
  partitionSize?: number,
): ImageEntries {
  switch (format) {
    case "tlv":
      return readTlvImage(image, partitionSize);
    case "cust_flash":
    case "cust_flash_legacy":
      return readCustFlashImage(image, format);
    case "nvs":
    case "nvs_legacy":
      return readNvsImage(image, format);
    default:
      return format satisfies never;
  }
}

const MAGIC_SIZE = 4;

/** Takes a TLV image apart. */
function readTlvImage(image: Uint8Array, partitionSize?: number): ImageEntries {
  const walk = walkPartition(image);
  const findings = [
    ...checkEnd(image, walk),
    ...checkSize(image, walk, partitionSize),
    ...walk.entries.flatMap(checkNumbers),
    ...walk.entries.flatMap(checkUnused),
    ...checkDuplicates(walk),
    ...checkLastSubtypes(walk),
  ];
  return { format: "tlv", entries: walk.entries, used: walk.used, findings };
}

function checkEnd(image: Uint8Array, { used, broken, entries }: Walk): Finding[] {
  const place = { entry: entries.length, offset: used };
  if (broken?.code === "ERR_LENGTH") {
    const message =
      `entry ${entries.length} has a length that makes the firmware's walk loop forever`;
    return [finding("OVER_64K", message, place)];
  }
  if (broken !== undefined) {
    const message = `entry ${entries.length} runs past the end of the image`;
    return [finding("TRUNCATED", message, place)];
  }
  if (used >= WALK_LIMIT) {
    return [
      finding("OVER_64K", "the chain reaches 64 KiB, which the firmware cannot walk", place),
    ];
  }
  if (isFilledWith(image.subarray(used), 0xFF)) return [];
  return [checkTail(image, used)];
}

function checkTail(image: Uint8Array, used: number): Finding {
  const place = { offset: used };
  if (markerOffset(image, used) === used) {
    const message =
      "FF FF 00 00 follows the chain, left by Espressif's tool; the firmware reads the image, and refuses to append";
    return finding("STRAY_BYTES", message, place);
  }
  const magic = findMagic(image, used);
  const what = magic < 0
    ? "the bytes after the chain are not an entry"
    : `the chain ends here; the entries from 0x${magic.toString(16)} on are never read`;
  return finding(magic < 0 ? "STRAY_BYTES" : "BAD_MAGIC", what, place, "error");
}

/**
 * The firmware compares the word after the last entry with the magic number, wherever that word is. An
 * image without a partition is taken for a whole one when it is as large as the documented one, or
 * larger, in whole sectors; a smaller one may be in a partition with room after it.
 */
function checkSize(
  image: Uint8Array,
  { used }: Walk,
  partitionSize: number | undefined,
): Finding[] {
  const findings: Finding[] = [];
  const size = partitionSize ?? image.length;
  if (used > size) {
    const message = `the chain takes ${countOf(used, "byte")}, ${
      used - size
    } more than the partition's ${size}`;
    findings.push(finding("TOO_LARGE", message));
  } else if (size - used < MAGIC_SIZE && used < WALK_LIMIT) {
    const isWhole = partitionSize !== undefined || size >= DEFAULT_PARTITION_SIZE;
    if (partitionSize !== undefined || size % FLASH_SECTOR === 0) {
      const message =
        "the chain fills the partition, and the firmware reads on after its last byte to find the end";
      findings.push(finding("TOO_LARGE", message, { offset: used }, isWhole ? "error" : "warning"));
    }
  }
  if (image.length % TLV_ALIGNMENT !== 0) {
    const message = `${
      countOf(image.length, "byte is", "bytes are")
    } not a multiple of 16; flash encryption refuses such an image`;
    findings.push(finding("NOT_ALIGNED", message));
  }
  return findings;
}

function checkNumbers({ value, offset }: WalkedTlv, entry: number): Finding[] {
  const { type, subtype } = value;
  const place = { entry, offset };
  const title = tlvTypeTitle(type);
  const findings: Finding[] = [];
  if (isReservedType(type)) {
    findings.push(
      finding("UNKNOWN_TYPE", `type ${type} is a query value of the firmware`, place, "error"),
    );
  } else if (!isKnownType(type)) {
    findings.push(finding("UNKNOWN_TYPE", `type ${type} is unknown`, place));
  }
  if (subtype > MAX_SUBTYPE) {
    findings.push(
      finding("BAD_SUBTYPE", `the ${title} entry has the reserved subtype ${subtype}`, place),
    );
  }
  return findings;
}

/** Bytes of an entry that the firmware does not look at. */
function checkUnused({ value, offset }: WalkedTlv, entry: number): Finding[] {
  const { type, reserved, padding } = value;
  const what = [
    ...reserved === undefined ? [] : ["reserved bytes in its header"],
    ...padding === undefined ? [] : ["padding"],
  ];
  if (what.length === 0) return [];
  const message = `the ${tlvTypeTitle(type)} has nonzero ${what.join(" and ")}`;
  return [finding("STRAY_BYTES", message, { entry, offset })];
}

function checkDuplicates({ entries }: Walk): Finding[] {
  const seen = new Map<number, number>();
  return entries.flatMap(({ value: { type, subtype }, offset }, entry) => {
    const key = type << 8 | subtype;
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, entry);
      return [];
    }
    const message = `a second ${
      tlvTypeTitle(type)
    } with subtype ${subtype}; the firmware reads entry ${first} and never this one`;
    return [finding("DUPLICATE_ENTRY", message, { entry, offset })];
  });
}

function checkLastSubtypes({ entries }: Walk): Finding[] {
  return CREDENTIAL_TYPES.flatMap((type) => {
    const of = entries.filter(({ value }) => value.type === type);
    const last = of.at(-1);
    if (last === undefined || last.value.subtype === 0) return [];
    const message = `the last ${
      tlvTypeTitle(type)
    } has subtype ${last.value.subtype}: firmware with legacy formats enabled reads it, other firmware reads subtype 0`;
    return [
      finding("LAST_SUBTYPE", message, {
        entry: entries.indexOf(last),
        offset: last.offset,
      }),
    ];
  });
}

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
function readCustFlashImage(
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
    const message = `the ${what} has ${
      countOf(length, "byte")
    }, its region ${capacity}; it overlaps the next`;
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
