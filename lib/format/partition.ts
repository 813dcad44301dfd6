import { countOf, SecureCertError } from "../bytes/errors.ts";
import { type Bytes, concat, equalBytes, isFilledWith, viewOf } from "../bytes/pack.ts";
import { sha256 } from "./deps.ts";
import { MAX_SUBTYPE, TLV_TYPES, tlvTypeNumber, tlvTypeTitle } from "./names.ts";
import {
  checkTlv,
  type DecodedTlv,
  decodeTlv,
  encodeTlv,
  type RawTlv,
  readTlv,
  type StoredTlv,
  type Tlv,
  TLV_ALIGNMENT,
  TLV_MAGIC,
  tlvSize,
  writeTlv,
} from "./tlv.ts";

/** Size in bytes of the partition that Espressif documents (FORMAT: placement). */
export const DEFAULT_PARTITION_SIZE = 0x2000;
/**
 * The firmware walks the chain with a 16-bit offset: a chain of this many bytes or more never ends
 * for it (FORMAT: what the device's reader does with odd images).
 */
export const WALK_LIMIT = 0x10000;

const INTEGRITY: number = TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV;
const SHA256_SIZE = 32;
const ERASED = 0xFF;

/**
 * The bytes of a chain of entries, as long as they are, or filled with 0xFF up to `size`, 0x2000 by
 * default; `integrity` adds an integrity entry at the end.
 *
 * @category TLV images
 * @throws {SecureCertError} `ERR_TOO_LARGE` when the chain does not fit, with the excess and the largest
 * entry; `ERR_LENGTH` and `RangeError` as {@linkcode encodeTlv}.
 */
export function encodePartition(
  entries: readonly Tlv[],
  options: {
    /** Size of the partition in bytes, which the chain must fit. @default 0x2000 */
    readonly size?: number;
    /** Fill the image with 0xFF up to its size, as erased flash reads. @default false */
    readonly fill?: boolean;
    /** Close the chain with an integrity entry. @default false */
    readonly integrity?: boolean;
  } = {},
): Bytes {
  return layOutPartition(entries, options).image;
}

/** Some bytes, and their SHA-256. */
export interface HashedBytes {
  readonly bytes: Uint8Array;
  readonly sha256: Uint8Array;
}

/** An image, and what is known of its hashes. */
export interface HashedImage {
  readonly image: Bytes;
  /** What the integrity entry protects, where there is one. */
  readonly hashed?: HashedBytes;
  /** SHA-256 of the image. */
  sha256(): Uint8Array;
}

/** As {@linkcode encodePartition}; the hash of the image goes on from that of its integrity entry. */
export function layOutPartition(
  entries: readonly Tlv[],
  options: Parameters<typeof encodePartition>[1] = {},
): HashedImage {
  const { size = DEFAULT_PARTITION_SIZE, fill = false, integrity = false } = options;
  entries.forEach(checkTlv);
  const sizes = entries.map(({ data }) => tlvSize(data.length));
  if (integrity) sizes.push(tlvSize(SHA256_SIZE));
  const used = sizes.reduce((sum, each) => sum + each, 0);
  if (used > size || used >= WALK_LIMIT) {
    throw tooLarge(entries, sizes, Math.min(size, WALK_LIMIT - 16));
  }
  const image = new Uint8Array(fill ? size : used);
  let at = 0;
  for (const entry of entries) at = writeTlv(entry, image, at);
  image.fill(ERASED, used);
  if (!integrity) return { image, sha256: () => sha256(image) };
  const bytes = image.subarray(0, at);
  const hash = sha256.create().update(bytes);
  const entry = integrityEntryOf(hash.clone().digest());
  writeTlv(entry, image, at);
  return {
    image,
    hashed: { bytes, sha256: entry.data },
    sha256: () => hash.clone().update(image.subarray(at)).digest(),
  };
}

/**
 * The entry that protects everything before it.
 *
 * @param before All bytes of the image up to where the entry will be.
 * @param subtype Number of the entry, one more than the last integrity entry has. @default 0
 * @returns An entry of type 9 with the SHA-256 of these bytes (FORMAT: types, INTEGRITY).
 */
export function integrityEntry(before: Uint8Array, subtype = 0): StoredTlv {
  return integrityEntryOf(sha256(before), subtype);
}

function integrityEntryOf(data: Uint8Array, subtype = 0): StoredTlv {
  return { type: INTEGRITY, subtype, flags: 0, data };
}

/**
 * Entries closed by an integrity entry over all of them. It has the subtype that follows the highest
 * among the integrity entries, as Espressif's tool numbers them; the firmware checks the last one,
 * whatever its subtype (FORMAT: types, INTEGRITY).
 *
 * @param entries The entries.
 * @throws {SecureCertError} `ERR_PLAN` when an integrity entry has the largest subtype already.
 */
export function withIntegrity(entries: readonly StoredTlv[]): StoredTlv[] {
  const subtypes = entries.filter(({ type }) => type === INTEGRITY).map(({ subtype }) => subtype);
  const subtype = Math.max(-1, ...subtypes) + 1;
  if (subtype > MAX_SUBTYPE) {
    const message = `Cannot add integrity entry: there is one with subtype ${subtype - 1}`;
    throw new SecureCertError("ERR_PLAN", message);
  }
  return [...entries, integrityEntry(concat(...entries.map(encodeTlv)), subtype)];
}

