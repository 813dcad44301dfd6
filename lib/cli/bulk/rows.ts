import { SecureCertError } from "../../bytes/errors.ts";
import { equalBytes } from "../../bytes/pack.ts";
import { shownName } from "../../bytes/shown_name.ts";
import { readCertificate } from "../../crypto/certificate_info.ts";
import { certificateParts } from "../../crypto/der_walk.ts";
import { importPrivateKey } from "../../crypto/keys.ts";
import type { KeyMode } from "../../format/names.ts";
import type { BulkDevice, DeviceRow } from "../../provision/bulk_devices.ts";
import { keyProblem, wantedKey } from "../../provision/bulk_keys.ts";
import { type BulkShard, isInShard } from "../../provision/bulk_list.ts";
import type { BulkFile, BulkJob, BulkPhase } from "../../provision/bulk_ports.ts";
import type { BulkProfile } from "../../provision/bulk_profile.ts";
import { paths } from "../../provision/bulk_results.ts";
import type { BatchFolder } from "../batch_folder.ts";
import { explain, type Io } from "../io.ts";

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

/** What files of rows are judged by. */
interface FileRules {
  readonly profile: BulkProfile;
  readonly phase: BulkPhase;
  /** Whether keys come from elsewhere, so that one may belong to a certificate. */
  readonly hasKeys: boolean;
  /** The part of the list whose files are here. */
  readonly shard?: BulkShard;
}

/** Tells of files that rows name and that will not do, before anything is made. */
export async function* withFiles(
  devices: AsyncIterable<DeviceRow> | Iterable<DeviceRow>,
  rules: FileRules,
): AsyncGenerator<DeviceRow> {
  for await (const row of devices) {
    const isMine = "device" in row && isInShard(row.device, rules.shard);
    const problem = isMine ? await fileProblem(row.device, rules) : undefined;
    yield problem === undefined ? row : { problem };
  }
}

async function fileProblem(
  { id, fields }: BulkDevice,
  { profile, phase, hasKeys }: FileRules,
): Promise<string | undefined> {
  const { certificate = "", privateKey = "" } = fields;
  const keyMode = (fields.keyMode || profile.keyMode || "plaintext") as KeyMode;
  if (keyMode === "hmac-derived" && (hasKeys || privateKey !== "")) {
    return `${id}: hmac-derived makes its key; it takes no other`;
  }
  try {
    const key = privateKey === "" ? undefined : await importPrivateKey(readRowFile(privateKey));
    const problem = key && keyProblem(key, wantedKey(profile, { keyMode }));
    if (problem !== undefined) return `${id}: ${problem}`;
    if (certificate === "") return undefined;
    const { publicKey } = certificateParts(readCertificate(readRowFile(certificate)).der);
    if (key !== undefined && !equalBytes(key.publicKey, publicKey)) {
      return `${id}: its certificate is for another key`;
    }
    const isKeyKnown = key !== undefined || hasKeys || phase === "certificates";
    return isKeyKnown ? undefined : `${id}: a certificate needs its key, in the column privateKey`;
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return `${id}: ${error.message}`;
  }
}

/** The bytes of a file that a row names; a row is at fault when there is none. */
function readRowFile(path: string): Uint8Array {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    const isRow = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.IsADirectory;
    if (!isRow) throw explain("read", path, error);
    const what = error instanceof Deno.errors.NotFound ? "no such file" : "it is a folder";
    throw new SecureCertError("ERR_PLAN", `Cannot read ${shownName(path)}: ${what}`);
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
