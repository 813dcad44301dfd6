import { countOf, SecureCertError } from "../bytes/errors.ts";
import { alignUp, type Bytes, concat, equalBytes } from "../bytes/pack.ts";
import { TLV_TYPES } from "../format/names.ts";
import {
  decodePartition,
  DEFAULT_PARTITION_SIZE,
  encodePartition,
  integrityEntry,
  withoutMarker,
} from "../format/partition.ts";
import { encodeTlv, type StoredTlv, TLV_ALIGNMENT, tlvSize } from "../format/tlv.ts";
import { recognise } from "./recognise.ts";

const INTEGRITY: number = TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV;

/** An image that is about to change. */
export interface OpenedImage {
  /** Its bytes, without what Espressif's tool leaves after a chain. */
  readonly bytes: Uint8Array;
  /** Its entries, every one whole. */
  readonly entries: readonly StoredTlv[];
  /** Bytes that they take. */
  readonly used: number;
}

/**
 * Opens an image that is about to change. Whatever is wrong with it must come to light now: a new
 * integrity entry or signature would hide it.
 *
 * @param image TLV, with an erased tail or without; erased flash too.
 * @throws {SecureCertError} whatever {@linkcode decodePartition} throws; `ERR_UNSUPPORTED` for another
 * layout, `ERR_INTEGRITY` when an integrity entry does not match.
 */
export function openForChange(image: Uint8Array): OpenedImage {
  const bytes = withoutMarker(image);
  const { format } = recognise(bytes);
  if (format !== "tlv" && format !== "unknown") {
    const message = `Cannot change ${format} image: only TLV images can be signed and added to`;
    throw new SecureCertError("ERR_UNSUPPORTED", message);
  }
  const { entries, used } = decodePartition(bytes);
  let offset = 0;
  for (const [entry, { type, data }] of entries.entries()) {
    if (type === INTEGRITY) checkIntegrity(bytes.subarray(0, offset), data, { entry, offset });
    offset += tlvSize(data.length);
  }
  return { bytes, entries, used };
}

/**
 * Lays changed entries out. An image with an erased tail keeps its length as long as it can.
 *
 * @param image The image as it was.
 * @param entries The entries as they are to be.
 * @param size Size of the partition in bytes. @default 0x2000, or the image's length when that is more
 * @returns The image, its length a multiple of 16.
 * @throws {SecureCertError} `ERR_TOO_LARGE` when they do not fit.
 */
export function layOut(
  { bytes, used }: Pick<OpenedImage, "bytes" | "used">,
  entries: readonly StoredTlv[],
  size?: number,
): Bytes {
  const wanted = bytes.length > used ? alignUp(bytes.length, TLV_ALIGNMENT) : 0;
  const partition = size ?? Math.max(DEFAULT_PARTITION_SIZE, wanted, used);
  if (wanted > partition) {
    const message = `Cannot lay out image: it has ${
      countOf(wanted, "byte")
    }, the partition ${partition}`;
    throw new SecureCertError("ERR_TOO_LARGE", message);
  }
  const chain = encodePartition(entries, { size: partition });
  const image = new Uint8Array(Math.max(wanted, chain.length)).fill(0xFF);
  image.set(chain);
  return image;
}

/** The entries with every integrity entry rebuilt over what is now before it. */
export function renewIntegrity(entries: readonly StoredTlv[]): StoredTlv[] {
  const before: Uint8Array[] = [];
  return entries.map((entry) => {
    const { data } = entry.type === INTEGRITY ? integrityEntry(concat(...before)) : entry;
    const renewed = { ...entry, data };
    before.push(encodeTlv(renewed));
    return renewed;
  });
}

function checkIntegrity(
  before: Uint8Array,
  stored: Uint8Array,
  place: { entry: number; offset: number },
): void {
  if (equalBytes(stored, integrityEntry(before).data)) return;
  const message =
    `Cannot change image: the integrity entry does not match it (entry ${place.entry} at ${place.offset})`;
  throw new SecureCertError("ERR_INTEGRITY", message, place);
}
