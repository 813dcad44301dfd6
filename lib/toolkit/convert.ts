import { SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { decryptEntry } from "../crypto/peripherals/hmac.ts";
import { keyStorageOf, TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import type { TlvInput } from "../format/tlv.ts";
import { openContents } from "../key_modes/open.ts";
import { encodeImage, type LayoutOptions, partitionSizeOf } from "../image/encode.ts";
import type { ImageEntries, ImageEntry } from "../image/read/entry.ts";
import { readImage } from "../image/read/image.ts";
import { otherTitle, reportOther } from "./others.ts";
import type { ImageFormat } from "../format/names.ts";
import { judgeIntegrity } from "../verify/entries.ts";
import { type Verdict, verify, type VerifyOptions } from "../verify/verify.ts";

/** How {@linkcode convert} writes an image anew. */
export interface ConvertOptions
  extends Omit<LayoutOptions, "format">, Pick<VerifyOptions, "hmacKey" | "now"> {
  /** The layout wanted. */
  readonly to: ImageFormat;
}

/** A converted image. */
export interface ConvertResult {
  /** Layout of the image given. */
  readonly from: ImageFormat;
  /** The new partition's bytes. */
  readonly image: Bytes;
  /** What `verify` says of it. */
  readonly verdict: Verdict;
}

/**
 * Writes the credentials of an image in another layout. What the layout cannot carry is refused with
 * the list, never dropped; an integrity entry is made anew. With the HMAC key, an HMAC-encrypted
 * private key is opened for the layouts that hold plaintext alone.
 *
 * @param image The partition's bytes in any layout.
 * @param options The layout wanted.
 * @returns The image and the verdict on it.
 * @throws {SecureCertError} `ERR_MAGIC` when the image is none, `ERR_CHECKSUM` or `ERR_INTEGRITY` for damaged ones,
 * `ERR_PLAN` with the list of what cannot be carried, `ERR_TOO_LARGE` when it does not fit.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { convert, createCa, encodeCustFlash, generateKey } from "@esp-secure-cert/toolkit";
 *
 * const caCert = await createCa({ subject: "CN=CA", key: await generateKey() });
 * const { from, image } = await convert(encodeCustFlash({ caCert }), { to: "tlv" });
 * assertEquals([from, image[0]], ["cust_flash", 0x11]);
 * ```
 */
export async function convert(image: Uint8Array, options: ConvertOptions): Promise<ConvertResult> {
  const { to: format, now, hmacKey, ...layout } = options;
  const contents = readImage(image);
  const { format: from, entries, findings } = contents;
  if (from === "unknown") {
    throw new SecureCertError(
      "ERR_MAGIC",
      `Cannot convert image: ${findings[0]?.message ?? "unknown"}`,
    );
  }
  const damaged = findings.find(({ severity }) => severity === "error");
  if (damaged !== undefined) {
    throw new SecureCertError(
      "ERR_CHECKSUM",
      `Cannot convert image: ${damaged.message}`,
      damaged.place,
    );
  }
  refuseOthers(contents, format);
  const carried = carriedEntries(entries, format);
  await checkIntegrity(image, entries);
  const ordered = from === "tlv" ? carried : carried.toSorted((a, b) => rankOf(a) - rankOf(b));
  const kept = await Promise.all(
    ordered.map((entry) => openFor(format, entry, hmacKey)),
  );
  const converted = await encodeImage(kept, { format, ...layout });
  const partitionSize = partitionSizeOf({ format, ...layout });
  const verdict = await verify(converted, {
    partitionSize,
    ...now && { now },
    ...hmacKey && { hmacKey },
  });
  return { from, image: converted, verdict };
}

/** More names than that help nobody. */
const MOST_LISTED = 50;

/** A new hash over content that the old one does not match would make tampering look right. */
async function checkIntegrity(image: Uint8Array, entries: readonly ImageEntry[]): Promise<void> {
  const read = await openContents(image, entries, {});
  const [wrong] = judgeIntegrity(read).filter(({ severity }) => severity === "error");
  if (wrong === undefined) return;
  throw new SecureCertError("ERR_INTEGRITY", `Cannot convert image: ${wrong.message}`, wrong.place);
}

/** The other layouts have an order of their own; here it is that of `build`. */
const ORDER: readonly TlvInput["type"][] = [
  TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV,
  TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV,
];

function rankOf({ type }: TlvInput): number {
  return ORDER.indexOf(type);
}

/** Integrity is made anew; a signature would cover other bytes. */
function carriedEntries(entries: readonly ImageEntry[], format: ImageFormat): TlvInput[] {
  const {
    ESP_SECURE_CERT_INTEGRITY_TLV: integrity,
    ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV: signature,
  } = TLV_TYPES;
  for (const { value, crc, offset } of entries) {
    const name = tlvTypeTitle(value.type);
    if (crc.stored !== crc.computed) {
      throw new SecureCertError(
        "ERR_CHECKSUM",
        `Cannot convert image: checksum of the ${name} does not match`,
        { offset },
      );
    }
    if (value.type === signature) {
      throw new SecureCertError(
        "ERR_PLAN",
        `Cannot write ${format}: a signature does not hold for another image`,
        { offset },
      );
    }
  }
  return entries.map(({ value }) => value).filter(({ type }) => type !== integrity);
}

/** Only the credentials are written anew, in NVS too. */
function refuseOthers({ others = [] }: ImageEntries, format: ImageFormat): void {
  if (others.length === 0) return;
  const shown = others.slice(0, MOST_LISTED).map((item) => otherTitle(reportOther(item)));
  const rest = others.length - shown.length;
  const list = [...shown, ...rest > 0 ? [`${rest} more`] : []].join(", ");
  throw new SecureCertError("ERR_PLAN", `Cannot write ${format}: it cannot carry ${list}`, {
    offset: others[0]!.offset,
  });
}

async function openFor(
  format: ImageFormat,
  entry: TlvInput,
  hmacKey: Uint8Array | undefined,
): Promise<TlvInput> {
  const isEncrypted = keyStorageOf(entry.flags ?? 0) === "hmac-encrypted";
  if (format === "tlv" || !isEncrypted || hmacKey === undefined) return entry;
  return { ...entry, flags: 0, data: await decryptEntry(entry.data, { hmacKey }) };
}
