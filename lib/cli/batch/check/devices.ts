import {
  checkDevice,
  type DeviceCheckOptions,
  type FinishedFiles,
} from "../../../batch/check/device.ts";
import { type BatchProblem, problem } from "../../../batch/check/problem.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import { createCertificateReader } from "../../../crypto/x509/certificate.ts";
import { CliError } from "../../errors.ts";
import { type BatchFolder, openBatch } from "../folder/batch.ts";
import type { Doer } from "../../threads/share.ts";

/** Certificates that are kept: those of the devices under way, and their CA. */
const KEPT_CERTIFICATES = 64;

/** How the devices of a batch are checked, the same for all. */
export interface CheckTask
  extends Pick<DeviceCheckOptions, "chip" | "allowWeak" | "kept" | "hasRequests"> {
  /** The folder of the batch. */
  readonly folder: string;
  /** The CA that should have issued the certificates, PEM or DER. */
  readonly ca?: Uint8Array;
}

/** A device of the manifest. */
export interface ListedDevice {
  readonly row: ManifestRow;
  /** Its chip by the journal. */
  readonly ownChip: DeviceCheckOptions["ownChip"];
}

/** What is wrong with each of some devices, in their order. */
export type CheckedDevices = readonly (readonly BatchProblem[])[];

/**
 * What reads the files of devices back and checks them.
 *
 * @throws {CliError} as {@linkcode openBatch}.
 */
export async function deviceChecker(
  { folder, ...task }: CheckTask,
): Promise<Doer<readonly ListedDevice[], CheckedDevices>> {
  const batch = await openBatch(folder);
  const options = { ...task, certificatesOf: createCertificateReader(KEPT_CERTIFICATES) };
  return (devices) =>
    Promise.all(
      devices.map(({ row, ownChip }) =>
        withUnread(batch, row, (files) => checkDevice(row, files, { ...options, ownChip }))
      ),
    );
}

/** What a check finds in the files of a device, and which of them cannot be read. */
export async function withUnread(
  batch: BatchFolder,
  row: ManifestRow,
  check: (files: FinishedFiles) => Promise<BatchProblem[]>,
): Promise<BatchProblem[]> {
  const unread = new Map<string, BatchProblem>();
  const problems = await check({
    ...batch,
    read: async (path) => {
      try {
        return await batch.read(path);
      } catch (error) {
        if (!(error instanceof CliError)) throw error;
        unread.set(path, problem("MISSING_FILE", row.id, error.message));
        return undefined;
      }
    },
    has: async (path) => unread.has(path) || await batch.has(path),
  });
  return [...unread.values(), ...problems];
}
