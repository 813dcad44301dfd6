import { isFilledWith } from "../../bytes/pack.ts";
import {
  CREDENTIAL_TYPES,
  isKnownType,
  isReservedType,
  MAX_SUBTYPE,
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
import { type Finding, finding } from "../../findings/findings.ts";
import type { ImageEntries } from "./entry.ts";

const MAGIC_SIZE = 4;

/** Takes a TLV image apart. */
export function readTlvImage(image: Uint8Array, partitionSize?: number): ImageEntries {
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
    const message = `the chain takes ${used} bytes, ${
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
    const message =
      `${image.length} bytes are not a multiple of 16; flash encryption refuses such an image`;
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
