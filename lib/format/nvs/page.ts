import { crc32 } from "../../bytes/crc32.ts";
import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, type Decoded, equalBytes, take, viewOf } from "../../bytes/pack.ts";
import { decodeUtf8, encodeUtf8 } from "../../bytes/text.ts";
import type { NvsPage, NvsProblem } from "./decoded.ts";

/** Bytes of one entry (FORMAT: NVS partition format). */
export const NVS_ENTRY_SIZE = 32;
/** The longest key or namespace name in bytes of UTF-8; a NUL follows it in a field of 16. */
const NVS_MAX_KEY_LENGTH = 15;
/** Chunk number of every entry that is not a chunk of a blob. */
export const NVS_NO_CHUNK = 0xFF;
/** Where the eight bytes of data are in an entry. */
export const NVS_DATA_OFFSET = 24;
/** Where the key of an entry starts in it; it ends where the data starts. */
export const NVS_KEY_OFFSET = 8;

/** Type codes of entries, name to number (FORMAT: NVS partition format, types). */
export const NVS_TYPES = {
  u8: 0x01,
  i8: 0x11,
  u16: 0x02,
  i16: 0x12,
  u32: 0x04,
  i32: 0x14,
  u64: 0x08,
  i64: 0x18,
  string: 0x21,
  /** A blob within one page, as version 1 writes it. */
  blobV1: 0x41,
  /** One chunk of a version 2 blob. */
  blobData: 0x42,
  /** The entry that says how many chunks a version 2 blob has. */
  blobIndex: 0x48,
} as const;

/** The integer types of at most 32 bits. */
type NvsNumberType = "u8" | "i8" | "u16" | "i16" | "u32" | "i32";
/** The integer types of 64 bits. */
type NvsBigintType = "u64" | "i64";
/** All integer types. */
export type NvsIntegerType = NvsNumberType | NvsBigintType;

/** A checksum as it is stored and as it should be. */
export interface NvsCrc {
  /** The checksum that is stored, 32 bits. */
  readonly stored: number;
  /** The checksum of the bytes as they are, 32 bits. */
  readonly computed: number;
}

/** One entry: a whole integer, or the header of a longer value. */
export interface NvsEntry {
  /** Index of the namespace, 0 to 255; entries of 0 name the namespaces. */
  readonly namespace: number;
  /** Type code, 0 to 255; see {@linkcode NVS_TYPES}. */
  readonly type: number;
  /** Entries that the value takes with its header, 1 to 126. */
  readonly span: number;
  /** Number of the chunk, 0 to 254, or {@linkcode NVS_NO_CHUNK}. */
  readonly chunk: number;
  /** Key of 1 to 15 bytes; read as "" when the field holds no key. */
  readonly key: string;
  /** Eight bytes: an integer, or size and checksum of what follows. */
  readonly data: Uint8Array;
}

const INTEGER_TYPES: ReadonlyMap<number, NvsIntegerType> = new Map(
  (["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"] as const)
    .map((name) => [NVS_TYPES[name], name]),
);
const ENTRY_CRC_OFFSET = 4;
const ERASED = 0xFF;
const SIGNED = 0x10;

/** The checksum of NVS: CRC-32 continued from 0xFFFFFFFF (FORMAT: two CRC-32 flavours). */
export function nvsChecksum(bytes: Uint8Array, seed = 0xFFFFFFFF): number {
  return crc32(bytes, seed);
}

/** The integer type of a type code, or undefined for the code of another type. */
export function nvsIntegerType(code: number): NvsIntegerType | undefined {
  return INTEGER_TYPES.get(code);
}

/**
 * The bytes of one entry, integers little-endian (FORMAT: NVS partition format):
 * namespace u8 | type u8 | span u8 | chunk u8 | CRC-32 u32 | key, NUL to 16 | data 8.
 *
 * @param entry The entry.
 * @returns 32 bytes.
 * @throws {SecureCertError} `ERR_LENGTH` for a key that is empty, longer than 15 bytes of UTF-8 or
 * holds a NUL.
 * @throws {RangeError} for a namespace, type, span or chunk outside 0 to 255, or data of another
 * length than 8.
 */
