import { type Problem, SecureCertError } from "../bytes/errors.ts";
import { type Bytes, equalBytes } from "../bytes/pack.ts";
import { decryptEntry } from "../crypto/peripherals/hmac.ts";
import { parseStoredCertificates, parseStoredKey } from "../device/stored.ts";
import {
  CREDENTIAL_TYPES,
  entryProtectionOf,
  type ImageFormat,
  keyStorageOf,
  TLV_TYPES,
  tlvTypeNumber,
  tlvTypeTitle,
} from "../format/names.ts";
import { integrityEntry } from "../format/partition.ts";
import type { Tlv } from "../format/tlv.ts";
import { encodeImage, partitionSizeOf } from "../image/encode.ts";
import { storedCertificates, storedPrivateKey } from "../image/stored.ts";
import type { ImageEntries, ImageEntry } from "../image/read/entry.ts";
import { findImage, type FoundImage, kindOf } from "../image/find/locate.ts";
import { readImage } from "../image/read/image.ts";
import { printableLine } from "../bytes/text.ts";
import { otherTitle, reportOther } from "./others.ts";
import { refusedValue } from "./plan/entry.ts";
import { type Verdict, verify } from "../verify/verify.ts";

const {
  ESP_SECURE_CERT_INTEGRITY_TLV: INTEGRITY,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
  ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV: SIGNATURE,
} = TLV_TYPES;

/** How {@linkcode convert} writes the new image. */
type ConvertOptions = Parameters<typeof convert>[1];

/**
 * Writes the credentials of an image in another layout and rebuilds an integrity entry. Nothing is
 * dropped: what the layout has no room for is refused. With the HMAC key, an HMAC-encrypted private key
 * is opened for the layouts that hold only plaintext. Values are carried byte for byte; NVS, which holds
 * only text, gets canonical PEM for DER, and for PEM that the device does not take as it is. Of a dump of flash only the partition is written.
 *
 * @category Building and changing
 * @throws {SecureCertError} `ERR_MAGIC` for bytes that are not an image; `ERR_CHECKSUM` or
 * `ERR_INTEGRITY` for a damaged one; `ERR_PLAN` with everything that has no room, or
 * that the device refuses; `ERR_TOO_LARGE`.
 */
export async function convert(
  file: Uint8Array,
  options: {
    /** The layout wanted. */
    readonly to: ImageFormat;
    /**
     * Size of the partition in bytes, which the content must fit.
     * @default 0x2000 for tlv, 0x3000 for nvs, 0x6000 for cust_flash, or what a table says when that
     * is more
     */
    readonly size?: number;
    /** Where the partition table of a flash dump is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
    /** Where the image begins in the file, in bytes, or its address. @default where it is found */
    readonly offset?: number;
    /** Fill a TLV image with 0xFF up to its size; the other layouts always are. @default false */
    readonly fill?: boolean;
    /** Close a TLV image with an integrity entry; the other layouts have none. @default true */
    readonly integrity?: boolean;
    /** The 32 bytes of the eFuse key, to open an HMAC-encrypted private key. */
    readonly hmacKey?: Uint8Array;
    /** Refuse to carry certificates and keys that the device refuses. @default true */
    readonly verify?: boolean;
    /** The time at which the result is checked. @default the system clock */
    readonly now?: () => Date;
  },
): Promise<{
  /** Layout of the image given. */
  readonly from: ImageFormat;
  /** The new partition's bytes. */
  readonly image: Bytes;
  /** What `verify` says of it. */
  readonly verdict: Verdict;
}> {
  const { to: format, now, hmacKey, verify: withhold = true } = options;
  const found = await findImage(file, options);
  const { image, entry } = found;
  const layout = layoutOf(found, options);
  const contents = readImage(image, { partition: entry && kindOf(entry) });
  const { format: from, entries, findings } = contents;
  if (from === "unknown") {
    throw new SecureCertError(
      "ERR_MAGIC",
      `Cannot convert image: ${findings[0]?.message ?? "unknown"}`,
    );
  }
  const damaged = findings.find(({ severity, code }) =>
    severity === "error" && !(from === "tlv" && code === "TOO_LARGE")
  );
  if (damaged !== undefined) {
    throw new SecureCertError(
      "ERR_CHECKSUM",
      `Cannot convert image: ${damaged.message}`,
      damaged.place,
    );
  }
  refuseOthers(contents, format);
  const carried = carriedEntries(entries, format);
  refuseChanged(image, entries);
  const ordered = from === "tlv" ? carried : carried.toSorted((a, b) => rankOf(a) - rankOf(b));
  const kept = await Promise.all(
    ordered.map((entry) => openFor(format, entry, hmacKey)),
  );
  const isText = holdsText(format) && !holdsText(from);
  const stored = isText ? await Promise.all(kept.map(inCanonicalForm)) : kept;
  if (withhold) refuseRefused(stored);
  const { image: converted } = await encodeImage(stored, layout).catch((error: unknown) => {
    throw hmacKey === undefined && stored.some(isEncrypted) ? needingHmacKey(error) : error;
  });
  const partitionSize = partitionSizeOf(layout);
  const verdict = await verify(converted, { partitionSize, now, hmacKey });
  return { from, image: converted, verdict };
}

