import { SecureCertError } from "../../bytes/errors.ts";
import { concat, isFilledWith } from "../../bytes/pack.ts";
import { formatHex } from "../../bytes/text.ts";
import { TLV_TYPES } from "../../format/names.ts";
import { DEFAULT_PARTITION_SIZE, integrityEntry, walkPartition } from "../../format/partition.ts";
import { encodeTlv } from "../../format/tlv.ts";
import type { Io } from "../io.ts";
import { withoutMarker } from "./marker.ts";

/** The last subtype that Espressif's tool gives an integrity entry. */
const LAST_SUBTYPE = 16;

/** Adds an integrity entry to an image, in place: the entry, and nothing behind it. */
export async function appendIntegrityTo(path: string, io: Io): Promise<number> {
  const { image, subtype, sha256, used } = withIntegrity(await io.read(path));
  await io.write([{ path, bytes: image, secret: true }], true);
  io.print(`Appended integrity TLV (subtype ${subtype}) with SHA256: ${sha256}`);
  io.print(`Total size after append: ${used} bytes`);
  io.print(`Successfully appended integrity TLV to: ${path}`);
  return 0;
}

function withIntegrity(given: Uint8Array) {
  const image = withoutMarker(given);
  const { entries, used, broken } = walkPartition(image);
  if (broken !== undefined) throw broken;
  if (entries.length === 0) throw refused("ERR_MAGIC", "it has no entries", 0);
  const bad = entries.find(({ crc }) => crc.stored !== crc.computed);
  if (bad) throw refused("ERR_CHECKSUM", `entry at ${bad.offset} has a wrong checksum`, bad.offset);
  if (!isFilledWith(image.subarray(used), 0xFF)) {
    throw refused("ERR_STRAY_BYTES", `other bytes follow its chain at ${used}`, used);
  }
  const subtype = 1 + Math.max(
    -1,
    ...entries.filter(({ value }) => value.type === TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV)
      .map(({ value }) => value.subtype),
  );
  if (subtype > LAST_SUBTYPE) {
    throw refused("ERR_PLAN", `it has an integrity entry with subtype ${subtype - 1}`, used);
  }
  const entry = integrityEntry(image.subarray(0, used), subtype);
  const chain = concat(image.subarray(0, used), encodeTlv(entry));
  if (chain.length > Math.max(DEFAULT_PARTITION_SIZE, image.length)) {
    const size = DEFAULT_PARTITION_SIZE;
    throw refused("ERR_TOO_LARGE", `${chain.length} bytes, the partition has ${size}`, used);
  }
  // An image that filled its partition still does; one that did not ends with its chain.
  const isFilled = given.length % 4096 === 0 && given.length > chain.length;
  const rest = new Uint8Array(isFilled ? given.length - chain.length : 0).fill(0xFF);
  const sha256 = formatHex(entry.data);
  return { image: concat(chain, rest), subtype, sha256, used: chain.length };
}

function refused(
  code: "ERR_MAGIC" | "ERR_CHECKSUM" | "ERR_STRAY_BYTES" | "ERR_PLAN" | "ERR_TOO_LARGE",
  problem: string,
  offset: number,
): SecureCertError {
  return new SecureCertError(code, `Cannot append integrity entry: ${problem}`, { offset });
}
