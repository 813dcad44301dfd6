import { crc32 } from "../../bytes/crc32.ts";
import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, hasWord, inRange, viewOf } from "../../bytes/pack.ts";
import { DS_3072, DS_4096, type DsLayout, dsLayoutOfCiphertext } from "../chips/chip.ts";
import type { Credentials, StoredDs } from "../credentials.ts";
import { DS_IV_LENGTH } from "../peripheral.ts";
import { TLV_CRC_SEED, TLV_MAGIC } from "../tlv.ts";

/** The word that ends the metadata, little-endian. */
export const CUST_FLASH_MAGIC = 0x12345678;
/** Bytes of the metadata with its filling of zeros. */
export const METADATA_SIZE = 64;
/** Where the magic number is in an image with a plaintext key. */
const MAGIC_AT = 24;
/** Where the magic number is in an image with DS values. */
const DS_MAGIC_AT = 36;
/** Where the size of the RSA key in bits is, u16. */
const RSA_BITS_AT = 30;
/** Where the eFuse key id is, u8. */
const KEY_ID_AT = 32;

const DEVICE_CERT = { name: "deviceCert", offset: 64, capacity: 2048, optional: true } as const;
const CA_CERT = { name: "caCert", offset: 2112, capacity: 4096, optional: true } as const;
const PRIVATE_KEY = {
  name: "privateKey",
  offset: 6208,
  capacity: 4096,
  optional: true,
  pairAt: 16,
} as const;
const CIPHERTEXT_MARGIN = 16;
const IV_CAPACITY = 32;

/** The values a cust_flash image has places for. */
export type CustFlashName = "deviceCert" | "caCert" | "privateKey" | "ciphertext" | "iv";

/** A place for a value. */
interface CustFlashSlot {
  /** Which value it is. */
  readonly name: CustFlashName;
  /** Where its bytes start. */
  readonly offset: number;
  /** Bytes there is room for. */
  readonly capacity: number;
  /** Whether an image can do without it. */
  readonly optional: boolean;
  /** Where its checksum is, u32, followed by its length, u16. */
  readonly pairAt: number;
}

/** One way to lay a cust_flash image out. */
interface CustFlashLayout {
  /** Whether the metadata has the CA certificate before the device certificate. */
  readonly legacy: boolean;
  /** The DS peripheral's sizes, or undefined for an image with a plaintext key. */
  readonly ds: DsLayout | undefined;
  /** The places in the order of the image. */
  readonly slots: readonly CustFlashSlot[];
  /** Where the magic number is. */
  readonly magicAt: number;
  /** Bytes up to the end of the last place. */
  readonly end: number;
}

/**
 * The places of the values (FORMAT: cust_flash).
 *
 * @param ds Sizes of the DS peripheral, or undefined for an image with a plaintext key.
 * @param legacy Whether the checksums of the two certificates are swapped.
 * @returns The layout.
 */
function custFlashLayout(ds: DsLayout | undefined, legacy: boolean): CustFlashLayout {
  const certificates: CustFlashSlot[] = [
    { ...DEVICE_CERT, pairAt: legacy ? 8 : 0 },
    { ...CA_CERT, pairAt: legacy ? 0 : 8 },
  ];
  const { offset } = PRIVATE_KEY;
  if (ds === undefined) {
    const slots = [...certificates, PRIVATE_KEY];
    return { legacy, ds, slots, magicAt: MAGIC_AT, end: offset + PRIVATE_KEY.capacity };
  }
  const capacity = ds.ciphertextLength + CIPHERTEXT_MARGIN;
  const iv = offset + capacity;
  const slots: CustFlashSlot[] = [
    ...certificates,
    { name: "ciphertext", offset, capacity, optional: false, pairAt: 16 },
    { name: "iv", offset: iv, capacity: IV_CAPACITY, optional: false, pairAt: 24 },
  ];
  return { legacy, ds, slots, magicAt: DS_MAGIC_AT, end: iv + IV_CAPACITY };
}

