import { countOf } from "../../bytes/errors.ts";
import { viewOf } from "../../bytes/pack.ts";
import {
  hasNvsPayload,
  NVS_BITMAP_OFFSET,
  NVS_ENTRY_SIZE,
  NVS_FIRST_ENTRY,
  NVS_NO_CHUNK,
  NVS_PAGE_ENTRIES,
  NVS_PAGE_SIZE,
  NVS_TYPES,
  type NvsCrc,
  type NvsEntry,
  nvsIntegerType,
  type NvsPageHeader,
  nvsPageProblem,
  nvsSpan,
  readNvsEntry,
  readNvsPageHeader,
} from "./page.ts";
import type { NvsErased, NvsPage, NvsProblem } from "./decoded.ts";

/** One sound entry of a page, with the bytes that follow it. */
export interface NvsRecord {
  /** The entry. */
  readonly entry: NvsEntry;
  /** Where the entry starts, in bytes from the start of the image. */
  readonly offset: number;
  /** Checksum of the entry. */
  readonly crc: NvsCrc;
  /** The bytes of a string, a version 1 blob or a chunk; empty for the other types. */
  readonly payload: Uint8Array;
}

/** What {@linkcode readNvsPage} found. */
export interface ReadNvsPage {
  /** The header. */
  readonly page: NvsPage;
  /** The entries that the firmware would find, in their order, without those of a hidden page. */
  readonly records: readonly NvsRecord[];
  /** The entries that it skips and that still hold bytes, without those of a hidden page. */
  readonly erased: readonly NvsErased[];
  /** What is wrong. */
  readonly problems: readonly NvsProblem[];
}

/** What the bitmap says, as far as the firmware would believe it. */
interface Bitmap {
  readonly slots: Uint8Array;
  /** Entries from here on are not looked at. */
  readonly limit: number;
  readonly hidden: boolean;
  readonly problems: readonly NvsProblem[];
}

const SLOT = { erased: 0, illegal: 1, written: 2, empty: 3 } as const;
const ERASED_WORD = 0xFFFFFFFF;

/**
 * The entries of a page as the firmware finds them when it starts. Never throws for content; looks
 * at each of the 126 entries once.
 *
 * @param image An image of whole pages.
 * @param offset Where the page starts.
 * @returns Its header, its sound entries, and what is wrong.
 */
export function readNvsPage(image: Uint8Array, offset: number): ReadNvsPage {
  const bytes = image.subarray(offset, offset + NVS_PAGE_SIZE);
  const header = readNvsPageHeader(bytes, offset);
  const problem = nvsPageProblem(bytes, header);
  const unread = { page: { ...header, readable: false }, records: [], erased: [] };
  if (problem !== undefined) return { ...unread, problems: [problem] };
  if (header.state === "empty") return { ...unread, problems: [] };
  const bitmap = readBitmap(bytes, header);
  if (bitmap.hidden) return { ...unread, problems: bitmap.problems };
  const read = readRecords(bytes, offset, bitmap);
  const kept = withoutDuplicates(read.records, header.state === "active");
  return {
    page: { ...header, readable: true },
    records: kept.records,
    erased: readErasedEntries(bytes, offset, (slot) => bitmap.slots[slot] === SLOT.written),
    problems: [...bitmap.problems, ...read.problems, ...kept.problems],
  };
}

/** What makes two entries of a page the same for the firmware, whatever their types. */
export function recordIdentity({ entry }: NvsRecord): string {
  return `${entry.namespace}/${entry.chunk}/${entry.key}`;
}

/** The finding for an entry that is left out because another has its key. */
export function duplicateProblem({ entry, offset }: NvsRecord, of: NvsRecord): NvsProblem {
  return {
    kind: "duplicate",
    message: `entry at ${offset} has the key ${
      JSON.stringify(entry.key)
    } of the entry at ${of.offset}`,
    offset,
    key: entry.key,
  };
}

