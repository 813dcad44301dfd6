import { SecureCertError } from "../../bytes/errors.ts";
import type { Secrets } from "../contents.ts";
import { readImage } from "../read/image.ts";
import { storedGetters } from "./stored.ts";
import { tlvGetters } from "./tlv.ts";
import type { Tlv } from "../../format/tlv.ts";
import type { ImageFormat } from "../find/recognise.ts";

/** How {@linkcode openSecureCert} reads. */
export interface OpenOptions extends Secrets {
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

/** What the firmware hands to the DS peripheral. */
export interface FirmwareDsContext {
  /** The n of the KEYn with the HMAC key. */
  readonly efuseKeyId: number;
  /** Length of the RSA key in bits. */
  readonly rsaLengthBits: number;
  /** `esp_ds_data_t`: length word u32, initialisation vector 16 bytes, ciphertext. */
  readonly dsData: Uint8Array;
}

/**
 * An image as the firmware sees it: each method is one of its getters, returns the bytes that the
 * getter would, and rejects with a {@linkcode SecureCertError} where the getter returns an error.
 */
export interface SecureCert {
  /** Layout of the image. */
  readonly format: ImageFormat;
  /**
   * The entries up to the first with a bad checksum, as the firmware's iterator lists them. One that
   * cannot be opened, without the HMAC key or with a wrong one, stands there as it is stored.
   */
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
  /** `esp_secure_cert_get_priv_key_efuse_id`: the eFuse block of a key for the ECDSA peripheral. */
  privateKeyEfuseBlock(): Promise<number>;
  /** `esp_secure_cert_get_ds_ctx`. */
  dsContext(): Promise<FirmwareDsContext>;
  /** `esp_secure_cert_verify_partition_integrity`; resolves when the last SHA-256 is right. */
  verifyIntegrity(): Promise<void>;
}

/**
 * Opens an image as the firmware's component esp_secure_cert_mgr does.
 *
 * @param image The partition's bytes.
 * @param options How the firmware was built, and the eFuse key that its HMAC peripheral has. Images of
 * other layouts than TLV are read by legacy builds alone, so that the option says nothing there.
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
  return Promise.try(() => {
    const contents = readImage(image);
    if (contents.format === "tlv") return tlvGetters(image, options);
    if (contents.format !== "unknown") return storedGetters(contents.format, contents.entries);
    const message = `Cannot open image: ${contents.findings[0]?.message ?? "unknown format"}`;
    throw new SecureCertError("ERR_MAGIC", message, { offset: 0 });
  });
}
