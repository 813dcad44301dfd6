import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { concat, isFilledWith, viewOf } from "../../bytes/pack.ts";
import type { DecodedNvs, NvsProblem, NvsStoredItem } from "./decoded.ts";
import {
  decodeNvsInteger,
  NVS_DATA_OFFSET,
  NVS_ENTRY_SIZE,
  NVS_NO_CHUNK,
  NVS_PAGE_SIZE,
  NVS_TYPES,
  nvsChecksum,
  type NvsCrc,
  nvsIntegerType,
} from "./page.ts";
import {
  duplicateProblem,
  type NvsRecord,
  type ReadNvsPage,
  readNvsPage,
  recordIdentity,
} from "./records.ts";

/** Which value: its namespace and its key. */
type NvsName = Pick<NvsStoredItem, "namespace" | "key">;

/** Chunk numbers start at 0, or here when the firmware overwrote a blob whose chunks do. */
const SECOND_CHUNK_START = 0x80;
const RESERVED_NAMESPACES = [0, 0xFF];
/** Smaller partitions are readonly, which needs no reserve. */
const LEAST_WRITABLE = 0x3000;
/**
 * Bytes of an NVS that are read, four times what the largest partitions of credentials have: 64 pages of
 * small items take 11 MB of memory while they are read, and the largest flash 1.4 GB.
 */
const MOST_READ = 0x40000;

/**
 * The items of an NVS partition, version 1 or 2, not encrypted, as the firmware would return them.
 * Damage is reported in `problems`, and what the firmware would not accept is left out. Values are views
 * of the image, except for blobs of several chunks. The image has a multiple of 4096 bytes, of which no
 * more than 256 KiB are written; erased pages after these are not listed in `pages`.
 *
 * @category cust_flash and NVS
 * @throws {SecureCertError} `ERR_LENGTH` for any other length; `ERR_MAGIC` when no page has anything
 * like a page header, as in erased flash; `ERR_TOO_LARGE` for more than 256 KiB.
 */
export function decodeNvs(image: Uint8Array): DecodedNvs {
  const { cutAt, ...decoded } = decodeBoundedNvs(image);
  if (cutAt === undefined) return decoded;
  const message = `Cannot decode NVS: more than ${MOST_READ} bytes are written`;
  throw new SecureCertError("ERR_TOO_LARGE", message, { offset: cutAt });
}

function decodePages(image: Uint8Array): DecodedNvs {
  if (image.length === 0 || image.length % NVS_PAGE_SIZE !== 0) {
    throw new SecureCertError(
      "ERR_LENGTH",
      `Cannot decode NVS: ${
        countOf(image.length, "byte is", "bytes are")
      } not whole pages of ${NVS_PAGE_SIZE}`,
    );
  }
  const read = Array.from(
    { length: image.length / NVS_PAGE_SIZE },
    (_, index) => readNvsPage(image, index * NVS_PAGE_SIZE),
  );
  if (!read.some(({ page }) => page.recognized)) {
    throw new SecureCertError("ERR_MAGIC", "Cannot decode NVS: no page header", { offset: 0 });
  }
  const problems = read.flatMap((each) => each.problems);
  if (image.length >= LEAST_WRITABLE && read.every(({ page }) => page.readable)) {
    const message =
      "no page is in reserve; the firmware refuses a writable partition that ends here";
    problems.push({ kind: "reserve", message, offset: image.length });
  }
  const records = mergePages(read, problems);
  const names = readNamespaces(records, problems);
  const items = readItems(records, names, problems);
  return {
    items,
    namespaces: [...names.values()],
    pages: read.map(({ page }) => page),
    erased: read.flatMap(({ erased }) => erased),
    problems,
  };
}

/** What was read of an NVS image. */
export interface BoundedNvs extends DecodedNvs {
  /** Where reading ended, when something other than erased flash follows. */
  readonly cutAt?: number;
}

