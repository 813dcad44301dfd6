import { bulk } from "../../../batch/bulk.ts";
import { paths } from "../../../batch/files.ts";
import type { KeySource } from "../../../batch/ports.ts";
import { SecureCertError } from "../../../bytes/errors.ts";
import { encodeUtf8 } from "../../../bytes/text.ts";
import { readCertificates } from "../../../crypto/x509/certificate.ts";
import type { Finding } from "../../../findings/findings.ts";
import { checkStoredCa } from "../../../verify/certificates.ts";
import type { Arguments } from "../../arguments.ts";
import { fileError, isSystemError } from "../../errors.ts";
import { passwordOf } from "../../input/keys.ts";
import { noteFindings } from "../../output/images.ts";
import { explain, type Io, joinPath } from "../../io.ts";
import { hasSecrets } from "../folder/disk.ts";
import { type DiskSync, openDiskSync } from "../folder/sync.ts";
import { type HeldFolder, holdFolder, reserveWriters } from "../journal/hold.ts";
import { type FolderJournal, folderJournal } from "../journal/journal.ts";
import { isEmpty } from "../journal/rows.ts";
import { commandKeys } from "../keys/command.ts";
import { readyKeys } from "../keys/ready.ts";
import { listOf, renderFaults } from "../report.ts";
import { openSignal, type StopSignal } from "../signal.ts";
import { openSigning } from "../threads/maker.ts";
import { openPool, type WorkerPool } from "../threads/pool.ts";
import { type BatchCa, batchCa, isCaTaken } from "./ca.ts";
import { takeIssued } from "./certificates.ts";
import { agreeFacts } from "./facts.ts";
import { planRun, type RunPlan } from "./plan.ts";
import { startProgress } from "./progress.ts";
import { reportRun } from "./report.ts";
import { jobReader, withFiles } from "./rows.ts";

/** Makes the devices of a list, in a folder that any later run continues. */
export async function runBulk(args: Arguments, io: Io): Promise<number> {
  const plan = await planRun(args, io);
  try {
    return await inBatch(plan, args, io);
  } catch (error) {
    // A list from stdin is gone.
    if (isCaTaken(error) && args.get("devices") !== "-") return await runBulk(args, io);
    throw isSystemError(error) ? explain("write", plan.out, error) : error;
  }
}

/** Holds folder, journal and threads while a run lasts. */
async function inBatch(plan: RunPlan, args: Arguments, io: Io): Promise<number> {
  const { profile, phase, out, labels, signingKeys, caCert } = plan;
  const folder = holdFolder(out);
  let pool: WorkerPool | undefined;
  let journal: FolderJournal | undefined;
  let isUnused = false;
  try {
    refuseLost(folder);
    journal = folderJournal(folder.path, folder.database);
    // It ends when the list is taken up: a run that fails here changes nothing.
    folder.database.exec("BEGIN IMMEDIATE");
    const ca = await batchCa(plan, journal, args, io);
    await agreeFacts(plan, ca.certificate, journal, args);
    reserveWriters(folder, plan.workers + 1);
    const sync = await openDiskSync(out);
    const syncs = sync === undefined;
    const { certificate, key } = ca;
    const cas = { caCert, certificate, key };
    const options = { profile, phase, syncs, labels, signingKeys, resumes: !folder.isNew };
    const shared = { folder: out, ...options, ...cas };
    pool = await openPool(plan.workers, shared);
    if (pool.missing !== undefined) io.note(`one thread; for more, add ${pool.missing}`);
    return await runBatch(plan, { folder, journal, pool, ca, sync }, args, io);
  } catch (error) {
    if (folder.database.isTransaction) folder.database.exec("ROLLBACK");
    isUnused = isEmpty(folder.database);
    throw error;
  } finally {
    pool?.close();
    journal?.close();
    folder.close(isUnused);
  }
}

/** Keys in a folder whose journal is empty: it was lost, because it comes before the first key. */
function refuseLost({ path, database }: HeldFolder): void {
  if (!isEmpty(database) || !hasSecrets(path)) return;
  const message = `${path} has keys of devices that the journal does not know`;
  const hint =
    "journal.sqlite or its -wal was lost: take both from a backup, or give another folder";
  throw fileError("ERR_IO", path, message, hint);
}

