import { importPrivateKey } from "../../crypto/keys.ts";
import { createBulkMaker } from "../../provision/bulk_maker.ts";
import type { BulkMaker } from "../../provision/bulk_ports.ts";
import { diskFiles } from "./disk_files.ts";
import type { WorkerStart } from "./messages.ts";

/** The maker that a thread, or the process itself, works with. */
export async function openMaker(start: WorkerStart): Promise<BulkMaker> {
  const { folder, number, profile, phase, syncs, certificate, key } = start;
  const issuer = certificate === undefined ? {} : {
    issuer: key === undefined ? { certificate } : { certificate, key: await importPrivateKey(key) },
  };
  return await createBulkMaker({
    profile,
    phase,
    files: diskFiles(folder, String(number), syncs),
    ...issuer,
  });
}
