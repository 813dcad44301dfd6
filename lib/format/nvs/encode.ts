import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat, viewOf } from "../../bytes/pack.ts";
import { isPem } from "../../bytes/pem.ts";
import { decodeUtf8, encodeUtf8 } from "../../bytes/text.ts";
import type { Credentials } from "../credentials.ts";
import { DS_IV_LENGTH } from "../peripheral.ts";
import {
  NVS_CREDENTIAL_NAMESPACES,
  NVS_CREDENTIALS,
  type NvsCredentialPart,
} from "./credentials.ts";
import type { NvsItem } from "./decoded.ts";
import {
  encodeNvsInteger,
  encodeNvsPage,
  NVS_ENTRY_SIZE,
  NVS_MAX_CHUNK,
  NVS_NO_CHUNK,
  NVS_PAGE_ENTRIES,
  NVS_PAGE_SIZE,
  NVS_TYPES,
  type NvsIntegerType,
  type NvsRecordInput,
  nvsSpan,
} from "./page.ts";

/** The smallest partition in bytes that the firmware can write to, and what Espressif's tool makes. */
export const DEFAULT_NVS_SIZE = 0x3000;
/** The longest string in bytes with its NUL (FORMAT: NVS partition format, limits). */
const NVS_MAX_STRING: number = NVS_MAX_CHUNK;
/** The longest blob in bytes: 127 chunks of one page each. */
const NVS_MAX_BLOB: number = 127 * NVS_MAX_CHUNK;

const MAX_NAMESPACES = 254;

/** The entries of a page while they are being laid out. */
interface Draft {
  readonly records: NvsRecordInput[];
  used: number;
}

/** Who an entry belongs to: the index of its namespace, and its key. */
type Owner = Pick<NvsRecordInput, "namespace" | "key">;

/**
 * An NVS partition of version 2, not encrypted, of `size` bytes, 0x3000 by default, as Espressif's
 * current generator lays it out (FORMAT: NVS partition format): items in their order, a namespace named
 * before its first item, used-up pages marked full, unused ones erased, one in reserve.
 *
 * @category cust_flash and NVS
 * @throws {SecureCertError} `ERR_TOO_LARGE` for more than 254 namespaces, or when the items need more
 * pages, with how many and the first item without room; `ERR_LENGTH` for a string, blob, key or
 * namespace of a length that NVS does not allow; `RangeError` for an integer outside its type, a key
 * given twice or an impossible size.
 */
export function encodeNvs(
  items: readonly NvsItem[],
  options: {
    /** Size of the partition in bytes, a multiple of 0x1000. @default 0x3000 */
    readonly size?: number;
    /**
     * The partition table marks the partition readonly, as it must one of 0x1000 or 0x2000 bytes;
     * these keep no page in reserve. @default false
     */
    readonly readonly?: boolean;
  } = {},
): Bytes {
  const { size = DEFAULT_NVS_SIZE, readonly = false } = options;
  const room = roomInPages(size, readonly);
  const pages: Draft[] = [newDraft()];
  const namespaces = new Map<string, number>();
  const seen = new Set<string>();
  let firstWithoutRoom = -1;
  items.forEach((item, index) => {
    const name = `${item.namespace}\0${item.key}`;
    if (seen.has(name)) throw new RangeError(`Cannot encode NVS: ${item.key} is given twice`);
    seen.add(name);
    putItem(pages, { namespace: openNamespace(pages, namespaces, item), key: item.key }, item);
    if (pages.length > room && firstWithoutRoom < 0) firstWithoutRoom = index;
  });
  if (pages.length > room) {
    throw tooLarge(pages.length, room, size, firstWithoutRoom, items[firstWithoutRoom]!);
  }
  const last = pages.length - 1;
  const encoded = pages.map(({ records }, sequence) =>
    encodeNvsPage({ sequence, full: sequence < last, records })
  );
  return concat(...encoded, new Uint8Array(size - encoded.length * NVS_PAGE_SIZE).fill(0xFF));
}

