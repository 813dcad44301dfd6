import { importPrivateKey } from "../../crypto/keys.ts";
import { createSigner } from "../../crypto/signature.ts";
import { createBulkMaker } from "../../provision/bulk_maker.ts";
import type { BulkMaker } from "../../provision/bulk_ports.ts";
import { diskFiles } from "./disk_files.ts";
import { holdFiles, holdResults } from "./held_files.ts";
import type { WorkerStart } from "./messages.ts";

/** The maker that a thread, or the process itself, works with. */
export async function openMaker(start: WorkerStart): Promise<BulkMaker> {
  const { folder, number, profile, phase, syncs, pack, labels, certificate, key } = start;
  const issuer = certificate === undefined ? {} : {
    issuer: key === undefined ? { certificate } : { certificate, key: await importPrivateKey(key) },
  };
  const keys = await Promise.all(start.signingKeys.map((key) => importPrivateKey(key)));
  const shared = { profile, phase, labels, signers: keys.map(createSigner), ...issuer };
  if (!pack) {
    return await createBulkMaker({ ...shared, files: diskFiles(folder, String(number), syncs) });
  }
  const files = holdFiles();
  return holdResults(files, await createBulkMaker({ ...shared, files }));
}
