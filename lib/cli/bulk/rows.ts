import { shownName } from "../../bytes/shown_name.ts";
import type { BulkDevice, DeviceRow } from "../../provision/bulk_devices.ts";
import type { BulkFile, BulkJob } from "../../provision/bulk_ports.ts";
import { paths } from "../../provision/bulk_results.ts";
import type { BatchFolder } from "../batch_folder.ts";
import { explain, type Io, joinPath } from "../io.ts";

/**
 * Reads the files that the columns `certificate` and `privateKey` of a row name, and what an earlier
 * phase made of the device.
 *
 * @param packed Where that lies, when it is packed.
 */
export function jobReader(
  io: Io,
  packed?: BatchFolder,
): (device: BulkDevice) => Promise<Partial<BulkJob>> {
  return async ({ id, fields }) => {
    const { certificate, privateKey } = fields;
    const job: { key?: Uint8Array; certificate?: Uint8Array; files?: BulkFile[] } = {};
    if (packed !== undefined) job.files = await secretsOf(id, packed);
    for (const [name, path] of [["certificate", certificate], ["key", privateKey]] as const) {
      if (path === undefined || path === "") continue;
      const bytes = await io.readIfExists(path);
      if (bytes === undefined) return { problem: `Cannot read ${path}: no such file` };
      job[name] = bytes;
    }
    return job;
  };
}

/** Tells of files that rows name and that are not there, before anything is made. */
export async function* withFiles(
  devices: AsyncIterable<DeviceRow> | Iterable<DeviceRow>,
): AsyncGenerator<DeviceRow> {
  for await (const row of devices) {
    if ("problem" in row) {
      yield row;
      continue;
    }
    const { id, fields } = row.device;
    const missing = [fields.certificate, fields.privateKey].find((path) => path && !isFile(path));
    yield missing ? { problem: `${id}: Cannot read ${shownName(missing)}: no such file` } : row;
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw explain("read", path, error);
  }
}

async function secretsOf(id: string, packed: BatchFolder): Promise<BulkFile[]> {
  const files: BulkFile[] = [];
  for (const path of [paths.key(id), paths.hmacKey(id), paths.salt(id)]) {
    const bytes = await packed.read(path);
    if (bytes !== undefined) files.push({ path, bytes, secret: true });
  }
  return files;
}

/**
 * Removes what a device that failed may have left. Its key goes with it, for nothing uses it, unless a
 * request was made with it, for which a right certificate may still come.
 *
 * @param keepsKey Whether there was a request.
 */
export function clearLeftovers(folder: string, id: string, keepsKey: boolean): void {
  const kept: readonly unknown[] = keepsKey
    ? [paths.key, paths.hmacKey, paths.salt, paths.request]
    : [];
  for (const path of Object.values(paths).filter((each) => !kept.includes(each))) {
    try {
      Deno.removeSync(joinPath(folder, path(id)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
