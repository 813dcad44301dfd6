import { crc32 } from "../bytes/crc32.ts";
import { countOf, SecureCertError } from "../bytes/errors.ts";
import { alignUp, type Bytes, type Decoded, isFilledWith, take, viewOf } from "../bytes/pack.ts";
import { type TlvType, tlvTypeName, tlvTypeNumber } from "./names.ts";

/** The first four bytes of an entry, little-endian. */
export const TLV_MAGIC = 0xBA5EBA11;
/**
 * The longest value in bytes: with 65505 and more the firmware's 16-bit entry size wraps round and
 * its walk never ends (FORMAT: what the device's reader does with odd images).
 */
export const MAX_TLV_LENGTH = 0xFFE0;
/** Bytes before the value. */
export const TLV_HEADER_SIZE = 12;
/** Value and padding together fill a multiple of this many bytes. */
export const TLV_ALIGNMENT = 16;
/** Entry checksums continue from this value. */
export const TLV_CRC_SEED = 0xFFFFFFFF;

const FOOTER_SIZE = 4;

/** One entry with all its numbers, as it is stored. */
export interface StoredTlv {
  /** Entry type, 0 to 255; see `TLV_TYPES`. */
  readonly type: number;
  /** Number among the entries of this type, 0 to 255. */
  readonly subtype: number;
  /** Flags byte. */
  readonly flags: number;
  /** The value, 0 to 65504 bytes. */
  readonly data: Uint8Array;
  /** The 3 reserved bytes of the header, present only when one is not zero. */
  readonly reserved?: Uint8Array;
  /** The padding after the value, present only when a byte is not zero. */
  readonly padding?: Uint8Array;
}

/**
 * One entry as it is read from bytes. Reserved bytes and padding are present only when one is not zero.
 *
 * @category TLV images
 */
export interface DecodedTlv extends Tlv {
  /** Entry type, 0 to 255. */
  readonly type: number;
  /** The firmware's name of the type, `UNKNOWN_n` for a number without one. */
  readonly typeName: string;
  /** Number among the entries of this type, 0 to 255. */
  readonly subtype: number;
  /** Flags byte. */
  readonly flags: number;
}

/**
 * One entry to encode: type by number or name, the rest with defaults.
 *
 * @category TLV images
 */
export interface Tlv {
  /** Entry type: a number from 0 to 255, a name of `TLV_TYPES`, or a short one. */
  readonly type: TlvType;
  /** Number among the entries of this type. @default 0 */
  readonly subtype?: number;
  /** Flags byte. @default 0 */
  readonly flags?: number;
  /** The value, at most 65504 bytes. */
  readonly data: Uint8Array;
  /** The 3 reserved bytes of the header. @default zeros */
  readonly reserved?: Uint8Array;
  /** The padding after the value. @default zeros */
  readonly padding?: Uint8Array;
}

/**
 * Bytes that an entry takes on flash: header 12, value padded to a multiple of 16, checksum 4.
 *
 * @category TLV images
 */
export function tlvSize(dataLength: number): number {
  return TLV_HEADER_SIZE + alignUp(dataLength, TLV_ALIGNMENT) + FOOTER_SIZE;
}

/**
 * The {@linkcode tlvSize} bytes of one entry, integers little-endian (FORMAT: one entry): magic u32 |
 * flags u8 | 0 x 3 | type u8 | subtype u8 | length u16 | value | zeros to 16 | CRC-32 u32.
 *
 * @category TLV images
 * @throws {SecureCertError} `ERR_LENGTH` for a value of more than 65504 bytes; `RangeError` for a type,
 * subtype or flags outside 0 to 255, an unknown type name, or padding of the wrong length.
 */
export function encodeTlv(entry: Tlv): Bytes {
  checkTlv(entry);
  const bytes = new Uint8Array(tlvSize(entry.data.length));
  writeTlv(entry, bytes, 0);
  return bytes;
}

/**
 * Checks that an entry can be encoded.
 *
 * @throws {SecureCertError} and `RangeError` as {@linkcode encodeTlv}.
 */
export function checkTlv({ type, subtype = 0, flags = 0, data, reserved, padding }: Tlv): void {
  if (data.length > MAX_TLV_LENGTH) {
    throw new SecureCertError(
      "ERR_LENGTH",
      `Cannot encode TLV: value of ${
        countOf(data.length, "byte")
      }, at most ${MAX_TLV_LENGTH} fit an entry`,
    );
  }
  if (reserved !== undefined && reserved.length !== 3) {
    throw new RangeError("Cannot encode TLV: need 3 reserved bytes");
  }
  const room = alignUp(data.length, TLV_ALIGNMENT) - data.length;
  if (padding !== undefined && padding.length !== room) {
    throw new RangeError(`Cannot encode TLV: need ${countOf(room, "byte")} of padding`);
  }
  checkByte(flags, "flags");
  checkByte(tlvTypeNumber(type), "type");
  checkByte(subtype, "subtype");
}