/** Every layout there is. */
export const CUST_FLASH_LAYOUTS: readonly CustFlashLayout[] = [undefined, DS_4096, DS_3072]
  .flatMap((ds) => [custFlashLayout(ds, false), custFlashLayout(ds, true)]);

/** Size in bytes of the images that Espressif's tool writes (FORMAT: cust_flash). */
export const CUST_FLASH_SIZE = 0x6000;

const ERASED = 0xFF;
const WHAT = "Cannot encode cust_flash";

/** What a cust_flash image holds. */
export type CustFlash = ReturnType<typeof decodeCustFlash>;

/** One value of an image. */
export type CustFlashValue = CustFlash["values"][number];

/**
 * A cust_flash image of `size` bytes, 0x6000 by default: metadata with a length and a CRC-32 (seed
 * 0xFFFFFFFF) for each value, the values at fixed offsets, the rest 0xFF; integers little-endian
 * (FORMAT: cust_flash). The length of the ciphertext decides where the IV is. An absent value has length
 * and checksum 0, and the firmware returns an error for it.
 *
 * @category cust_flash and NVS
 * @throws {SecureCertError} `ERR_LENGTH` for a device certificate of more than 2048 bytes, or a CA
 * certificate or private key of more than 4096: they would overlap; `RangeError` for a private key with
 * DS values, a ciphertext that is not 1584 or 1200 bytes, an IV that is not 16, or a number or size out
 * of range.
 */
export function encodeCustFlash(
  credentials: Credentials,
  options: {
    /** The order of partitions named `pre_prov`: CA before device in the metadata. @default false */
    readonly legacy?: boolean;
    /** Size of the image in bytes, erased after the last value. @default 0x6000 */
    readonly size?: number;
  } = {},
): Bytes {
  const { legacy = false, size = CUST_FLASH_SIZE } = options;
  const layout = layoutFor(credentials, legacy);
  if (!Number.isSafeInteger(size) || size < layout.end) {
    throw new RangeError(
      `Cannot encode cust_flash: size must be ${layout.end} or more, is ${size}`,
    );
  }
  const image = new Uint8Array(size).fill(ERASED).fill(0, 0, METADATA_SIZE);
  const view = viewOf(image);
  for (const slot of layout.slots) {
    const data = dataOf(credentials, slot.name);
    if (data === undefined) continue;
    if (data.length > slot.capacity) throw badLength("encode", slot, data.length);
    view.setUint32(slot.pairAt, crc32(data, TLV_CRC_SEED), true);
    view.setUint16(slot.pairAt + 4, data.length, true);
    image.set(data, slot.offset);
  }
  if (credentials.ds !== undefined) {
    view.setUint16(
      RSA_BITS_AT,
      inRange(credentials.ds.rsaLengthBits, 0xFFFF, `${WHAT}: rsaLengthBits`),
      true,
    );
    view.setUint8(KEY_ID_AT, inRange(credentials.ds.efuseKeyId, 0xFF, `${WHAT}: efuseKeyId`));
  }
  view.setUint32(layout.magicAt, CUST_FLASH_MAGIC, true);
  return image;
}

/**
 * The credentials of a cust_flash image, strictly: every value fits its region and has the right
 * checksum, and every other byte is as {@linkcode encodeCustFlash} writes it; the erased tail may have
 * any length. Values are views of the image.
 *
 * @category cust_flash and NVS
 * @throws {SecureCertError} `ERR_MAGIC`, `ERR_TRUNCATED`, `ERR_LENGTH`, `ERR_CHECKSUM` or
 * `ERR_STRAY_BYTES`, with field and offset.
 */
