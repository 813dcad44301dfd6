import { SecureCertError } from "../../bytes/errors.ts";
import { concat } from "../../bytes/pack.ts";
import { formatHex } from "../../bytes/text.ts";
import {
  decodePartition,
  DEFAULT_PARTITION_SIZE,
  encodePartition,
  withIntegrity,
  withoutMarker,
} from "../../format/partition.ts";
import type { Io } from "../io.ts";

/** The last subtype that Espressif's tool gives an integrity entry. */
const LAST_SUBTYPE = 16;

/** Adds an integrity entry to an image, in place: the entry, and nothing after it. */
export async function appendIntegrityTo(path: string, io: Io): Promise<number> {
  const { image, subtype, sha256, used } = appended(await io.read(path));
  await io.write([{ path, bytes: image, secret: true, keep: false }], "files", { inPlace: true });
  io.print(`Appended integrity TLV (subtype ${subtype}) with SHA256: ${sha256}`);
  io.print(`Total size after append: ${used} bytes`);
  io.print(`Successfully appended integrity TLV to: ${path}`);
  return 0;
}

function appended(given: Uint8Array) {
  const image = withoutMarker(given);
  const { entries, used } = decodePartition(image);
  if (used === 0) throw refused("ERR_MAGIC", "it has no entries", 0);
  const closed = withIntegrity(entries);
  const { subtype, data } = closed.at(-1)!;
  if (subtype > LAST_SUBTYPE) {
    throw refused("ERR_PLAN", `it has an integrity entry with subtype ${subtype - 1}`, used);
  }
  const size = Math.max(DEFAULT_PARTITION_SIZE, image.length);
  const chain = encodePartition(closed, { size });
  // An image that filled its partition still does; one that did not ends with its chain.
  const isFilled = given.length % 4096 === 0 && given.length > chain.length;
  const rest = new Uint8Array(isFilled ? given.length - chain.length : 0).fill(0xFF);
  return { image: concat(chain, rest), subtype, sha256: formatHex(data), used: chain.length };
}

function refused(code: "ERR_MAGIC" | "ERR_PLAN", problem: string, offset: number): SecureCertError {
  return new SecureCertError(code, `Cannot append integrity entry: ${problem}`, { offset });
}
