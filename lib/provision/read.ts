import { SecureCertError } from "../bytes/errors.ts";
import { equalBytes } from "../bytes/pack.ts";
import { digest } from "../crypto/signing.ts";
import { keyStorageOf, TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import { type Walk, walkPartition } from "../format/partition.ts";
import type { WalkedTlv } from "../format/partition.ts";
import type { Tlv } from "../format/tlv.ts";
import { type ImageFormat, recognise } from "./recognise.ts";

/** How {@linkcode openSecureCert} reads. */
export interface OpenOptions {
  /**
   * Read as a firmware build with the legacy formats enabled does: of several entries of a type the
   * last one counts, not the one with subtype 0. @default false
   */
  readonly legacyBuild?: boolean;
}

/** The firmware's `esp_secure_cert_key_type_t`, without prefix and suffix. */
export type PrivateKeyType =
  | "DEFAULT_FORMAT"
  | "HMAC_ENCRYPTED"
  | "HMAC_DERIVED_ECDSA"
  | "ECDSA_PERIPHERAL";

/**
 * An image as the firmware sees it: each method is one of its getters, returns the bytes that the
 * getter would, and rejects with a {@linkcode SecureCertError} where the getter returns an error.
 */
export interface SecureCert {
  /** Layout of the image. */
  readonly format: ImageFormat;
  /** The entries up to the first with a bad checksum, as the firmware's iterator lists them. */
  entries(): Promise<Tlv[]>;
  /** The first entry of a type and subtype; subtype 254 asks for the last of the type. */
  entry(type: number, subtype?: number): Promise<Tlv>;
  /** `esp_secure_cert_get_device_cert`: PEM with its NUL, or DER. */
  deviceCert(): Promise<Uint8Array>;
  /** `esp_secure_cert_get_ca_cert`: PEM with its NUL, or DER. */
  caCert(): Promise<Uint8Array>;
  /** `esp_secure_cert_get_priv_key`: PEM with its NUL, or DER. */
  privateKey(): Promise<Uint8Array>;
  /** `esp_secure_cert_get_priv_key_type`. */
  privateKeyType(): Promise<PrivateKeyType>;
  /** `esp_secure_cert_verify_partition_integrity`; resolves when the last SHA-256 is right. */
  verifyIntegrity(): Promise<void>;
}

/** Subtype with which the firmware asks for the last entry of a type. */
const LAST = 254;

const KEY_TYPES = {
  "plaintext": "DEFAULT_FORMAT",
  "hmac-encrypted": "HMAC_ENCRYPTED",
  "hmac-derived": "HMAC_DERIVED_ECDSA",
  "ecdsa-peripheral": "ECDSA_PERIPHERAL",
} as const satisfies Record<string, PrivateKeyType>;

/**
 * Opens an image as the firmware's component esp_secure_cert_mgr does.
 *
 * @param image The partition's bytes.
 * @param options How the firmware was built.
 * @returns The getters.
 * @throws {SecureCertError} `ERR_MAGIC` when the firmware would not take the bytes for its partition.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { encodePartition, openSecureCert } from "@esp-secure-cert/toolkit";
 *
 * const image = encodePartition([{ type: 51, data: new Uint8Array([1, 2]) }], { integrity: true });
 * const device = await openSecureCert(image);
 * assertEquals((await device.entry(51)).data, new Uint8Array([1, 2]));
 * await device.verifyIntegrity();
 * ```
 */
export function openSecureCert(image: Uint8Array, options: OpenOptions = {}): Promise<SecureCert> {
  const { format, finding } = recognise(image);
  if (format === "unknown") {
    const message = `Cannot open image: ${finding?.message ?? "unknown format"}`;
    return Promise.reject(new SecureCertError("ERR_MAGIC", message, { offset: 0 }));
  }
  return Promise.resolve(tlvGetters(image, options));
}

function tlvGetters(image: Uint8Array, { legacyBuild = false }: OpenOptions): SecureCert {
  const walk = walkPartition(image);
  const subtype = legacyBuild ? LAST : 0;
  const value = async (type: number) => (await readEntry(walk, type, subtype)).data;
  return {
    format: "tlv",
    entries: async () => await readAll(walk),
    entry: async (type, which = 0) => await readEntry(walk, type, which),
    deviceCert: () => value(TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV),
    caCert: () => value(TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV),
    privateKey: () => value(TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV),
    privateKeyType: () => Promise.try(() => readKeyType(walk, subtype)),
    verifyIntegrity: () => checkIntegrity(image, walk),
  };
}

function readAll({ entries }: Walk): Promise<Tlv[]> {
  const bad = entries.findIndex(({ crc }) => crc.stored !== crc.computed);
  return Promise.all(entries.slice(0, bad < 0 ? undefined : bad).map(openValue));
}

async function readEntry(walk: Walk, type: number, subtype: number): Promise<Tlv> {
  return await openValue(findEntry(walk, type, subtype));
}

/** The firmware checks the checksum of the entry it was asked for and of no other. */
function findEntry({ entries, broken }: Walk, type: number, subtype: number): WalkedTlv {
  const ofType = entries.filter(({ value }) => value.type === type);
  const found = subtype === LAST
    ? ofType.at(-1)
    : ofType.find(({ value }) => value.subtype === subtype);
  if (broken !== undefined && (found === undefined || subtype === LAST)) throw broken;
  if (found === undefined) {
    throw new SecureCertError(
      "ERR_NOT_FOUND",
      `No ${tlvTypeTitle(type)} entry with subtype ${subtype}`,
    );
  }
  const { crc, offset } = found;
  if (crc.stored === crc.computed) return found;
  const message = `Cannot read ${tlvTypeTitle(type)}: checksum does not match`;
  throw new SecureCertError("ERR_CHECKSUM", message, { entry: entries.indexOf(found), offset });
}

function openValue({ value }: WalkedTlv): Promise<Tlv> {
  const storage = keyStorageOf(value.flags);
  if (storage === "plaintext" || storage === "ecdsa-peripheral") return Promise.resolve(value);
  const message = `Cannot read ${
    tlvTypeTitle(value.type)
  }: this version reads no ${storage} entries`;
  return Promise.reject(new SecureCertError("ERR_UNSUPPORTED", message));
}

function readKeyType(walk: Walk, subtype: number): PrivateKeyType {
  const { value } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV, subtype);
  return KEY_TYPES[keyStorageOf(value.flags)];
}

async function checkIntegrity(image: Uint8Array, walk: Walk): Promise<void> {
  const { value, offset } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV, LAST);
  if (equalBytes(value.data, await digest("SHA-256", image.subarray(0, offset)))) return;
  throw new SecureCertError("ERR_INTEGRITY", "Integrity entry does not match the image", {
    offset,
  });
}
