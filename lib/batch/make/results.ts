import type { Bytes } from "../../bytes/pack.ts";
import { encodeUtf8, formatBase64, formatHex } from "../../bytes/text.ts";
import { sha256 } from "../../crypto/deps.ts";
import type { Certificate } from "../../crypto/x509/certificate.ts";
import { exportPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { formatCommand } from "../../key_modes/efuse_plan.ts";
import { type BulkDevice, DEVICE_COLUMNS } from "../list/devices.ts";
import type { BulkFile, BulkResult } from "../ports.ts";
import type { DeviceSettings } from "../list/settings.ts";
import { formatLabel } from "../label.ts";
import { extraColumns, type ManifestRow } from "../manifest.ts";
import type { EfuseOutput } from "../../toolkit/build.ts";

/** Where the files of a device lie within the folder of a batch. */
export const paths = {
  image: (id: string): string => `images/${id}.bin`,
  certificate: (id: string): string => `certificates/${id}.pem`,
  request: (id: string): string => `csr/${id}.csr`,
  key: (id: string): string => `secret/${id}.key.pem`,
  hmacKey: (id: string): string => `secret/${id}.hmac.bin`,
  salt: (id: string): string => `secret/${id}.salt.bin`,
  efusePlan: (id: string): string => `efuse/${id}.json`,
  label: (id: string): string => `labels/${id}.svg`,
} as const;

/**
 * What a device that failed may have left, and nothing uses. Its key goes too, unless a request was made
 * with it, for which a right certificate may still come.
 */
export function leftoversOf(id: string, hasRequest: boolean): string[] {
  const kept: readonly unknown[] = hasRequest
    ? [paths.key, paths.hmacKey, paths.salt, paths.request]
    : [];
  return Object.values(paths).filter((path) => !kept.includes(path)).map((path) => path(id));
}

/** What was made for a device, as far as it goes into files. */
export interface DeviceParts {
  readonly key: PrivateKey;
  readonly certificatePem?: Bytes;
  readonly image?: Bytes;
  readonly hmacKey?: Bytes;
  readonly salt?: Bytes;
  readonly efuse?: EfuseOutput;
}

/** The files of a device; the image, which may hold the key, is for its owner alone. */
export async function filesOf({ id }: BulkDevice, parts: DeviceParts): Promise<BulkFile[]> {
  const { key, certificatePem, image, salt, efuse } = parts;
  const hmacKey = efuse?.hmacKey ?? parts.hmacKey;
  const secrets: BulkFile[] = [
    { path: paths.key(id), bytes: await exportPrivateKey(key), secret: true },
  ];
  if (hmacKey !== undefined) {
    secrets.push({ path: paths.hmacKey(id), bytes: hmacKey, secret: true });
  }
  if (salt !== undefined) secrets.push({ path: paths.salt(id), bytes: salt, secret: true });
  const files: BulkFile[] = [];
  if (efuse !== undefined) {
    const { command, ...rest } = efuse.plan;
    const text = `${JSON.stringify({ ...rest, command: formatCommand(command) }, null, 2)}\n`;
    files.push({ path: paths.efusePlan(id), bytes: encodeUtf8(text) });
  }
  if (certificatePem !== undefined) {
    files.push({ path: paths.certificate(id), bytes: certificatePem });
  }
  if (image !== undefined) files.push({ path: paths.image(id), bytes: image, secret: true });
  return [...secrets, ...files];
}

/** Certificates as the files of a batch have them. */
export function pemOf(...certificates: readonly Certificate[]): Bytes {
  return encodeUtf8(certificates.map(({ pem }) => pem).join(""));
}

/** The label of a device that has its certificate. */
export function labelOf({ id }: BulkDevice, { serial }: Certificate): BulkFile {
  return { path: paths.label(id), bytes: encodeUtf8(formatLabel({ id, serial })) };
}

/** The row of a device that was verified. */
export function verifiedRow(
  device: BulkDevice,
  settings: DeviceSettings,
  made: { key: PrivateKey; certificate: Certificate; image: Bytes; efuseKeyId: number | null },
): ManifestRow {
  const { key, certificate, image, efuseKeyId } = made;
  return {
    ...emptyRow(device, settings),
    serial: certificate.serial,
    fingerprint: formatHex(sha256(certificate.der)),
    publicKey: formatBase64(key.publicKey),
    imageSha256: formatHex(sha256(image)),
    efuseKeyId,
    status: "verified",
    ...extrasOf(device),
  };
}

/** The row of a device whose signing request waits. */
export function requestRow(
  device: BulkDevice,
  settings: DeviceSettings,
  key: PrivateKey,
): ManifestRow {
  return { ...failedRow(device, settings), publicKey: formatBase64(key.publicKey) };
}

/** The row of a device that failed. */
export function failedRow(device: BulkDevice, settings: DeviceSettings): ManifestRow {
  return { ...emptyRow(device, settings), ...extrasOf(device) };
}

/** The columns of a device list that go into the manifest. */
export function manifestColumns(columns: readonly string[]): string[] {
  const known: readonly string[] = DEVICE_COLUMNS;
  return extraColumns(columns.filter((name) => !known.includes(name)));
}

function emptyRow({ id }: BulkDevice, { keyMode }: DeviceSettings): ManifestRow {
  return {
    id,
    serial: "",
    fingerprint: "",
    publicKey: "",
    imageSha256: "",
    keyMode,
    efuseKeyId: null,
    status: "failed",
  };
}

function extrasOf({ fields }: BulkDevice): Readonly<Record<string, string>> {
  return Object.fromEntries(
    manifestColumns(Object.keys(fields)).map((name) => [name, fields[name]!]),
  );
}

/**
 * A result as it is recorded: a device that has what is another's fails.
 *
 * @param other Id of the device that has it already.
 * @param what Which thing that is.
 */
export function failTwiceUsed(
  result: BulkResult,
  other: string | undefined,
  what: "key" | "serial number",
): BulkResult {
  const { device, state, row } = result;
  if (other === undefined || other === device.id || state === "failed") return result;
  const reason = `its ${what} is that of ${other} already`;
  const failed = { ...row, serial: "", fingerprint: "", publicKey: "", imageSha256: "" };
  return {
    device,
    state: "failed",
    reached: "key made",
    reason,
    row: { ...failed, status: "failed" },
  };
}
