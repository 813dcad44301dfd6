import { countOf, SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { sha256 } from "../crypto/deps.ts";
import type { Credentials } from "../format/credentials.ts";
import { CUST_FLASH_SIZE, custFlashEnd, encodeCustFlash } from "../format/cust_flash/codec.ts";
import {
  entryProtectionOf,
  type ImageFormat,
  keyStorageOf,
  TLV_TYPES,
  tlvTypeNumber,
  tlvTypeTitle,
} from "../format/names.ts";
import { DEFAULT_NVS_SIZE, encodeNvsCredentials } from "../format/nvs/encode.ts";
import { DEFAULT_PARTITION_SIZE, type HashedImage, layOutPartition } from "../format/partition.ts";
import { decodeDsContext, decodeDsData } from "../format/peripheral.ts";
import type { Tlv } from "../format/tlv.ts";
import { certificatesAsPem, privateKeyAsPem } from "./stored.ts";

/** How an image is laid out. */
export interface LayoutOptions {
  /** Layout. @default "tlv" */
  readonly format?: ImageFormat;
  /**
   * Size of the partition in bytes, which the content must fit.
   * @default 0x2000 for tlv, 0x3000 for nvs, 0x6000 for cust_flash
   */
  readonly size?: number;
  /** Fill a TLV image with 0xFF up to its size; the other layouts always are. @default false */
  readonly fill?: boolean;
  /** Close a TLV image with an integrity entry; the other layouts have none. @default true */
  readonly integrity?: boolean;
}

const SIZES: Readonly<Record<ImageFormat, number>> = {
  tlv: DEFAULT_PARTITION_SIZE,
  cust_flash: CUST_FLASH_SIZE,
  cust_flash_legacy: CUST_FLASH_SIZE,
  nvs: DEFAULT_NVS_SIZE,
  nvs_legacy: DEFAULT_NVS_SIZE,
};

/** The size of the partition that these options mean, in bytes. */
export function partitionSizeOf({ format = "tlv", size }: LayoutOptions): number {
  return size ?? SIZES[format];
}

/**
 * The image of entries in any layout; `readonly` allows NVS partitions of one or two pages.
 *
 * @throws {SecureCertError} `ERR_PLAN` with the list of what the layout cannot carry, `ERR_TOO_LARGE`
 * when it does not fit, `ERR_LENGTH` for a value too long for its place.
 */
export async function encodeImage(
  entries: readonly Tlv[],
  options: LayoutOptions & { readonly readonly?: boolean },
): Promise<HashedImage> {
  const { readonly = false } = options;
  const { format = "tlv", fill = false, integrity = true } = options;
  const size = partitionSizeOf(options);
  switch (format) {
    case "tlv":
      return layOutPartition(entries, { size, fill, integrity });
    case "cust_flash":
    case "cust_flash_legacy": {
      const credentials = carried(entries, format);
      const needed = custFlashEnd(credentials);
      if (size < needed) {
        throw new SecureCertError(
          "ERR_TOO_LARGE",
          `cust_flash needs ${countOf(needed, "byte")}, the partition has ${size}`,
        );
      }
      const legacy = format === "cust_flash_legacy";
      return withHash(encodeCustFlash(credentials, { legacy, size }));
    }
    case "nvs":
    case "nvs_legacy": {
      const namespace = format === "nvs" ? "esp_secure_cert" : "pre_prov";
      const credentials = await asPem(carried(entries, format));
      return withHash(encodeNvsCredentials(credentials, { size, namespace, readonly }));
    }
    default:
      throw new RangeError(`Unknown format: ${format satisfies never}`);
  }
}

function withHash(image: Bytes): HashedImage {
  return { image, sha256: () => sha256(image) };
}

/** The credentials that the older layouts know; anything else is refused by name. */
function carried(entries: readonly Tlv[], format: ImageFormat): Credentials {
  const left = new Map(entries.map((entry) => [keyOf(entry), entry]));
  // Flags are read by mask: the 0xFF of old images says nothing that would be lost.
  const take = (type: number) => {
    const entry = left.get(`${type}.0`);
    if (entry === undefined || !isPlain(type, entry.flags)) return undefined;
    left.delete(`${type}.0`);
    return entry.data;
  };
  const [caCert, deviceCert, privateKey, data, context] = [
    TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV,
    TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV,
    TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV,
    TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV,
    TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV,
  ].map(take);
  take(TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV);
  if (left.size > 0) throw notCarried([...left.values()], format);
  if ((data === undefined) !== (context === undefined)) {
    throw new SecureCertError(
      "ERR_PLAN",
      `Cannot write ${format}: DS data and DS context go together`,
    );
  }
  return {
    caCert,
    deviceCert,
    privateKey,
    ds: data && context && { ...decodeDsData(data), ...decodeDsContext(context) },
  };
}

/**
 * Flags say that a key is elsewhere, or that any value is encrypted. A value other than the key is flagged
 * as derived only by mistake, and the layouts without flags leave that behind.
 */
function isPlain(type: number, flags = 0): boolean {
  return type === TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV
    ? keyStorageOf(flags) === "plaintext"
    : entryProtectionOf({ type, flags }) !== "encrypted";
}

async function asPem({ caCert, deviceCert, privateKey, ds }: Credentials): Promise<Credentials> {
  return {
    caCert: caCert && certificatesAsPem(caCert),
    deviceCert: deviceCert && certificatesAsPem(deviceCert),
    privateKey: privateKey && await privateKeyAsPem(privateKey),
    ds,
  };
}

function keyOf({ type, subtype = 0 }: Tlv): string {
  return `${tlvTypeNumber(type)}.${subtype}`;
}

function notCarried(entries: readonly Tlv[], format: ImageFormat): SecureCertError {
  const list = entries.map((entry) => {
    const [type, subtype] = keyOf(entry).split(".").map(Number) as [number, number];
    const flags = entry.flags ? ` with flags 0x${entry.flags.toString(16)}` : "";
    return `${tlvTypeTitle(type)}${subtype === 0 ? "" : ` ${subtype}`}${flags}`;
  });
  return new SecureCertError(
    "ERR_PLAN",
    `Cannot write ${format}: it cannot carry ${list.join(", ")}`,
  );
}