export function decodeCustFlash(
  image: Uint8Array,
  options: {
    /** The order of the metadata. @default found by the checksums, `false` when both fit */
    readonly legacy?: boolean;
  } = {},
): {
  /** The credentials. */
  readonly credentials: Credentials;
  /** Whether the metadata is in the order of partitions named `pre_prov`. */
  readonly legacy: boolean;
  /** The values that are there, in the order of the image; an absent one has length and CRC 0. */
  readonly values: readonly {
    /** Which value it is. */
    readonly name: "deviceCert" | "caCert" | "privateKey" | "ciphertext" | "iv";
    /** Where it starts, in bytes from the start of the image. */
    readonly offset: number;
    /** Its length in bytes as the metadata states it. */
    readonly length: number;
    /** The bytes its region has room for. */
    readonly capacity: number;
    /** The bytes, a view of the image; fewer than `length` when the image ends first. */
    readonly data: Uint8Array;
    /** The checksum in the metadata and that of the data. */
    readonly crc: { readonly stored: number; readonly computed: number };
  }[];
} {
  const layout = bestLayout(image, options.legacy);
  if (image.length < layout.end) {
    throw new SecureCertError(
      "ERR_TRUNCATED",
      `Cannot decode cust_flash: need ${countOf(layout.end, "byte")}, have ${image.length}`,
      { offset: image.length },
    );
  }
  const read = readLayout(image, layout);
  read.values.forEach((value) => checkValue(value, layout));
  const canonical = encodeCustFlash(read.credentials, {
    legacy: layout.legacy,
    size: image.length,
  });
  const stray = canonical.findIndex((byte, at) => byte !== image[at]);
  if (stray >= 0) {
    throw new SecureCertError(
      "ERR_STRAY_BYTES",
      `Cannot decode cust_flash: the byte at ${stray} belongs to no value`,
      { offset: stray },
    );
  }
  return read;
}

/**
 * What a cust_flash image holds, whatever its lengths and checksums; for inspection. Where the
 * metadata fits more than one layout, the one with the most right checksums is taken.
 *
 * @param image The partition's bytes, whole or cut short.
 * @param options The order of the metadata, where it is known.
 * @returns The credentials as stored and the values with both checksums.
 * @throws {SecureCertError} `ERR_MAGIC` when the image is not a cust_flash image, and nothing else.
 */
export function readCustFlash(
  image: Uint8Array,
  options: { readonly legacy?: boolean } = {},
): CustFlash {
  return readLayout(image, bestLayout(image, options.legacy));
}

/**
 * Whether an image has the magic number of a cust_flash image where there should be one, and is not a chain
 * of TLV entries, which the firmware looks for first.
 *
 * @param image Any bytes.
 * @returns Whether {@linkcode readCustFlash} can read it.
 */
export function looksLikeCustFlash(image: Uint8Array): boolean {
  return !hasWord(image, 0, TLV_MAGIC) &&
    (hasWord(image, MAGIC_AT, CUST_FLASH_MAGIC) || hasWord(image, DS_MAGIC_AT, CUST_FLASH_MAGIC));
}

/**
 * Where the place of the last value ends, which is the least size of a cust_flash image.
 *
 * @param credentials The certificates, and either a private key or DS values.
 * @returns Bytes from the start of the image.
 * @throws {RangeError} for what {@linkcode encodeCustFlash} has no layout for.
 */
export function custFlashEnd(credentials: Credentials): number {
  return layoutFor(credentials, false).end;
}

function layoutFor({ privateKey, ds }: Credentials, legacy: boolean): CustFlashLayout {
  if (ds !== undefined && privateKey !== undefined) {
    throw new RangeError(
      "Cannot encode cust_flash: a private key and DS values exclude each other",
    );
  }
  if (ds === undefined) return custFlashLayout(undefined, legacy);
  const layout = dsLayoutOfCiphertext(ds.ciphertext.length);
  if (layout === undefined) {
    throw new RangeError(
      `Cannot encode cust_flash: no chip has ${ds.ciphertext.length}-byte ciphertexts`,
    );
  }
  if (ds.iv.length !== DS_IV_LENGTH) {
    throw new RangeError(`Cannot encode cust_flash: need an IV of 16 bytes, have ${ds.iv.length}`);
  }
  return custFlashLayout(layout, legacy);
}

