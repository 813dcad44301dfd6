import { type Bytes, concat, equalBytes, isFilledWith, viewOf } from "../bytes/pack.ts";
import { decodeUtf8, encodeUtf8, parseBase64Url, parseHex } from "../bytes/text.ts";
import type { PrivateKey } from "../crypto/keys/encoding.ts";
import {
  findPrivateKey,
  indexOfBytes,
  isSecretOf,
  secretNumbers,
  secretSize,
} from "../crypto/keys/find.ts";
import { isProtectedKey } from "../crypto/keys/keys.ts";
import { publicKeyOf } from "../crypto/x509/certificate.ts";
import { type Finding, finding, type FindingPlace } from "../findings/findings.ts";
import { keyStorageOf, TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import type { NvsErased, NvsStoredItem } from "../format/nvs/decoded.ts";
import { NVS_CREDENTIAL_NAMESPACES, NVS_CREDENTIALS } from "../format/nvs/credentials.ts";
import { NVS_DATA_OFFSET, NVS_ENTRY_SIZE } from "../format/nvs/page.ts";
import { tlvSize } from "../format/tlv.ts";
import { hidesKey, type ReadEntry } from "../image/contents/contents.ts";
import type { CheckOptions, ReadImage } from "./check.ts";

const { ESP_SECURE_CERT_PRIV_KEY_TLV: KEY, ESP_SECURE_CERT_TLV_SEC_CFG: SECURITY_CONFIG } =
  TLV_TYPES;
const PRIVATE_KEY = NVS_CREDENTIALS.privateKey.key;

/**
 * How many values are compared with a public key, at two operations of 0.3 to 2 ms each: more values of
 * exactly this length than any image needs, in less than a second.
 */
const MOST_COMPARED = 256;

/** A part of an image in which the firmware reads no private key. */
interface Part {
  /** As messages name it. */
  readonly title: string;
  /** Where it is; for bytes outside all values, where the key is. */
  readonly place: FindingPlace;
  /** The bytes of the image that it takes, searched or not; absent when it is not one piece. */
  readonly range?: Uint8Array;
  /** What is searched for keys. */
  readonly bytes: readonly Uint8Array[];
  /** What may be a number of the private key from its first byte to its last. */
  readonly values: readonly Uint8Array[];
  /** What may be one from any byte on. */
  readonly free?: Uint8Array;
  /** What is wrong with it, whatever its bytes are. */
  readonly problem?: string;
}

/** A secret that is known, and must not be in the image. */
export interface Secret {
  readonly what: string;
  readonly bytes: Uint8Array;
}

/**
 * Private key bytes where the firmware never reads them, one finding for each part of the image: an error
 * where the key mode hides the key. The rule for what counts is that of {@linkcode findPrivateKey}, and
 * the numbers of the device's own key.
 */
export async function checkExposed(image: ReadImage, options: CheckOptions): Promise<Finding[]> {
  const hides = hidesKey(image.entries.map(({ raw }) => raw.value));
  const secrets = knownSecrets(image, options);
  // Most images hold none, which one search of all their bytes shows.
  const present = secrets.filter(({ bytes }) => indexOfBytes(image.bytes, bytes) >= 0);
  const findNumber = numberSearch(image, secrets);
  const findings: Finding[] = [];
  for (const part of partsOf(image, hides)) {
    const found = findIn(part, image.bytes, { all: secrets, present }) ?? await findNumber(part);
    if (found === undefined) continue;
    const message = `${part.title} ${found.message}; anyone who reads the flash has it`;
    const place = { ...part.place, offset: part.place.offset ?? found.offset };
    findings.push(finding("KEY_EXPOSED", message, place, hides ? "error" : "warning"));
  }
  return findings;
}

/** What is shown in the place of a private key. */
export const HIDDEN = "(hidden: a private key)";

/** A text, unless it holds a private key. */
export function withoutKeys(text: string): string {
  return findPrivateKey(encodeUtf8(text)) === undefined ? text : HIDDEN;
}

/** What is exposed. */
interface Exposure {
  readonly message: string;
  /** Bytes from the start of the image. */
  readonly offset?: number;
}

/** The secrets that are known, and those whose bytes are somewhere in the image as they are. */
interface Sought {
  readonly all: readonly Secret[];
  readonly present: readonly Secret[];
}

function findIn(
  { problem, bytes }: Part,
  image: Uint8Array,
  { all, present }: Sought,
): Exposure | undefined {
  if (problem !== undefined) return { message: problem };
  for (const each of bytes) {
    const isInImage = each.buffer === image.buffer;
    const found = findSecret(each, isInImage ? present : all);
    if (found === undefined) continue;
    const { what, at } = found;
    const offset = isInImage ? each.byteOffset - image.byteOffset + at : undefined;
    return { message: `holds ${what}`, offset };
  }
  return undefined;
}

/**
 * The first private key among some bytes, or else a secret that is known.
 *
 * @returns What it is, in words, and where.
 */
export function findSecret(
  bytes: Uint8Array,
  secrets: readonly Secret[],
): { readonly what: string; readonly at: number } | undefined {
  const key = findPrivateKey(bytes);
  if (key !== undefined) return { what: `a private key in ${key.form}`, at: key.at };
  for (const { what, bytes: secret } of secrets) {
    const at = indexOfBytes(bytes, secret);
    if (at >= 0) return { what, at };
  }
  return undefined;
}

/** What is known of the secrets of an image. */
function knownSecrets(
  { credentials: { keyEntry, dsData } }: ReadImage,
  { hmacKey }: CheckOptions,
): Secret[] {
  const secrets = secretsOf(keyEntry?.key, hmacKey);
  if (!dsData?.opened?.checks.digest) return secrets;
  return [...secrets, ...bothWays({ what: NUMBER, bytes: dsData.opened.privateExponent })];
}

/** The secrets that a private key and an HMAC key are, in both byte orders. */
export function secretsOf(key: PrivateKey | undefined, hmacKey: Uint8Array | undefined): Secret[] {
  const numbers = key === undefined ? [] : secretNumbers(key);
  return [
    ...numbers.flatMap((bytes) => bothWays({ what: NUMBER, bytes })),
    ...hmacKey === undefined ? [] : bothWays({ what: HMAC_KEY, bytes: hmacKey }),
  ];
}

/** Nothing but zeros or ones is not a secret, and much of an image is filled with them. */
function bothWays({ what, bytes }: Secret): Secret[] {
  return isBlank(bytes) ? [] : [{ what, bytes }, { what, bytes: bytes.slice().reverse() }];
}

const HMAC_KEY = "the HMAC key of the eFuse";
const NUMBER = "the secret number of the device's private key";

/** Looks for a value that is a number of the device's private key. */
function numberSearch(
  { credentials: { deviceCerts: [certificate] } }: ReadImage,
  secrets: readonly Secret[],
): (part: Part) => Promise<Exposure | undefined> {
  // A number that is known has been looked for everywhere; only as text it may still be there.
  const isKnown = secrets.some(({ what }) => what === NUMBER);
  const key = isKnown || certificate === undefined ? undefined : publicKeyOf(certificate);
  const known = secrets.map(({ bytes }) => bytes.length);
  const sizes = new Set([...known, ...key === undefined ? [] : [secretSize(key)]]);
  let compared = 0;

  async function isOwn(number: Uint8Array): Promise<boolean> {
    if (key === undefined || secretSize(key) !== number.length) return false;
    if (isFilledWith(number, number[0]!) || compared++ >= MOST_COMPARED) return false;
    return await isSecretOf(number, key);
  }

  async function exposureIn(numbers: Iterable<Uint8Array>): Promise<Exposure | undefined> {
    for (const number of numbers) {
      const same = secrets.find(({ bytes }) => equalBytes(bytes, number));
      if (same !== undefined) return { message: `holds ${same.what}` };
      if (await isOwn(number)) return { message: `holds ${NUMBER}` };
    }
    return undefined;
  }

  return async ({ values, free }) => {
    for (const size of sizes) {
      for (const value of values) {
        // Most values are too long for a number.
        if (value.length < size || value.length > 2 * size + 2) continue;
        const found = await exposureIn(numbersOf(value, size));
        if (found !== undefined) return found;
      }
      const found = free && await exposureIn(windows(free, size));
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

/** A value of so many bytes or about twice as many: as they are, with a NUL at one end, or as hex or base64. */
function numbersOf(value: Uint8Array, size: number): Uint8Array[] {
  if (value.length === size) return [value];
  if (value.length === size + 1) {
    if (value[0] === 0) return [value.subarray(1)];
    if (value[size] === 0) return [value.subarray(0, size)];
  }
  const text = decodeUtf8(value)?.replace(/[\s\0=]+$/, "") ?? "";
  const bytes = textBytes(text);
  return bytes?.length === size ? [bytes] : [];
}

function textBytes(text: string): Bytes | undefined {
  if (/^(?:[0-9A-Fa-f]{2})+$/.test(text)) return parseHex(text);
  if (!/^[A-Za-z0-9+/_-]+$/.test(text)) return undefined;
  try {
    return parseBase64Url(text);
  } catch {
    return undefined;
  }
}

function* windows(free: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at + size <= free.length; at++) yield free.subarray(at, at + size);
}

/** The parts of an image: its values, and all between and after them. */
function partsOf(image: ReadImage, hides: boolean): Part[] {
  const { entries, others = [], erased = [] } = image;
  const read = hides ? new Set<number>() : readKeys(entries);
  const parts = [
    ...entries.flatMap((entry, index) => entryPart(image, entry, index, read.has(index))),
    ...others.flatMap((item) => itemPart(image, item, hides)),
    ...erased.map(erasedPart),
  ];
  return [...parts, ...gapsOf(image, parts), ...scatteredParts(entries)];
}

/** The private keys that default and legacy builds of the firmware read in plaintext. */
function readKeys(entries: readonly ReadEntry[]): ReadonlySet<number> {
  const isKey = ({ raw }: ReadEntry) => raw.value.type === KEY;
  return new Set([
    entries.findIndex((entry) => isKey(entry) && entry.raw.value.subtype === 0),
    entries.findLastIndex(isKey),
  ]);
}

/** An entry with its header and padding; a key is left out where it belongs or is reported elsewhere. */
function entryPart(
  { bytes: image, format }: ReadImage,
  { raw: { value, offset }, content }: ReadEntry,
  entry: number,
  isRead: boolean,
): Part[] {
  const { type, subtype, data, flags, padding } = value;
  // DS data of the older layouts is put together from several values.
  if (data.buffer !== image.buffer) return [];
  const isTlv = format === "tlv";
  const at = data.byteOffset - image.byteOffset;
  const end = isTlv ? offset + tlvSize(data.length) : at + data.length;
  const storage = type === KEY ? keyStorageOf(flags) : "plaintext";
  const isLeftOut = isRead || storage !== "plaintext";
  const whole = image.subarray(isTlv ? offset : at, end);
  const around = isTlv ? [image.subarray(offset, at), image.subarray(at + data.length, end)] : [];
  const certificates = content.kind === "certificate" ? content.certificates : [];
  const isHash = content.kind === "integrity" && content.ok;
  const isDerived = storage === "hmac-derived" && data.length > 0 && !isBlank(data);
  return [{
    title: `the ${tlvTypeTitle(type)} entry${subtype === 0 ? "" : ` with subtype ${subtype}`}`,
    place: { entry, offset },
    range: whole,
    // What is base64 in PEM may hold a key as well.
    bytes: [...isLeftOut ? around : [whole], ...certificates.map(({ der }) => der)],
    values: isLeftOut || isHash
      ? []
      : padding === undefined
      ? [data]
      : [data, concat(data, padding)],
    free: type === SECURITY_CONFIG && !isFilledWith(data.subarray(1), 0) ? data : undefined,
    problem: isDerived ? "holds bytes, though its key is derived from that of an eFuse" : undefined,
  }];
}

/** What an NVS image holds beside the credentials; its private key is read, though not as this type. */
function itemPart(
  { bytes: image, format }: ReadImage,
  { namespace, key, value, offset }: NvsStoredItem,
  hides: boolean,
): Part[] {
  if (!(value instanceof Uint8Array)) return [];
  const own = format === "nvs" ? NVS_CREDENTIAL_NAMESPACES[0] : NVS_CREDENTIAL_NAMESPACES[1];
  const isRead = !hides && namespace === own && key === PRIVATE_KEY;
  const title = `the NVS value ${JSON.stringify(`${namespace}/${key}`)}`;
  // A blob of several chunks is put together from them.
  const range = value.buffer === image.buffer ? value : undefined;
  const searched = isRead ? [] : [value];
  return [{ title, place: { offset }, range, bytes: searched, values: searched }];
}

/** Deleting a key leaves its bytes in flash. */
function erasedPart({ offset, key, bytes }: NvsErased): Part {
  const name = key === undefined ? "" : ` ${JSON.stringify(key)}`;
  const length = key === undefined ? 0 : viewOf(bytes).getUint16(NVS_DATA_OFFSET, true);
  const value = bytes.subarray(NVS_ENTRY_SIZE, NVS_ENTRY_SIZE + length);
  const isKey = key === PRIVATE_KEY && value.length > 0 && !isBlank(value) &&
    !isProtectedKey(value);
  return {
    title: `the erased entry${name} at ${offset}`,
    place: { offset },
    range: bytes,
    bytes: [bytes],
    values: [value],
    problem: isKey ? "still holds what was a private key" : undefined,
  };
}

/** The bytes outside all parts. */
function gapsOf({ bytes: image, format }: ReadImage, parts: readonly Part[]): Part[] {
  const title = format === "tlv" ? "what follows the entries" : "what belongs to no value";
  const ranges = parts.flatMap(({ range }) => range === undefined ? [] : [range])
    .toSorted((a, b) => a.byteOffset - b.byteOffset);
  const gaps: Part[] = [];
  let end = 0;
  for (const { byteOffset, length } of [...ranges, image.subarray(image.length)]) {
    const start = byteOffset - image.byteOffset;
    const gap = image.subarray(end, Math.max(start, end));
    if (gap.length > 0) gaps.push({ title, place: {}, bytes: [gap], values: [] });
    end = Math.max(end, start + length);
  }
  return gaps;
}

/** What the headers and the padding of all entries hold, put together: a key may be spread over them. */
function scatteredParts(entries: readonly ReadEntry[]): Part[] {
  const values = entries.map(({ raw }) => raw.value);
  const of = (title: string, bytes: Bytes): Part => ({
    title,
    place: {},
    bytes: [bytes],
    values: [bytes],
  });
  return [
    of("the padding of the entries", concat(...values.flatMap(({ padding }) => padding ?? []))),
    of(
      "the reserved bytes of the entries",
      concat(...values.flatMap(({ reserved }) => reserved ?? [])),
    ),
  ].filter(({ bytes: [bytes] }) => bytes!.length > 0);
}

function isBlank(bytes: Uint8Array): boolean {
  return isFilledWith(bytes, 0) || isFilledWith(bytes, 0xFF);
}