function roomInPages(size: number, readonly: boolean): number {
  const least = readonly ? NVS_PAGE_SIZE : DEFAULT_NVS_SIZE;
  if (!Number.isInteger(size) || size < least || size % NVS_PAGE_SIZE !== 0) {
    throw new RangeError(
      `Cannot encode NVS: size must be a multiple of ${NVS_PAGE_SIZE} from ${least} on, is ${size}`,
    );
  }
  return size / NVS_PAGE_SIZE - (size < DEFAULT_NVS_SIZE ? 0 : 1);
}

function openNamespace(
  pages: Draft[],
  namespaces: Map<string, number>,
  { namespace }: NvsItem,
): number {
  const known = namespaces.get(namespace);
  if (known !== undefined) return known;
  const index = namespaces.size + 1;
  if (index > MAX_NAMESPACES) {
    throw new SecureCertError(
      "ERR_TOO_LARGE",
      `Cannot encode NVS: namespace "${namespace}" is one more than ${MAX_NAMESPACES}`,
    );
  }
  namespaces.set(namespace, index);
  putInteger(pages, { namespace: 0, key: namespace }, "u8", index);
  return index;
}

function putItem(pages: Draft[], owner: Owner, item: NvsItem): void {
  switch (item.type) {
    case "string":
      return putString(pages, owner, terminated(item));
    case "blob":
      checkLength(item, item.value.length, NVS_MAX_BLOB);
      return putBlob(pages, owner, item.value);
    default:
      return putInteger(pages, owner, item.type, item.value);
  }
}

function putInteger(
  pages: Draft[],
  owner: Owner,
  type: NvsIntegerType,
  value: number | bigint,
): void {
  const data = encodeNvsInteger(type, value);
  put(pageWithRoom(pages, 1), { ...owner, type: NVS_TYPES[type], chunk: NVS_NO_CHUNK, data });
}

/** A string never takes the last entry of a page, unless it takes all of them. */
function putString(pages: Draft[], owner: Owner, payload: Uint8Array): void {
  const room = Math.min(nvsSpan(payload.length) + 1, NVS_PAGE_ENTRIES);
  const chunk = NVS_NO_CHUNK;
  put(pageWithRoom(pages, room), { ...owner, type: NVS_TYPES.string, chunk, payload });
}

/** A blob fills page after page; a chunk may be empty when there is room only for its header. */
function putBlob(pages: Draft[], owner: Owner, value: Uint8Array): void {
  let at = 0;
  let chunk = 0;
  do {
    const page = pageWithRoom(pages, 1);
    const room = (NVS_PAGE_ENTRIES - page.used - 1) * NVS_ENTRY_SIZE;
    const payload = value.subarray(at, at + room);
    put(page, { ...owner, type: NVS_TYPES.blobData, chunk, payload });
    at += payload.length;
    chunk++;
  } while (at < value.length);
  const data = new Uint8Array(8).fill(0xFF);
  viewOf(data).setUint32(0, value.length, true);
  viewOf(data).setUint16(4, chunk, true);
  put(pageWithRoom(pages, 1), { ...owner, type: NVS_TYPES.blobIndex, chunk: NVS_NO_CHUNK, data });
}

function newDraft(): Draft {
  return { records: [], used: 0 };
}

/** The page being filled, or a new one when it has less than so many entries left. */
function pageWithRoom(pages: Draft[], entries: number): Draft {
  const last = pages.at(-1)!;
  if (last.used + entries <= NVS_PAGE_ENTRIES) return last;
  const next = newDraft();
  pages.push(next);
  return next;
}

function put(page: Draft, record: NvsRecordInput): void {
  page.records.push(record);
  page.used += "payload" in record ? nvsSpan(record.payload.length) : 1;
}

