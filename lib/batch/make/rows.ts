import type { Bytes } from "../../bytes/pack.ts";
import { formatBase64, formatHex } from "../../bytes/text.ts";
import { sha256 } from "../../crypto/deps.ts";
import type { PrivateKey } from "../../crypto/keys/keys.ts";
import type { Certificate } from "../../crypto/x509/certificate.ts";
import { type BulkDevice, manifestFields } from "../list/devices.ts";
import type { DeviceSettings } from "../list/settings.ts";
import type { ManifestRow } from "../manifest.ts";

/** The row of a device that was verified. */
export function verifiedRow(
  device: BulkDevice,
  settings: DeviceSettings,
  made: {
    readonly key: PrivateKey;
    readonly certificate: Certificate;
    readonly image: Bytes;
    readonly efuseKeyId: number | null;
  },
): ManifestRow {
  const { key, certificate, image, efuseKeyId } = made;
  return {
    ...failedRow(device, settings),
    serial: certificate.serial,
    fingerprint: formatHex(sha256(certificate.der)),
    publicKey: formatBase64(key.publicKey),
    imageSha256: formatHex(sha256(image)),
    efuseKeyId,
    status: "verified",
  };
}

/** The row of a device whose signing request waits for a certificate. */
export function requestRow(
  device: BulkDevice,
  settings: DeviceSettings,
  key: PrivateKey,
): ManifestRow {
  return { ...failedRow(device, settings), publicKey: formatBase64(key.publicKey) };
}

/** The row of a device that failed. */
export function failedRow(
  { id, fields }: BulkDevice,
  { keyMode }: Pick<DeviceSettings, "keyMode">,
): ManifestRow {
  return {
    id,
    serial: "",
    fingerprint: "",
    publicKey: "",
    imageSha256: "",
    keyMode,
    efuseKeyId: null,
    status: "failed",
    ...manifestFields(fields),
  };
}