export function encodeNvsEntry(entry: NvsEntry): Bytes {
  if (entry.data.length !== 8) {
    throw new RangeError("Cannot encode NVS entry: need 8 bytes of data");
  }
  const bytes = new Uint8Array(NVS_ENTRY_SIZE);
  const fields = [entry.namespace, entry.type, entry.span, entry.chunk];
  fields.forEach((field, at) => {
    if (!Number.isInteger(field) || field < 0 || field > 0xFF) {
      throw new RangeError(`Cannot encode NVS entry: ${field} is not a byte`);
    }
    bytes[at] = field;
  });
  bytes.set(keyBytes(entry.key), NVS_KEY_OFFSET);
  bytes.set(entry.data, NVS_DATA_OFFSET);
  viewOf(bytes).setUint32(ENTRY_CRC_OFFSET, entryChecksum(bytes), true);
  return bytes;
}

/** An entry whose checksum is not checked yet. */
interface RawNvsEntry extends Decoded<NvsEntry> {
  /** The checksum over the entry without its checksum field. */
  readonly crc: NvsCrc;
}

/**
 * The entry at the start of the bytes, whatever its checksum.
 *
 * @param bytes The entry, and whatever follows it.
 * @returns The entry, its data a view of the input, and the 32 bytes it takes.
 * @throws {SecureCertError} `ERR_TRUNCATED` for less than 32 bytes.
 */
export function readNvsEntry(bytes: Uint8Array): RawNvsEntry {
  const whole = take(bytes, 0, NVS_ENTRY_SIZE, "NVS entry");
  const view = viewOf(whole);
  const value: NvsEntry = {
    namespace: view.getUint8(0),
    type: view.getUint8(1),
    span: view.getUint8(2),
    chunk: view.getUint8(3),
    key: readKey(whole.subarray(NVS_KEY_OFFSET, NVS_DATA_OFFSET)),
    data: whole.subarray(NVS_DATA_OFFSET),
  };
  const crc = { stored: view.getUint32(ENTRY_CRC_OFFSET, true), computed: entryChecksum(whole) };
  return { value, size: NVS_ENTRY_SIZE, crc };
}

/**
 * The data of an integer entry: the integer, little-endian in two's complement, then 0xFF.
 *
 * @param type The integer type.
 * @param value The integer, a number or a bigint.
 * @returns 8 bytes.
 * @throws {RangeError} when the value is not an integer or does not fit the type.
 */
export function encodeNvsInteger(type: NvsIntegerType, value: number | bigint): Bytes {
  const bits = bitsOf(type);
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new RangeError(`Cannot encode NVS integer: ${value} is not an exact integer`);
  }
  const integer = BigInt(value);
  const fitting = isSigned(type) ? BigInt.asIntN(bits, integer) : BigInt.asUintN(bits, integer);
  if (fitting !== integer) {
    throw new RangeError(`Cannot encode NVS integer: ${value} is out of range for ${type}`);
  }
  const data = new Uint8Array(8);
  viewOf(data).setBigUint64(0, BigInt.asUintN(64, integer), true);
  return data.fill(ERASED, bits / 8);
}

/**
 * The integer in an entry's data. What follows it is not looked at.
 *
 * @param type The integer type.
 * @param data The 8 bytes of data.
 * @returns A number for up to 32 bits, a bigint for 64.
 */
export function decodeNvsInteger(type: NvsNumberType, data: Uint8Array): number;
export function decodeNvsInteger(type: NvsBigintType, data: Uint8Array): bigint;
export function decodeNvsInteger(type: NvsIntegerType, data: Uint8Array): number | bigint {
  const bits = bitsOf(type);
  const word = viewOf(data).getBigUint64(0, true);
  const integer = isSigned(type) ? BigInt.asIntN(bits, word) : BigInt.asUintN(bits, word);
  return bits === 64 ? integer : Number(integer);
}

/** The low half of an integer's type code is its size in bytes. */
function bitsOf(type: NvsIntegerType): number {
  return (NVS_TYPES[type] & 0x0F) * 8;
}