/**
 * The firmware reads an active page up to its first empty entry, steps over entries that were written
 * and not marked, and gives the page up at an illegal mark; of a full page it takes what is marked.
 */
function readBitmap(bytes: Uint8Array, page: NvsPageHeader): Bitmap {
  const slots = Uint8Array.from(
    { length: NVS_PAGE_ENTRIES },
    (_, slot) => bytes[NVS_BITMAP_OFFSET + (slot >> 2)]! >> 2 * (slot & 3) & 3,
  );
  const problems: NvsProblem[] = [];
  const report = (slot: number, what: string) =>
    problems.push({
      kind: "bitmap",
      message: `page at ${page.offset} ${what}`,
      offset: page.offset + NVS_BITMAP_OFFSET + (slot >> 2),
    });
  const illegal = slots.indexOf(SLOT.illegal);
  if (page.state !== "active") {
    if (illegal >= 0) report(illegal, `has an illegal mark for entry ${illegal}`);
    return { slots, limit: NVS_PAGE_ENTRIES, hidden: false, problems };
  }
  const empty = slots.indexOf(SLOT.empty);
  let limit = empty < 0 ? NVS_PAGE_ENTRIES : empty;
  if (illegal >= 0 && illegal < limit) {
    report(illegal, `has an illegal mark for entry ${illegal} and is given up`);
    return { slots, limit, hidden: true, problems };
  }
  const view = viewOf(bytes);
  const wordOf = (slot: number) => view.getUint32(NVS_FIRST_ENTRY + slot * NVS_ENTRY_SIZE, true);
  while (limit < NVS_PAGE_ENTRIES && wordOf(limit) !== ERASED_WORD) slots[limit++] = SLOT.erased;
  if (empty >= 0 && limit > empty) report(empty, `has entry ${empty} written and not marked so`);
  const beyond = slots.subarray(limit).findIndex((mark) => mark !== SLOT.empty);
  if (beyond >= 0) report(limit + beyond, `marks entry ${limit + beyond} after an empty one`);
  return { slots, limit, hidden: false, problems };
}

function readRecords(bytes: Uint8Array, offset: number, { slots, limit }: Bitmap): {
  records: NvsRecord[];
  problems: NvsProblem[];
} {
  const records: NvsRecord[] = [];
  const problems: NvsProblem[] = [];
  for (let slot = 0; slot < limit;) {
    if (slots[slot] !== SLOT.written) {
      slot++;
      continue;
    }
    const at = NVS_FIRST_ENTRY + slot * NVS_ENTRY_SIZE;
    const { value: entry, crc } = readNvsEntry(bytes.subarray(at));
    const wrong = contradiction(entry, slot, slots);
    const place = { offset: offset + at, key: wrong === undefined ? entry.key : undefined };
    if (crc.stored !== crc.computed) {
      const count = countDamaged(bytes, slots.subarray(0, limit), slot);
      const message =
        `${count === 1 ? "entry" : countOf(count, "entry", "entries")} at ${
          offset + at
        }: checksum ` +
        "does not match";
      problems.push({ kind: "entry-checksum", message, ...place, crc });
      slot += count;
    } else if (wrong === undefined) {
      records.push({ entry, offset: offset + at, crc, payload: payloadAt(bytes, at, entry) });
      slot += entry.span;
    } else {
      problems.push({ kind: "entry", message: `entry at ${offset + at} ${wrong}`, ...place });
      slot++;
    }
  }
  return { records, problems };
}

/** The payload of a damaged entry looks like more of them; together they are one finding. */
function countDamaged(bytes: Uint8Array, slots: Uint8Array, first: number): number {
  let slot = first + 1;
  for (; slot < slots.length && slots[slot] === SLOT.written; slot++) {
    const { crc } = readNvsEntry(bytes.subarray(NVS_FIRST_ENTRY + slot * NVS_ENTRY_SIZE));
    if (crc.stored === crc.computed) break;
  }
  return slot - first;
}