/**
 * The entries of an image, strictly: every entry is whole and has the right checksum, and only erased
 * flash (0xFF) follows the last. Erased flash has no entries. Data are views of the image, offsets count
 * from its start, and `used` is the number of bytes that the entries take.
 *
 * @category TLV images
 * @throws {SecureCertError} `ERR_TRUNCATED`, `ERR_MAGIC`, `ERR_LENGTH`, `ERR_CHECKSUM`,
 * `ERR_STRAY_BYTES`, or `ERR_TOO_LARGE` for 64 KiB or more, with entry and offset.
 */
export function decodePartition(image: Uint8Array): {
  readonly entries: readonly (DecodedTlv & { readonly offset: number })[];
  readonly used: number;
} {
  const entries: (DecodedTlv & { readonly offset: number })[] = [];
  let used = 0;
  while (hasMagic(image, used)) {
    const { value, size } = at(used, entries.length, () => decodeTlv(image.subarray(used)));
    entries.push({ ...value, offset: used });
    used += size;
    if (used >= WALK_LIMIT) {
      throw new SecureCertError("ERR_TOO_LARGE", "Cannot decode partition: chain reaches 64 KiB", {
        offset: used,
      });
    }
  }
  if (!isFilledWith(image.subarray(used), ERASED)) {
    throw new SecureCertError(
      used === 0 ? "ERR_MAGIC" : "ERR_STRAY_BYTES",
      used === 0
        ? "Cannot decode partition: no magic number at its start"
        : `Cannot decode partition: bytes at ${used} are neither an entry nor erased`,
      { offset: used },
    );
  }
  return { entries, used };
}

/** One step of {@linkcode walkPartition}. */
export interface WalkedTlv extends RawTlv {
  /** Where the entry starts, in bytes from the start of the image. */
  readonly offset: number;
}

/** What {@linkcode walkPartition} found. */
export interface Walk {
  /** The entries that could be delimited, whatever their checksums. */
  readonly entries: readonly WalkedTlv[];
  /** Bytes these entries take. */
  readonly used: number;
  /** Why the walk ended on an entry that cannot be delimited; absent when it ended well. */
  readonly broken?: SecureCertError;
}

/**
 * The entries of an image as the firmware walks them: checksums are reported, not checked, and the
 * first word that is not the magic number ends the chain. Never throws; takes time linear in the
 * length of the image.
 *
 * @param image Any bytes.
 * @returns The entries, the length of the chain, and what broke it.
 */
export function walkPartition(image: Uint8Array): Walk {
  const entries: WalkedTlv[] = [];
  let used = 0;
  while (hasMagic(image, used) && used < WALK_LIMIT) {
    try {
      const raw = at(used, entries.length, () => readTlv(image.subarray(used)));
      entries.push({ ...raw, offset: used });
      used += raw.size;
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      return { entries, used, broken: error };
    }
  }
  return { entries, used };
}

/** What Espressif's tool leaves after a chain that it appends to (FORMAT: signature defects). */
const MARKER = new Uint8Array([0xFF, 0xFF, 0, 0]);

/**
 * Where the marker is that Espressif's tool leaves after a chain, among nothing but erased flash.
 *
 * @param image An image.
 * @param used Bytes that its chain takes.
 * @returns Bytes from the start of the image; -1 for none.
 */
export function markerOffset(image: Uint8Array, used: number): number {
  let at = used;
  while (image[at + 2] === ERASED) at++;
  const isMarker = at % TLV_ALIGNMENT === 0 &&
    equalBytes(image.subarray(at, at + MARKER.length), MARKER);
  return isMarker && isFilledWith(image.subarray(at + MARKER.length), ERASED) ? at : -1;
}

/** An image up to the marker that Espressif's tool leaves after its chain, where there is one. */
export function withoutMarker(image: Uint8Array): Uint8Array {
  const at = markerOffset(image, walkPartition(image).used);
  return at > 0 ? image.subarray(0, at) : image;
}

/**
 * Where the first magic number is, from an offset on, in bytes from the start of the image; -1 for
 * none. Takes time linear in the length of the image.
 */
export function findMagic(image: Uint8Array, from: number): number {
  const view = viewOf(image);
  for (
    let at = image.indexOf(TLV_MAGIC & 0xFF, from);
    at >= 0;
    at = image.indexOf(TLV_MAGIC & 0xFF, at + 1)
  ) {
    if (at + 4 <= image.length && view.getUint32(at, true) === TLV_MAGIC) return at;
  }
  return -1;
}

function hasMagic(image: Uint8Array, offset: number): boolean {
  return offset + 4 <= image.length && viewOf(image).getUint32(offset, true) === TLV_MAGIC;
}

/** Runs a decoder and moves its error from the entry's place to the image's. */
function at<T>(offset: number, entry: number, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    throw new SecureCertError(
      error.code,
      `${error.message} (entry ${entry} at ${offset})`,
      { entry, offset: offset + (error.place.offset ?? 0) },
      { cause: error },
    );
  }
}

/** The error of entries that take too many bytes; one that has a size only is an integrity entry. */
function tooLarge(
  entries: readonly Tlv[],
  sizes: readonly number[],
  size: number,
): SecureCertError {
  const used = sizes.reduce((sum, each) => sum + each, 0);
  const largest = sizes.reduce((best, each, index) => each > sizes[best]! ? index : best, 0);
  const type = tlvTypeNumber(entries[largest]?.type ?? INTEGRITY);
  return new SecureCertError(
    "ERR_TOO_LARGE",
    `Cannot encode partition: ${countOf(used, "byte")}, ${used - size} more than its ${size}; ` +
      `the largest entry is the ${tlvTypeTitle(type)} with ${sizes[largest]}`,
    { entry: largest },
  );
}
