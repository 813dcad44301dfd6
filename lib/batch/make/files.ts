import type { Bytes } from "../../bytes/pack.ts";
import { encodeUtf8 } from "../../bytes/text.ts";
import { exportPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import type { Certificate } from "../../crypto/x509/certificate.ts";
import { formatCommand } from "../../key_modes/efuse_plan.ts";
import type { EfuseOutput } from "../../toolkit/build.ts";
import { paths } from "../files.ts";
import { formatLabel } from "../label.ts";
import type { BulkDevice } from "../list/devices.ts";
import type { BulkFile } from "../ports.ts";

/** What was made for a device, as far as it goes into files. */
export interface DeviceParts {
  readonly key: PrivateKey;
  /** PEM, with the certificates of intermediate CAs after the device's own. */
  readonly certificatePem?: Bytes;
  readonly image?: Bytes;
  readonly hmacKey?: Bytes;
  readonly salt?: Bytes;
  readonly efuse?: EfuseOutput;
}

/** The files of a device; the image, which may hold the key, is for its owner only. */
export async function filesOf({ id }: BulkDevice, parts: DeviceParts): Promise<BulkFile[]> {
  const { key, certificatePem, image, salt, efuse } = parts;
  const hmacKey = efuse?.hmacKey ?? parts.hmacKey;
  const halfOf = (path: string) => efuse?.keyFiles.find((file) => file.path === path)?.bytes;
  const files: (Omit<BulkFile, "bytes"> & { readonly bytes: Bytes | undefined })[] = [
    { path: paths.key(id), bytes: await exportPrivateKey(key), secret: true },
    { path: paths.keyLow(id), bytes: halfOf(paths.keyLow(id)), secret: true },
    { path: paths.keyHigh(id), bytes: halfOf(paths.keyHigh(id)), secret: true },
    { path: paths.hmacKey(id), bytes: hmacKey, secret: true },
    { path: paths.salt(id), bytes: salt, secret: true },
    { path: paths.efusePlan(id), bytes: efuse && planBytes(efuse) },
    { path: paths.certificate(id), bytes: certificatePem },
    { path: paths.image(id), bytes: image, secret: true },
  ];
  return files.flatMap(({ bytes, ...file }) => bytes === undefined ? [] : [{ ...file, bytes }]);
}

/** The label of a device that has its certificate. */
export function labelOf({ id }: BulkDevice, { serial }: Certificate): BulkFile {
  return { path: paths.label(id), bytes: encodeUtf8(formatLabel({ id, serial })) };
}

function planBytes({ plan: { command, ...rest } }: EfuseOutput): Bytes {
  return encodeUtf8(`${JSON.stringify({ ...rest, command: formatCommand(command) }, null, 2)}\n`);
}