/**
 * As {@linkcode decodeNvs}, but of a longer image what is in its first 256 KiB.
 *
 * @throws {SecureCertError} `ERR_LENGTH` and `ERR_MAGIC` as {@linkcode decodeNvs}.
 */
export function decodeBoundedNvs(image: Uint8Array): BoundedNvs {
  if (image.length <= MOST_READ || image.length % NVS_PAGE_SIZE !== 0) return decodePages(image);
  const decoded = decodePages(image.subarray(0, MOST_READ));
  // Whether a page is in reserve shows only at the end.
  const problems = decoded.problems.filter(({ kind }) => kind !== "reserve");
  const isWhole = isFilledWith(image.subarray(MOST_READ), 0xFF);
  return { ...decoded, problems, cutAt: isWhole ? undefined : MOST_READ };
}

/**
 * The entries of all pages in the order of their sequence numbers. Of a key that is in several
 * pages the first counts, unless the newest entry of all has it: then power went out between writing
 * the new value and erasing the old. A version 2 blob counts before one of version 1.
 */
function mergePages(read: readonly ReadNvsPage[], problems: NvsProblem[]): NvsRecord[] {
  const ordered = read
    .filter(({ page }) => page.readable)
    .sort((a, b) => a.page.sequence - b.page.sequence);
  const newest = ordered.at(-1)?.records.at(-1);
  const chosen = new Map<string, NvsRecord>();
  const settled = new Set<NvsRecord>();
  for (const { page, records } of ordered) {
    for (const record of records) {
      if (page.state === "freeing") settled.add(record);
      const rival = chosen.get(typedIdentity(record));
      const wins = rival === undefined ||
        (rival.entry.type === record.entry.type
          ? record === newest && !settled.has(rival)
          : record.entry.type === NVS_TYPES.blobIndex);
      if (wins) chosen.set(typedIdentity(record), record);
    }
  }
  return ordered.flatMap(({ records }) => records).filter((record) => {
    const winner = chosen.get(typedIdentity(record))!;
    if (winner !== record) problems.push(duplicateProblem(record, winner));
    return winner === record;
  });
}

function typedIdentity(record: NvsRecord): string {
  const { type } = record.entry;
  return `${type === NVS_TYPES.blobV1 ? NVS_TYPES.blobIndex : type}/${recordIdentity(record)}`;
}

/** The names that the entries of namespace 0 give to the other namespaces. */
function readNamespaces(
  records: readonly NvsRecord[],
  problems: NvsProblem[],
): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const { entry, offset } of records.filter(({ entry }) => entry.namespace === 0)) {
    const index = entry.data[0]!;
    const named = names.get(index);
    const wrong = entry.type !== NVS_TYPES.u8
      ? `has type ${entry.type} instead of u8`
      : RESERVED_NAMESPACES.includes(index)
      ? `has the reserved index ${index}`
      : named !== undefined
      ? `has the index ${index} of ${JSON.stringify(named)}`
      : undefined;
    if (wrong === undefined) names.set(index, entry.key);
    else {
      const message = `namespace ${JSON.stringify(entry.key)} at ${offset} ${wrong}`;
      problems.push({ kind: "namespace", message, offset, namespace: entry.key });
    }
  }
  return names;
}

function readItems(
  records: readonly NvsRecord[],
  names: ReadonlyMap<number, string>,
  problems: NvsProblem[],
): NvsStoredItem[] {
  const items: NvsStoredItem[] = [];
  const chunks = new Map(
    records.filter(isChunk).map((record) => [recordIdentity(record), record]),
  );
  const nameless = new Map<number, NvsRecord>();
  for (const record of records) {
    const { namespace: index, key } = record.entry;
    const namespace = names.get(index);
    if (index === 0 || isChunk(record)) continue;
    if (namespace === undefined) {
      if (!nameless.has(index)) nameless.set(index, record);
      continue;
    }
    const item = readItem(record, { namespace, key }, chunks, problems);
    if (item !== undefined) items.push(item);
  }
  for (const [index, { offset }] of nameless) {
    const message = `entries from ${offset} on have the namespace ${index}, which has no name`;
    problems.push({ kind: "namespace", message, offset });
  }
  for (const { entry, offset } of chunks.values()) {
    const message = `chunk ${entry.chunk} at ${offset} belongs to no blob`;
    problems.push({ kind: "blob", message, offset, key: entry.key });
  }
  return items;
}

