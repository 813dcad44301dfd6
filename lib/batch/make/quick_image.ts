import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat, equalBytes } from "../../bytes/pack.ts";
import type { Certificate } from "../../crypto/x509/certificate.ts";
import { WEAK_RSA_BITS } from "../../crypto/keys/curves.ts";
import { exportPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { isIssuedBy } from "../../crypto/x509/chain.ts";
import type { Finding } from "../../findings/findings.ts";
import { TLV_TYPES } from "../../format/names.ts";
import { decodePartition, encodePartition } from "../../format/partition.ts";
import type { Tlv } from "../../format/tlv.ts";
import type { BulkProfile } from "../profile/profile.ts";
import type { DeviceSettings } from "../list/settings.ts";
import { partitionSizeOf } from "../../image/encode.ts";

const NUL = new Uint8Array(1);

/** Image and entries of a device, made without the planner. */
export interface QuickImage {
  readonly image: Bytes;
  /** The entries before the integrity entry. */
  readonly entries: readonly Tlv[];
}

/** Whether the image of a device is plain enough for {@linkcode quickImage}. */
export function isQuick(
  profile: BulkProfile,
  { keyMode, data }: DeviceSettings,
  key: PrivateKey,
): boolean {
  const { ESP_SECURE_CERT_PRIV_KEY_TLV: last, ESP_SECURE_CERT_TLV_END: end } = TLV_TYPES;
  const isPlainData = data.every(({ type }) => typeof type === "number" && type > last);
  return keyMode === "plaintext" && (profile.format ?? "tlv") === "tlv" && isPlainData &&
    data.every(({ type }) => type !== end) &&
    !(key.type === "rsa" && key.bits < WEAK_RSA_BITS);
}

/**
 * The plaintext TLV image of a device: the bytes that `build` makes, without its search for what
 * cannot be wrong here.
 *
 * @param storedCa The CA certificate as the device stores it.
 * @param certificatePem The device certificate.
 */
export async function quickImage(
  profile: BulkProfile,
  settings: DeviceSettings,
  { storedCa, certificatePem, key }: { storedCa: Bytes; certificatePem: Bytes; key: PrivateKey },
): Promise<QuickImage> {
  const deviceCert = concat(certificatePem, NUL);
  const privateKey = concat(await exportPrivateKey(key, { encoding: "traditional" }), NUL);
  const entries: Tlv[] = [
    entry(TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV, storedCa),
    entry(TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV, deviceCert),
    entry(TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV, privateKey),
    ...settings.data.map(({ type, subtype = 0, data }) => ({
      ...entry(type as number, data),
      subtype,
    })),
  ];
  const { fill = false, integrity = true } = profile;
  const size = partitionSizeOf(profile);
  return { image: encodePartition(entries, { size, fill, integrity }), entries };
}

function entry(type: number, data: Uint8Array): Tlv {
  return { type, subtype: 0, flags: 0, data };
}

/**
 * Checks what differs from device to device in an image read back: that it is what was written, every
 * entry and its checksum, that the certificate is for the key, and that the CA signed it.
 *
 * @param image The bytes read back.
 * @param made What was written.
 * @throws {SecureCertError} `ERR_VERIFY` with what is wrong, or what `decodePartition` says.
 */
export async function checkQuick(
  image: Bytes,
  made: QuickImage,
  { certificate, key, ca }: {
    readonly certificate: Certificate;
    readonly key: PrivateKey;
    readonly ca: Certificate;
  },
): Promise<void> {
  if (!equalBytes(image, made.image)) throw badImage("the file is not what was written");
  const { entries } = decodePartition(image);
  if (!made.entries.every((each, at) => isSameEntry(each, entries[at]))) {
    throw badImage("an entry is not what was planned");
  }
  if (!equalBytes(certificate.publicKey, key.publicKey)) {
    throw badImage("the certificate is for another key");
  }
  if (!await isIssuedBy(certificate, ca)) throw badImage("the CA did not sign the certificate");
}

function isSameEntry(a: Tlv, b: Tlv | undefined): boolean {
  return b !== undefined && a.type === b.type && a.subtype === b.subtype && a.flags === b.flags &&
    equalBytes(a.data, b.data);
}

/** The error for an image that is not as it should be. */
export function badImage(problem: string): SecureCertError {
  return new SecureCertError("ERR_VERIFY", `Cannot verify image: ${problem}`);
}

/** The errors among findings, in a line; empty when there is none. */
export function messageOf(findings: readonly Finding[]): string {
  return findings.filter(({ severity }) => severity === "error")
    .map(({ code, message }) => `${code}: ${message}`).join("; ");
}
