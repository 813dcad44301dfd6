import { type Bytes, viewOf } from "../../bytes/pack.ts";
import { encodeNvsEntry, NVS_ENTRY_SIZE, NVS_TYPES, nvsChecksum, type NvsEntry } from "./entry.ts";
import type { NvsPage, NvsProblem } from "./decoded.ts";

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
export interface NvsPageInput {
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

const CRC_OFFSET = 28;
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
  view.setUint32(CRC_OFFSET, nvsChecksum(bytes.subarray(4, CRC_OFFSET)), true);
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
    stored: view.getUint32(CRC_OFFSET, true),
    computed: nvsChecksum(bytes.subarray(4, CRC_OFFSET)),
  };
  const inUse = state === "active" || state === "full" || state === "freeing";
  return {
    offset,
    state,
    sequence: view.getUint32(4, true),
    version: view.getUint8(8),
    crc,
    recognized: crc.stored === crc.computed ||
      inUse && bytes.subarray(9, CRC_OFFSET).filter((byte) => byte !== 0xFF).length <= 1,
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
    return problem("page-checksum", "has a header whose checksum does not match", CRC_OFFSET);
  }
  if (version < VERSION_2) return problem("page-version", "is of a version after 2", 8);
  if (state === "active" || state === "full" || state === "freeing") return undefined;
  return problem("page-state", `is in the state ${state}`);
}