/** The layout with the most values that fit it; the earlier of two equals. */
function bestLayout(image: Uint8Array, legacy: boolean | undefined): CustFlashLayout {
  const candidates = looksLikeCustFlash(image)
    ? CUST_FLASH_LAYOUTS.filter((each) =>
      hasWord(image, each.magicAt, CUST_FLASH_MAGIC) && each.legacy === (legacy ?? each.legacy)
    )
    : [];
  const [first, ...others] = candidates;
  if (first === undefined) {
    throw new SecureCertError("ERR_MAGIC", "Cannot decode cust_flash: no magic number", {
      offset: MAGIC_AT,
    });
  }
  const scored = others.map((each) => ({ each, score: score(image, each) }));
  return scored.reduce(
    (best, next) => next.score > best.score ? next : best,
    { each: first, score: score(image, first) },
  ).each;
}

function score(image: Uint8Array, layout: CustFlashLayout): number {
  return readLayout(image, layout).values.filter((value) =>
    hasRightLength(value, layout) && value.crc.stored === value.crc.computed
  ).length;
}

function readLayout(image: Uint8Array, layout: CustFlashLayout): CustFlash {
  const values = layout.slots.flatMap((slot) => {
    const value = readValue(image, slot);
    return slot.optional && value.length === 0 && value.crc.stored === 0 ? [] : [value];
  });
  const data = (name: CustFlashName): Uint8Array | undefined =>
    values.find((value) => value.name === name)?.data;
  const [deviceCert, caCert, privateKey] = [data("deviceCert"), data("caCert"), data("privateKey")];
  const view = viewOf(image);
  const ds: StoredDs | undefined = layout.ds && {
    ciphertext: data("ciphertext")!,
    iv: data("iv")!,
    rsaLengthBits: view.getUint16(RSA_BITS_AT, true),
    efuseKeyId: view.getUint8(KEY_ID_AT),
  };
  const credentials: Credentials = {
    deviceCert,
    caCert,
    privateKey,
    ds,
  };
  return { credentials, legacy: layout.legacy, values };
}

function readValue(image: Uint8Array, slot: CustFlashSlot): CustFlashValue {
  const { name, offset, capacity, pairAt } = slot;
  const view = viewOf(image);
  const length = view.getUint16(pairAt + 4, true);
  const data = image.subarray(offset, offset + length);
  const stored = view.getUint32(pairAt, true);
  return {
    name,
    offset,
    length,
    capacity,
    data,
    crc: { stored, computed: crc32(data, TLV_CRC_SEED) },
  };
}

function hasRightLength(
  { name, length, capacity }: CustFlashValue,
  layout: CustFlashLayout,
): boolean {
  if (name === "ciphertext") return length === layout.ds?.ciphertextLength;
  if (name === "iv") return length === DS_IV_LENGTH;
  return length <= capacity;
}

function checkValue(value: CustFlashValue, layout: CustFlashLayout): void {
  if (!hasRightLength(value, layout)) throw badLength("decode", value, value.length);
  if (value.crc.stored === value.crc.computed) return;
  throw new SecureCertError(
    "ERR_CHECKSUM",
    `Cannot decode cust_flash: checksum of ${value.name} does not match`,
    { offset: value.offset, field: value.name },
  );
}

function dataOf(credentials: Credentials, name: CustFlashName): Uint8Array | undefined {
  if (name === "ciphertext" || name === "iv") return credentials.ds?.[name];
  return credentials[name];
}

function badLength(
  verb: "encode" | "decode",
  slot: Pick<CustFlashValue, "name" | "offset" | "capacity">,
  length: number,
): SecureCertError {
  const wanted = slot.name === "iv" || slot.name === "ciphertext"
    ? "is not the length that the DS peripheral takes"
    : `does not fit its region of ${slot.capacity}`;
  return new SecureCertError(
    "ERR_LENGTH",
    `Cannot ${verb} cust_flash: ${slot.name} of ${countOf(length, "byte")} ${wanted}`,
    { offset: slot.offset, field: slot.name },
  );
}