/** The item whose first or only entry this is; takes the chunks that belong to it out of the map. */
function readItem(
  record: NvsRecord,
  name: NvsName,
  chunks: Map<string, NvsRecord>,
  problems: NvsProblem[],
): NvsStoredItem | undefined {
  const { entry, offset } = record;
  const integer = nvsIntegerType(entry.type);
  if (integer !== undefined) {
    const place = placeOf(offset + NVS_DATA_OFFSET, record.crc);
    return integer === "u64" || integer === "i64"
      ? { ...name, type: integer, value: decodeNvsInteger(integer, entry.data), ...place }
      : { ...name, type: integer, value: decodeNvsInteger(integer, entry.data), ...place };
  }
  const isBlobV2 = entry.type === NVS_TYPES.blobIndex;
  const parts = isBlobV2 ? takeChunks(record, chunks) : [record];
  const crcs = parts.map(payloadCrc);
  const damaged = crcs.findIndex(({ stored, computed }) => stored !== computed);
  const report = (kind: NvsProblem["kind"], at: number, what: string, crc?: NvsCrc) => {
    const message = `value of ${JSON.stringify(name.key)} at ${at} ${what}`;
    problems.push({ kind, message, offset: at, ...name, crc });
  };
  if (damaged >= 0) {
    const at = parts[damaged]!.offset + NVS_ENTRY_SIZE;
    report("data-checksum", at, "has a checksum that does not match", crcs[damaged]);
    return undefined;
  }
  if (isBlobV2 && !isComplete(record, parts)) {
    report("blob", offset, "lacks chunks that its index names");
    return undefined;
  }
  const value = parts.length === 1 ? parts[0]!.payload : concat(...parts.map((p) => p.payload));
  const isText = entry.type === NVS_TYPES.string;
  if (isText && value.at(-1) !== 0) report("string", offset, "does not end in NUL");
  const first = parts[0];
  const place = placeOf((first?.offset ?? offset) + NVS_ENTRY_SIZE, crcs[0] ?? record.crc);
  return { ...name, type: isText ? "string" : "blob", value, ...place };
}

function placeOf(offset: number, crc: NvsCrc): Pick<NvsStoredItem, "offset" | "page" | "crc"> {
  return { offset, page: Math.floor(offset / NVS_PAGE_SIZE), crc };
}

/** The chunks that an index names, up to the first that is missing. */
function takeChunks(record: NvsRecord, chunks: Map<string, NvsRecord>): NvsRecord[] {
  const { namespace, key, data } = record.entry;
  const [count, start] = [data[4]!, data[5]!];
  const parts: NvsRecord[] = [];
  for (let chunk = start; chunk < Math.min(start + count, NVS_NO_CHUNK); chunk++) {
    const identity = `${namespace}/${chunk}/${key}`;
    const part = chunks.get(identity);
    if (part === undefined) break;
    parts.push(part);
    chunks.delete(identity);
  }
  return parts;
}

function isComplete({ entry }: NvsRecord, parts: readonly NvsRecord[]): boolean {
  const [count, start] = [entry.data[4]!, entry.data[5]!];
  const size = viewOf(entry.data).getUint32(0, true);
  return (start === 0 && count <= SECOND_CHUNK_START || start === SECOND_CHUNK_START) &&
    parts.length === count &&
    parts.reduce((sum, { payload }) => sum + payload.length, 0) === size;
}

function isChunk({ entry }: NvsRecord): boolean {
  return entry.type === NVS_TYPES.blobData;
}

function payloadCrc({ entry, payload }: NvsRecord): NvsCrc {
  return { stored: viewOf(entry.data).getUint32(4, true), computed: nvsChecksum(payload) };
}