function isSigned(type: NvsIntegerType): boolean {
  return (NVS_TYPES[type] & SIGNED) !== 0;
}

function entryChecksum(entry: Uint8Array): number {
  return nvsChecksum(
    entry.subarray(NVS_KEY_OFFSET),
    nvsChecksum(entry.subarray(0, ENTRY_CRC_OFFSET)),
  );
}

function keyBytes(key: string): Bytes {
  const bytes = encodeUtf8(key);
  if (bytes.length >= 1 && bytes.length <= NVS_MAX_KEY_LENGTH && !bytes.includes(0)) return bytes;
  throw new SecureCertError(
    "ERR_LENGTH",
    `Cannot encode NVS entry: key ${JSON.stringify(key)} has ${countOf(bytes.length, "byte")}; ` +
      `1 to ${NVS_MAX_KEY_LENGTH} without NUL are allowed`,
    { field: key },
  );
}

function readKey(field: Uint8Array): string {
  const bytes = field.subarray(0, Math.max(0, field.indexOf(0)));
  const key = decodeUtf8(bytes) ?? "";
  // A byte order mark is dropped by the text decoder; such a key would not be written again.
  return equalBytes(encodeUtf8(key), bytes) ? key : "";
}

/** Bytes of one page, a flash sector. */
export const NVS_PAGE_SIZE = 0x1000;
/** Entries of one page. */
export const NVS_PAGE_ENTRIES = 126;
/** The most bytes a chunk of a blob, or a string with its NUL, can have. */
export const NVS_MAX_CHUNK = 4000;

/** State words of a page, name to number (FORMAT: NVS partition format). */
export const NVS_PAGE_STATES = {
  /** Erased: nothing was written. */
  empty: 0xFFFFFFFF,
  /** Entries are being added. */
  active: 0xFFFFFFFE,
  /** No entry is added any more. */
  full: 0xFFFFFFFC,
  /** Its entries are being moved to another page. */
  freeing: 0xFFFFFFF8,
  /** Given up by the firmware. */
  corrupt: 0xFFFFFFF0,
  /** Given up by the firmware. */
  invalid: 0,
} as const;

/** The header of a page by itself. */
export type NvsPageHeader = Omit<NvsPage, "readable">;

/** A page to encode. */
interface NvsPageInput {
  /** Sequence number, 32 bits. */
  readonly sequence: number;
  /** Whether a later page follows. */
  readonly full: boolean;
  /** Entries and what follows them, 126 with all their payload at most. */
  readonly records: readonly NvsRecordInput[];
}

/** An entry to encode, with its data or with what follows it; the page fills in the rest. */
export type NvsRecordInput =
  & Omit<NvsEntry, "span" | "data">
  & (Pick<NvsEntry, "data"> | { readonly payload: Uint8Array });

/** Where the bitmap is in a page: two bits an entry, the first in the lowest bits. */
export const NVS_BITMAP_OFFSET = 32;
/** Where the first entry is in a page. */
export const NVS_FIRST_ENTRY = 64;

const HEADER_CRC_OFFSET = 28;
const VERSION_2 = 0xFE;

/** Entries that a value of this many bytes takes with its header. */
export function nvsSpan(payloadLength: number): number {
  return 1 + Math.ceil(payloadLength / NVS_ENTRY_SIZE);
}

/** Whether bytes of its own follow an entry of this type. */
export function hasNvsPayload(type: number): boolean {
  return type === NVS_TYPES.string || type === NVS_TYPES.blobV1 || type === NVS_TYPES.blobData;
}

/**
 * The bytes of a version 2 page, integers little-endian (FORMAT: NVS partition format):
 * state u32 | sequence u32 | version u8 | 0xFF x 19 | CRC-32 u32 | bitmap 32 | 126 entries of 32.
 *
 * @param page The page.
 * @returns 4096 bytes; what is not used is 0xFF.
 * @throws {SecureCertError} `ERR_LENGTH` for a key of a forbidden length.
 * @throws {RangeError} when the records take more than 126 entries.
 */
