import { bulk } from "../../../batch/bulk.ts";
import { paths } from "../../../batch/files.ts";
import { isMisfit, REMEDY } from "../../../batch/make/left.ts";
import type { KeySource } from "../../../batch/ports.ts";
import { countOf, SecureCertError } from "../../../bytes/errors.ts";
import { encodeUtf8, shownWord } from "../../../bytes/text.ts";
import { readCertificates } from "../../../crypto/x509/certificate.ts";
import type { Finding } from "../../../findings/findings.ts";
import { checkStoredCa } from "../../../verify/certificates.ts";
import type { Arguments } from "../../command.ts";
import { fileError, isSystemError } from "../../errors.ts";
import { passwordOf } from "../../input/keys.ts";
import { noteFindings } from "../../output/images.ts";
import { explain, type Io, joinPath } from "../../io.ts";
import { answerSeconds, type ProgramOptions, type Programs } from "../../programs/pool.ts";
import { hasSecrets } from "../folder/disk.ts";
import { type DiskSync, openDiskSync } from "../folder/write.ts";
import { type HeldFolder, holdFolder, reserveWriters } from "../journal/hold.ts";
import { type FolderJournal, folderJournal } from "../journal/journal.ts";
import { isEmpty } from "../journal/rows.ts";
import { commandKeys, serverKeys } from "../keys/programs.ts";
import { type ReadyKeys, readyKeys } from "../keys/ready.ts";
import { listOf, renderFaults } from "../report.ts";
import { openSignal, type StopSignal } from "../signal.ts";
import { openSigning } from "../threads/maker.ts";
import { openPool, type WorkerPool } from "../threads/pool.ts";
import { type BatchCa, batchCa, isCaTaken } from "./ca.ts";
import { takeIssued } from "./certificates.ts";
import { agreeFacts, planRun, type RunPlan } from "./plan.ts";
import { reportRun, startProgress } from "./progress.ts";
import { jobReader, withFiles } from "./rows.ts";

/** Makes the devices of a list, in a folder that any later run continues. */
export async function runBulk(args: Arguments, io: Io): Promise<number> {
  const plan = await planRun(args, io);
  try {
    return await inBatch(plan, args, io);
  } catch (error) {
    // A list that comes only once is gone.
    if (isCaTaken(error) && !plan.list.isStream) return await runBulk(args, io);
    throw isSystemError(error) ? explain("write", plan.out, error) : error;
  }
}

/** Holds folder, journal and threads while a run lasts. */
async function inBatch(plan: RunPlan, args: Arguments, io: Io): Promise<number> {
  const { profile, phase, out, labels, signingKeys, caCert } = plan;
  const folder = holdFolder(out);
  const stop = openSignal(io);
  let pool: WorkerPool | undefined;
  let journal: FolderJournal | undefined;
  let caPrograms: Programs | undefined;
  let isUnused = false;
  try {
    refuseLost(folder);
    journal = folderJournal(folder.path, folder.database);
    // It ends when the list is taken up: a run that fails here changes nothing.
    folder.database.exec("BEGIN IMMEDIATE");
    const ca = await batchCa(plan, journal, args, io);
    await agreeFacts(plan, ca.certificate, journal, args);
    caPrograms = await caProgramsOf(plan, ca, stop, args);
    reserveWriters(folder, plan.workers + 1);
    const sync = await openDiskSync(out);
    const syncs = sync === undefined;
    const { certificate, key } = ca;
    const cas = { caCert, certificate, key };
    const options = { profile, phase, syncs, labels, signingKeys, resumes: !folder.isNew };
    const shared = { folder: out, ...options, ...cas };
    pool = await openPool(plan.workers, shared, caPrograms?.ask);
    if (pool.missing !== undefined) io.note(`one thread; for more, add ${pool.missing}`);
    const tools = { folder, journal, pool, ca, caPrograms, sync, stop };
    return await runBatch(plan, tools, args, io);
  } catch (error) {
    if (folder.database.isTransaction) folder.database.exec("ROLLBACK");
    isUnused = isEmpty(folder.database);
    throw error;
  } finally {
    pool?.close();
    await endPrograms(caPrograms);
    journal?.close();
    folder.close(isUnused);
    stop.close();
  }
}

/** Ends programs of a run that has failed: what is wrong with them is not why. */
async function endPrograms(programs: Pick<Programs, "close"> | undefined): Promise<void> {
  await programs?.close().catch(() => {});
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
  readonly caPrograms?: Programs;
  readonly sync?: DiskSync;
  readonly stop: StopSignal;
}