function terminated(item: Extract<NvsItem, { readonly type: "string" }>): Uint8Array {
  const text = typeof item.value === "string" ? encodeUtf8(item.value) : item.value;
  const bytes = text.at(-1) === 0 ? text : concat(text, new Uint8Array(1));
  checkLength(item, bytes.length, NVS_MAX_STRING);
  return bytes;
}

function checkLength({ namespace, key, type }: NvsItem, length: number, most: number): void {
  if (length <= most) return;
  throw new SecureCertError(
    "ERR_LENGTH",
    `Cannot encode NVS: ${type} ${namespace}/${key} has ${countOf(length, "byte")}` +
      `${type === "string" ? " with its NUL" : ""}, at most ${most} are allowed`,
    { field: key },
  );
}

function tooLarge(
  pages: number,
  room: number,
  size: number,
  entry: number,
  { namespace, key }: NvsItem,
): SecureCertError {
  return new SecureCertError(
    "ERR_TOO_LARGE",
    `Cannot encode NVS: need ${countOf(pages, "page")} of ${NVS_PAGE_SIZE} bytes, ${
      pages - room
    } more than a ` +
      `partition of ${size} has for items; the first without room is ${namespace}/${key}`,
    { entry, field: key },
  );
}

/**
 * An NVS image, byte for byte as Espressif's tool writes it (FORMAT: nvs flavour): `ca_cert`, `dev_cert`
 * and `priv_key` as strings, `cipher_c` and `iv` as blobs, `rsa_len` u16, `ds_key_id` u8. PEM text gets
 * a NUL at its end where there is none. The image is of `size` bytes, 0x3000 by default.
 *
 * @category cust_flash and NVS
 * @throws {SecureCertError} `ERR_PEM` for a certificate or key that is not PEM text, because NVS strings
 * hold no DER; `ERR_LENGTH` for one of more than 4000 bytes, or an IV that is not 16; `ERR_TOO_LARGE`;
 * `RangeError` for an impossible size, or a key length or number out of range.
 */
export function encodeNvsCredentials(
  credentials: Credentials,
  options: {
    /** Size of the partition in bytes, a multiple of 0x1000 and at least 0x3000. @default 0x3000 */
    readonly size?: number;
    /** The partition is mounted readonly, so that it can be smaller and needs no reserve. @default false */
    readonly readonly?: boolean;
    /** Namespace of the keys. @default "esp_secure_cert" */
    readonly namespace?: "esp_secure_cert" | "pre_prov";
  } = {},
): Bytes {
  const { size = DEFAULT_NVS_SIZE, readonly = false } = options;
  const { namespace = NVS_CREDENTIAL_NAMESPACES[0] } = options;
  const { ds, ...texts } = credentials;
  if (ds !== undefined && ds.iv.length !== DS_IV_LENGTH) {
    throw new SecureCertError(
      "ERR_LENGTH",
      `Cannot encode NVS: iv has ${countOf(ds.iv.length, "byte")} instead of ${DS_IV_LENGTH}`,
      { field: "iv" },
    );
  }
  const values = { ...texts, ...ds };
  const items: NvsItem[] = [];
  for (const part of Object.keys(NVS_CREDENTIALS) as NvsCredentialPart[]) {
    const value = values[part];
    if (value === undefined) continue;
    const { key, type } = NVS_CREDENTIALS[part];
    items.push(
      type === "string"
        ? { namespace, key, type, value: pemText(key, value as Uint8Array) }
        : { namespace, key, type, value } as NvsItem,
    );
  }
  return encodeNvs(items, { size, readonly });
}

/** PEM text with one NUL at its end, as the reference writes it and the firmware expects it. */
function pemText(key: string, bytes: Uint8Array): Uint8Array {
  const text = bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes;
  if (!text.includes(0) && isPem(decodeUtf8(text) ?? "")) return concat(text, new Uint8Array(1));
  throw new SecureCertError("ERR_PEM", `Cannot encode NVS: ${key} is not PEM text`, { field: key });
}
