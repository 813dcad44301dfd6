import type { BulkDevice } from "../../provision/bulk_devices.ts";
import type { BulkJob } from "../../provision/bulk_ports.ts";
import { paths } from "../../provision/bulk_results.ts";
import { type Io, joinPath } from "../io.ts";

/** Reads the files that the columns `certificate` and `privateKey` of a row name. */
export function jobReader(io: Io): (device: BulkDevice) => Promise<Partial<BulkJob>> {
  return async ({ fields }) => {
    const { certificate, privateKey } = fields;
    const job: { key?: Uint8Array; certificate?: Uint8Array } = {};
    for (const [name, path] of [["certificate", certificate], ["key", privateKey]] as const) {
      if (path === undefined || path === "") continue;
      const bytes = await io.readIfExists(path);
      if (bytes === undefined) return { problem: `Cannot read ${path}: no such file` };
      job[name] = bytes;
    }
    return job;
  };
}

/** Removes what a device that failed may have left; its key goes with it, for nothing uses it. */
export function clearLeftovers(folder: string, id: string): void {
  for (const path of Object.values(paths)) {
    try {
      Deno.removeSync(joinPath(folder, path(id)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