/**
 * Writes an entry that {@linkcode checkTlv} has checked.
 *
 * @param entry The entry.
 * @param image Where to; zeros where the entry goes.
 * @param offset Where the entry starts, in bytes from the start of the image.
 * @returns The offset after it.
 */
export function writeTlv(
  { type, subtype = 0, flags = 0, data, reserved, padding }: Tlv,
  image: Uint8Array,
  offset: number,
): number {
  const end = offset + tlvSize(data.length);
  const bytes = image.subarray(offset, end);
  const view = viewOf(bytes);
  const footer = bytes.length - FOOTER_SIZE;
  view.setUint32(0, TLV_MAGIC, true);
  view.setUint8(4, flags);
  if (reserved !== undefined) bytes.set(reserved, 5);
  view.setUint8(8, tlvTypeNumber(type));
  view.setUint8(9, subtype);
  view.setUint16(10, data.length, true);
  bytes.set(data, TLV_HEADER_SIZE);
  if (padding !== undefined) bytes.set(padding, TLV_HEADER_SIZE + data.length);
  view.setUint32(footer, crc32(bytes.subarray(0, footer), TLV_CRC_SEED), true);
  return end;
}

/**
 * The entry at the start of the bytes, its data a view of them, and its size in bytes. Unusual flags,
 * reserved bytes and padding are kept, so it encodes to the same bytes again.
 *
 * @category TLV images
 * @throws {SecureCertError} `ERR_TRUNCATED`, `ERR_MAGIC`, `ERR_CHECKSUM`, or `ERR_LENGTH` for a length
 * that wraps the firmware's 16-bit offset.
 */
export function decodeTlv(
  bytes: Uint8Array,
): { readonly value: DecodedTlv; readonly size: number } {
  const { value, size, crc } = readTlv(bytes);
  if (crc.stored !== crc.computed) {
    throw new SecureCertError("ERR_CHECKSUM", "Cannot decode TLV: checksum does not match", {
      offset: size - FOOTER_SIZE,
    });
  }
  return { value, size };
}

/** An entry whose checksum is not checked yet. */
export interface RawTlv extends Decoded<DecodedTlv> {
  /** The checksum in the entry and the one that should be there. */
  readonly crc: { readonly stored: number; readonly computed: number };
}

/**
 * One entry, whatever its checksum; otherwise as {@linkcode decodeTlv}.
 *
 * @throws {SecureCertError} `ERR_TRUNCATED`, `ERR_MAGIC` or `ERR_LENGTH`.
 */
export function readTlv(bytes: Uint8Array): RawTlv {
  const view = viewOf(take(bytes, 0, TLV_HEADER_SIZE, "TLV"));
  if (view.getUint32(0, true) !== TLV_MAGIC) {
    throw new SecureCertError("ERR_MAGIC", "Cannot decode TLV: no magic number", { offset: 0 });
  }
  const { length, ...numbers } = readTlvHeader(view);
  if (length > MAX_TLV_LENGTH) {
    throw new SecureCertError(
      "ERR_LENGTH",
      `Cannot decode TLV: length ${length} wraps the firmware's 16-bit walk`,
      { offset: 10 },
    );
  }
  const size = tlvSize(length);
  const whole = take(bytes, 0, size, "TLV");
  const end = size - FOOTER_SIZE;
  const reserved = whole.subarray(5, 8);
  const padding = whole.subarray(TLV_HEADER_SIZE + length, end);
  const value: DecodedTlv = {
    ...numbers,
    data: whole.subarray(TLV_HEADER_SIZE, TLV_HEADER_SIZE + length),
    ...isFilledWith(reserved, 0) ? {} : { reserved },
    ...isFilledWith(padding, 0) ? {} : { padding },
  };
  const stored = viewOf(whole).getUint32(end, true);
  return { value, size, crc: { stored, computed: crc32(whole.subarray(0, end), TLV_CRC_SEED) } };
}

/**
 * The numbers of an entry of any length.
 *
 * @param view The {@linkcode TLV_HEADER_SIZE} bytes before its value.
 */
export function readTlvHeader(
  view: DataView,
): Omit<DecodedTlv, "data"> & { readonly length: number } {
  const type = view.getUint8(8);
  return {
    type,
    typeName: tlvTypeName(type),
    subtype: view.getUint8(9),
    flags: view.getUint8(4),
    length: view.getUint16(10, true),
  };
}

function checkByte(value: number, field: string): void {
  if (Number.isInteger(value) && value >= 0 && value <= 0xFF) return;
  throw new RangeError(`Cannot encode TLV: ${field} must be 0 to 255, is ${value}`);
}