interface Tools {
  readonly folder: HeldFolder;
  readonly journal: FolderJournal;
  readonly pool: WorkerPool;
  readonly ca: BatchCa;
  readonly sync?: DiskSync;
}

async function runBatch(plan: RunPlan, tools: Tools, args: Arguments, io: Io): Promise<number> {
  const { folder, journal, pool, ca, sync = () => {} } = tools;
  const { profile, phase, shard, hasKeys, signingKeys, caCert, namesCa } = plan;
  if (args.has("retry-failed")) journal.retryFailed();
  const stop = openSignal(io);
  try {
    if (phase === "certificates") {
      const from = args.need("certificates");
      await takeIssued(from, ca.certificate, { folder, journal, shard, signal: stop.signal }, io);
    }
    const isIssuerKnown = caCert === undefined || namesCa;
    const trusted = isIssuerKnown && ca.certificate ? readCertificates(ca.certificate) : undefined;
    const progress = startProgress(args.has("json"), io);
    try {
      const keys = await keysOf(plan, folder, stop, args, io);
      const devices = withFiles(plan.devices, { profile, phase, hasKeys, trusted, shard });
      const run = bulk(devices, {
        profile,
        phase,
        caCert,
        journal,
        // The threads have files of their own.
        files: { write: () => {}, read: () => new Uint8Array(), sync },
        ...await openSigning({ ...ca, signingKeys }),
        maker: pool.maker,
        calls: pool.calls,
        signal: stop.signal,
        shard,
        keys,
        certificateOf: ({ certificate }) => encodeUtf8(certificate!),
        jobOf: jobReader(io),
        onList: progress.list,
        onStart: async (total) => {
          await ca.keep();
          const kept = journal.columns();
          if (kept.length > 0) io.note(`kept for the manifest: the columns ${listOf(kept)}`);
          progress.start(total);
        },
      });
      let next = await run.next();
      let first: string | undefined;
      for (; next.done !== true; next = await run.next()) {
        progress.add(next.value);
        if (next.value.state === "verified") first ??= next.value.device.id;
      }
      await journal.finish();
      const seconds = progress.end();
      const findings = first === undefined ? [] : await storedCaFindings(first, plan, io);
      noteFindings(findings, io);
      const facts = { plan, keys, workers: pool.workers, seconds, findings };
      return reportRun(next.value, facts, args, io);
    } catch (error) {
      progress.end();
      throw shortened(error, io);
    }
  } finally {
    stop.close();
  }
}

/** What there is to say of the CA that all devices store, by the first that was made. */
async function storedCaFindings(id: string, { out, caCert }: RunPlan, io: Io): Promise<Finding[]> {
  if (caCert === undefined) return [];
  const bundle = readCertificates(await io.read(joinPath(out, paths.certificate(id))));
  return await checkStoredCa(bundle, readCertificates(caCert));
}

async function keysOf(
  { workers, shard, profile }: RunPlan,
  { database }: HeldFolder,
  stop: StopSignal,
  args: Arguments,
  io: Io,
): Promise<KeySource | undefined> {
  const [folder, command] = [args.get("keys"), args.get("key-command")];
  if (folder !== undefined) {
    const password = await passwordOf(args, io);
    return readyKeys(folder, { database, profile, note: (line) => io.note(line), password, shard });
  }
  return command === undefined ? undefined : await commandKeys(command, workers, stop, io.note);
}

/** Wrong rows, each on a line of its own, and an error that counts them. */
function shortened(error: unknown, io: Io): unknown {
  if (!(error instanceof SecureCertError) || error.problems.length === 0) return error;
  const lines = error.problems.map(({ message }) => message);
  for (const line of renderFaults(lines)) io.note(line);
  const count = lines.length === 1 ? "a problem" : `${lines.length} problems`;
  const message = `Cannot make devices: ${count} in the list, no key was made`;
  return new SecureCertError(error.code, message, {}, { cause: lines });
}