export function encodeNvsPage(page: NvsPageInput): Bytes {
  const bytes = new Uint8Array(NVS_PAGE_SIZE).fill(0xFF);
  const view = viewOf(bytes);
  view.setUint32(0, page.full ? NVS_PAGE_STATES.full : NVS_PAGE_STATES.active, true);
  view.setUint32(4, page.sequence, true);
  view.setUint8(8, VERSION_2);
  view.setUint32(HEADER_CRC_OFFSET, nvsChecksum(bytes.subarray(4, HEADER_CRC_OFFSET)), true);
  let slot = 0;
  for (const record of page.records) {
    const payload = "payload" in record ? record.payload : new Uint8Array();
    const data = "payload" in record ? payloadSummary(payload) : record.data;
    const end = slot + nvsSpan(payload.length);
    if (end > NVS_PAGE_ENTRIES) throw new RangeError("Cannot encode NVS page: overfull");
    const at = NVS_FIRST_ENTRY + slot * NVS_ENTRY_SIZE;
    bytes.set(encodeNvsEntry({ ...record, span: end - slot, data }), at);
    bytes.set(payload, at + NVS_ENTRY_SIZE);
    for (; slot < end; slot++) bytes[NVS_BITMAP_OFFSET + (slot >> 2)]! &= ~(1 << 2 * (slot & 3));
  }
  return bytes;
}

function payloadSummary(payload: Uint8Array): Bytes {
  const data = new Uint8Array(8).fill(0xFF);
  viewOf(data).setUint16(0, payload.length, true);
  viewOf(data).setUint32(4, nvsChecksum(payload), true);
  return data;
}

/**
 * The header of a page, whatever its checksum.
 *
 * @param bytes The page, 4096 bytes.
 * @param offset Where it starts in the image.
 * @returns The header.
 */
export function readNvsPageHeader(bytes: Uint8Array, offset: number): NvsPageHeader {
  const view = viewOf(bytes);
  const word = view.getUint32(0, true);
  const names = Object.keys(NVS_PAGE_STATES) as (keyof typeof NVS_PAGE_STATES)[];
  const state = names.find((name) => NVS_PAGE_STATES[name] === word) ?? "unknown";
  const crc = {
    stored: view.getUint32(HEADER_CRC_OFFSET, true),
    computed: nvsChecksum(bytes.subarray(4, HEADER_CRC_OFFSET)),
  };
  const inUse = state === "active" || state === "full" || state === "freeing";
  return {
    offset,
    state,
    sequence: view.getUint32(4, true),
    version: view.getUint8(8),
    crc,
    recognized: crc.stored === crc.computed ||
      inUse && bytes.subarray(9, HEADER_CRC_OFFSET).filter((byte) => byte !== 0xFF).length <= 1,
  };
}

/**
 * Why the firmware would not look into a page, in the order in which it checks.
 *
 * @param bytes The page, 4096 bytes.
 * @param page Its header.
 * @returns What is wrong, or undefined for a page to read or an erased one.
 */
export function nvsPageProblem(bytes: Uint8Array, page: NvsPageHeader): NvsProblem | undefined {
  const { offset, state, version, crc } = page;
  const problem = (kind: NvsProblem["kind"], message: string, at = 0): NvsProblem => ({
    kind,
    message: `page at ${offset} ${message}`,
    offset: offset + at,
    crc: kind === "page-checksum" ? crc : undefined,
  });
  if (state === "empty") {
    const dirty = bytes.findIndex((byte) => byte !== 0xFF);
    return dirty < 0 ? undefined : problem("page-dirty", "is marked empty and not erased", dirty);
  }
  if (crc.stored !== crc.computed) {
    return problem(
      "page-checksum",
      "has a header whose checksum does not match",
      HEADER_CRC_OFFSET,
    );
  }
  if (version < VERSION_2) return problem("page-version", "is of a version after 2", 8);
  if (state === "active" || state === "full" || state === "freeing") return undefined;
  return problem("page-state", `is in the state ${state}`);
}