/** The image of a partition of a dump fills it, which may have to be larger for the new layout. */
function layoutOf(
  { partitionSize }: FoundImage,
  { to: format, size, fill, integrity }: ConvertOptions,
): Parameters<typeof encodeImage>[1] & { readonly format: ImageFormat } {
  if (partitionSize === undefined || size !== undefined) return { format, size, fill, integrity };
  const larger = Math.max(partitionSize, partitionSizeOf({ format }));
  return { format, size: larger, fill: true, integrity };
}

/** A new hash over content that the old one does not match would make tampering look right. */
function refuseChanged(image: Uint8Array, entries: readonly ImageEntry[]): void {
  const entry = entries.findLastIndex(({ value }) => value.type === INTEGRITY);
  const found = entries[entry];
  if (found === undefined) return;
  const { value: { data }, offset } = found;
  if (equalBytes(data, integrityEntry(image.subarray(0, offset)).data)) return;
  const message = "Cannot convert image: the integrity entry does not match the image";
  throw new SecureCertError("ERR_INTEGRITY", message, { entry, offset });
}

/** The order of `build`; the other layouts have orders of their own. */
const ORDER: readonly Tlv["type"][] = [
  TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV,
  TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV,
];

function rankOf({ type }: Tlv): number {
  return ORDER.indexOf(type);
}

/** Integrity is rebuilt; a signature would cover other bytes. */
function carriedEntries(entries: readonly ImageEntry[], format: ImageFormat): Tlv[] {
  for (const { value, crc, offset } of entries) {
    const name = tlvTypeTitle(value.type);
    if (crc.stored !== crc.computed) {
      throw new SecureCertError(
        "ERR_CHECKSUM",
        `Cannot convert image: checksum of the ${name} does not match`,
        { offset },
      );
    }
    if (value.type === SIGNATURE) {
      throw new SecureCertError(
        "ERR_PLAN",
        `Cannot write ${format}: a signature does not hold for another image`,
        { offset },
      );
    }
  }
  return entries.map(({ value }) => value).filter(({ type }) => type !== INTEGRITY);
}

/** Names in a message; the rest are counted. */
const MOST_LISTED = 50;

/** Only the credentials are written again, in NVS too. */
function refuseOthers({ others = [] }: ImageEntries, format: ImageFormat): void {
  if (others.length === 0) return;
  const shown = others.slice(0, MOST_LISTED).map((item) =>
    printableLine(otherTitle(reportOther(item)))
  );
  const rest = others.length - shown.length;
  const list = [...shown, ...rest > 0 ? [`${rest} more`] : []].join(", ");
  throw new SecureCertError("ERR_PLAN", `Cannot write ${format}: it cannot carry ${list}`, {
    offset: others[0]!.offset,
  });
}

async function openFor(
  format: ImageFormat,
  entry: Tlv,
  hmacKey: Uint8Array | undefined,
): Promise<Tlv> {
  if (format === "tlv" || !isEncrypted(entry) || hmacKey === undefined) return entry;
  return { ...entry, flags: 0, data: await decryptEntry(entry.data, { hmacKey }) };
}

/** The error of a layout that would carry a value if it were opened. */
function needingHmacKey(error: unknown): unknown {
  if (!(error instanceof SecureCertError) || error.code !== "ERR_PLAN") return error;
  return new SecureCertError(error.code, error.message, { ...error.place, field: "hmacKey" });
}

function holdsText(format: ImageFormat): boolean {
  return format === "nvs" || format === "nvs_legacy";
}

/** As a build stores it, what the device refuses as it is; what cannot be read is not changed. */
async function inCanonicalForm(entry: Tlv): Promise<Tlv> {
  const { type, data } = entry;
  if (!isOpenCredential(entry) || refusalsOf(entry).length === 0) return entry;
  try {
    const stored = type === KEY ? await storedPrivateKey(data) : storedCertificates(data);
    return { ...entry, data: stored };
  } catch (error) {
    if (error instanceof SecureCertError) return entry;
    throw error;
  }
}

/** The image should work on the device, which an image that was not written by a build may never have. */
function refuseRefused(entries: readonly Tlv[]): void {
  const problems = entries.filter(isOpenCredential).flatMap(refusalsOf);
  if (problems.length === 0) return;
  const list = problems.map(({ message }) => message).join("; ");
  throw new SecureCertError("ERR_PLAN", `Cannot convert image: ${list}`, {}, { problems });
}

function refusalsOf(entry: Tlv): Problem[] {
  const parse = entry.type === KEY ? parseStoredKey : parseStoredCertificates;
  return refusedValue(entry, parse(entry.data));
}

/** Whether a value is a certificate or a private key that can be read in flash. */
function isOpenCredential({ type, flags = 0 }: Tlv): boolean {
  const number = tlvTypeNumber(type);
  return number === KEY ? keyStorageOf(flags) === "plaintext" : CREDENTIAL_TYPES.includes(number) &&
    entryProtectionOf({ type: number, flags }) !== "encrypted";
}

/** A private key may be encrypted and yet be called one in an eFuse, which has no plaintext to write. */
function isEncrypted({ type, flags = 0 }: Tlv): boolean {
  const number = tlvTypeNumber(type);
  return number === KEY
    ? keyStorageOf(flags) === "hmac-encrypted"
    : entryProtectionOf({ type: number, flags }) === "encrypted";
}