function payloadAt(bytes: Uint8Array, at: number, entry: NvsEntry): Uint8Array {
  const size = hasNvsPayload(entry.type) ? viewOf(entry.data).getUint16(0, true) : 0;
  return bytes.subarray(at + NVS_ENTRY_SIZE, at + NVS_ENTRY_SIZE + size);
}

/** What the firmware finds wrong with an entry whose checksum is right. */
function contradiction(entry: NvsEntry, slot: number, slots: Uint8Array): string | undefined {
  const { type, span, chunk, data, key } = entry;
  if (key === "") return "has no key of 1 to 15 bytes of UTF-8";
  if (type === NVS_TYPES.blobData ? chunk === NVS_NO_CHUNK : chunk !== NVS_NO_CHUNK) {
    return `has chunk number ${chunk}`;
  }
  if (!hasNvsPayload(type)) {
    if (nvsIntegerType(type) === undefined && type !== NVS_TYPES.blobIndex) {
      return `has the unknown type ${type}`;
    }
    return span === 1 ? undefined : `has span ${span} instead of 1`;
  }
  const needed = nvsSpan(viewOf(data).getUint16(0, true));
  if (span !== needed) return `has span ${span}, its size needs ${needed}`;
  if (slot + span > NVS_PAGE_ENTRIES) return `with span ${span} reaches past the page`;
  const marks = slots.subarray(slot, slot + span);
  return marks.every((mark) => mark === SLOT.written) ? undefined : "is not marked in full";
}

/** In an active page the last of several entries with one key counts, in any other the first. */
function withoutDuplicates(records: readonly NvsRecord[], active: boolean): {
  records: NvsRecord[];
  problems: NvsProblem[];
} {
  const chosen = new Map<string, NvsRecord>();
  for (const record of records) {
    const identity = recordIdentity(record);
    if (active || !chosen.has(identity)) chosen.set(identity, record);
  }
  const problems: NvsProblem[] = [];
  const kept = records.filter((record) => {
    const winner = chosen.get(recordIdentity(record))!;
    if (winner !== record) problems.push(duplicateProblem(record, winner));
    return winner === record;
  });
  return { records: kept, problems };
}

/**
 * What is left in a page of entries that are not marked as written. Nothing is written over in a page
 * of NVS until all of it is erased: deleting a key changes only the bitmap.
 *
 * @param bytes The page.
 * @param offset Where it starts in the image.
 * @param isWritten Whether an entry is one that the firmware reads.
 * @returns The entries that hold other bytes than 0xFF; those without a sound header as one.
 */
function readErasedEntries(
  bytes: Uint8Array,
  offset: number,
  isWritten: (slot: number) => boolean,
): NvsErased[] {
  const erased: NvsErased[] = [];
  const at = (slot: number) => NVS_FIRST_ENTRY + slot * NVS_ENTRY_SIZE;
  const isLeft = (slot: number) =>
    slot < NVS_PAGE_ENTRIES && !isWritten(slot) &&
    bytes.subarray(at(slot), at(slot + 1)).some((byte) => byte !== 0xFF);
  for (let slot = 0; slot < NVS_PAGE_ENTRIES;) {
    if (!isLeft(slot)) {
      slot++;
      continue;
    }
    const first = slot;
    const header = headerAt(bytes, at(first));
    const end = first + (header?.span ?? NVS_PAGE_ENTRIES);
    do slot++; while (
      slot < end && isLeft(slot) &&
      (header !== undefined || headerAt(bytes, at(slot)) === undefined)
    );
    erased.push({
      offset: offset + at(first),
      key: header?.key,
      bytes: bytes.subarray(at(first), at(slot)),
    });
  }
  return erased;
}

function headerAt(bytes: Uint8Array, at: number): { key: string; span: number } | undefined {
  const { value: { key, span }, crc } = readNvsEntry(bytes.subarray(at));
  return crc.stored === crc.computed && key !== "" ? { key, span } : undefined;
}