async function runBatch(plan: RunPlan, tools: Tools, args: Arguments, io: Io): Promise<number> {
  const { folder, journal, pool, ca, caPrograms, sync = () => {}, stop } = tools;
  const { profile, phase, shard, hasKeys, signingKeys, caCert, namesCa } = plan;
  if (args.has("retry-failed")) journal.retryFailed();
  if (phase === "certificates") {
    const from = args.need("certificates");
    await takeIssued(from, ca.certificate, { folder, journal, shard, signal: stop.signal }, io);
  }
  const isIssuerKnown = caCert === undefined || namesCa;
  const trusted = isIssuerKnown && ca.certificate ? readCertificates(ca.certificate) : undefined;
  const progress = startProgress(args.has("json"), io);
  let keys: RunKeys | undefined;
  try {
    keys = await keysOf(plan, folder, stop, args, io);
    const devices = withFiles(plan.list.devices, { profile, phase, hasKeys, trusted, shard });
    const run = bulk(devices, {
      profile,
      phase,
      caCert,
      journal,
      // The threads have files of their own.
      files: { write: () => {}, read: () => new Uint8Array(), sync },
      ...await openSigning({ ...ca, signingKeys }, caPrograms?.ask),
      maker: pool.maker,
      calls: pool.calls,
      signal: stop.signal,
      shard,
      keys,
      certificateOf: ({ certificate }) => encodeUtf8(certificate!),
      jobOf: jobReader(io),
      resumes: !folder.isNew,
      onList: progress.list,
      onStart: async (total) => {
        await keys?.assign?.();
        await ca.keep();
        const kept = journal.columns();
        if (kept.length > 0) {
          io.note(`kept for the manifest: the columns ${listOf(kept.map(shownWord))}`);
        }
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
    await keys?.close?.();
    await caPrograms?.close();
    const seconds = progress.end();
    const findings = first === undefined ? [] : await storedCaFindings(first, plan, io);
    noteFindings(findings, io);
    const facts = { plan, keys, workers: pool.workers, seconds, findings };
    return reportRun(next.value, facts, args, io);
  } catch (error) {
    progress.end();
    throw shortened(error, io);
  } finally {
    if (keys?.close !== undefined) await endPrograms({ close: keys.close });
  }
}

/** What there is to say of the CA that all devices store, by the first that was made. */
async function storedCaFindings(id: string, { out, caCert }: RunPlan, io: Io): Promise<Finding[]> {
  if (caCert === undefined) return [];
  const bundle = readCertificates(await io.read(joinPath(out, paths.certificate(id))));
  return await checkStoredCa(bundle, readCertificates(caCert));
}

/** Where keys come from, what is done with them after the list was read, and what ends it. */
type RunKeys = KeySource & Partial<Pick<Programs, "close">> & Partial<Pick<ReadyKeys, "assign">>;

async function keysOf(
  { workers, shard, profile, phase }: RunPlan,
  { database }: HeldFolder,
  stop: StopSignal,
  args: Arguments,
  io: Io,
): Promise<RunKeys | undefined> {
  const folder = args.get("keys");
  if (folder !== undefined) {
    const password = await passwordOf(args, io);
    return readyKeys(folder, { database, profile, note: (line) => io.note(line), password, shard });
  }
  const command = args.get("key-command");
  if (command !== undefined) return await commandKeys(command, workers, stop, io.note);
  const server = args.get("key-server");
  if (server === undefined || phase === "certificates") return undefined;
  return await serverKeys(profile, programOptions(server, workers, stop, args));
}

/** The programs that sign for the CA, one a thread, where `--ca-command` names one. */
async function caProgramsOf(
  { workers }: RunPlan,
  { certificate }: BatchCa,
  stop: StopSignal,
  args: Arguments,
): Promise<Programs | undefined> {
  const command = args.get("ca-command");
  if (command === undefined) return undefined;
  const { openCaPrograms } = await import("../../programs/ca.ts");
  return await openCaPrograms(certificate!, programOptions(command, workers, stop, args));
}

function programOptions(
  line: string,
  most: number,
  { signal, kill }: StopSignal,
  args: Arguments,
): Pick<ProgramOptions, "line" | "most" | "seconds" | "signal" | "kill"> {
  return { line, most, seconds: answerSeconds(args), signal, kill };
}

/** Wrong rows or devices, each on a line of its own, and an error that counts them. */
function shortened(error: unknown, io: Io): unknown {
  if (!(error instanceof SecureCertError) || error.problems.length === 0) return error;
  const lines = error.problems.map(({ message }) => message);
  for (const line of renderFaults(lines)) io.note(line);
  const problems = isMisfit(error)
    ? `files of ${
      countOf(lines.length, "device")
    } that the journal does not list as made; ${REMEDY}`
    : `${
      lines.length === 1 ? "a problem" : countOf(lines.length, "problem")
    } in the list, no key was made`;
  const message = `Cannot make devices: ${problems}`;
  return new SecureCertError(error.code, message, error.place, { cause: lines });
}
