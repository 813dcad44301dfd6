import { SecureCertError } from "../../../bytes/errors.ts";
import { encodeUtf8 } from "../../../bytes/text.ts";
import { readCertificate, readCertificates } from "../../../crypto/x509/certificate.ts";
import { bulk } from "../../../batch/bulk.ts";
import type { BulkShard } from "../../../batch/list/list.ts";
import type { KeySource } from "../../../batch/ports.ts";
import type { Arguments } from "../../arguments.ts";
import { openCa } from "../../input/ca.ts";
import { CliError, fileError, isSystemError } from "../../errors.ts";
import { certificatesAsPem } from "../../../image/stored.ts";
import { passwordOf } from "../../input/keys.ts";
import { explain, type Io, joinPath } from "../../io.ts";
import { startCounter } from "../../terminal/progress_line.ts";
import { takeCertificates, type TakenCertificates } from "./certificates.ts";
import { hasSecrets, syncFile } from "../folder/disk_files.ts";
import { type DiskSync, openDiskSync } from "../folder/disk_sync.ts";
import { agreeFacts } from "../journal/facts.ts";
import { type BatchFolder, openFolder, reserveWriters } from "../folder/open.ts";
import { type FolderJournal, folderJournal } from "../journal/journal.ts";
import { commandKeys } from "./key_command.ts";
import { openSigning } from "../threads/maker.ts";
import { isEmpty } from "../journal/meta.ts";
import { openPool, type WorkerPool } from "../threads/pool.ts";
import { startProgress } from "./progress.ts";
import { readyKeys } from "./ready_keys.ts";
import { reportRun } from "./report.ts";
import { type FileRules, jobReader, withFiles } from "./rows.ts";
import { planRun, type RunPlan } from "./run_plan.ts";
import { openSignal, type StopSignal } from "./signal.ts";

/** Makes the devices of a list: a folder that any later run goes on with. */
export async function runBulk(args: Arguments, io: Io): Promise<number> {
  const plan = await planRun(args, io);
  try {
    return await inBatch(plan, args, io);
  } catch (error) {
    throw isSystemError(error) ? explain("write", plan.out, error) : error;
  }
}

/** Holds folder, journal and threads while a run lasts. */
async function inBatch(plan: RunPlan, args: Arguments, io: Io): Promise<number> {
  const { profile, phase, out, labels, signingKeys } = plan;
  const folder = openFolder(out);
  let pool: WorkerPool | undefined;
  let journal: FolderJournal | undefined;
  let isUnused = false;
  try {
    refuseLost(folder);
    journal = folderJournal(folder.path, folder.database);
    // It ends when the list is taken up: a run that comes to nothing changes nothing.
    folder.database.exec("BEGIN IMMEDIATE");
    const ca = await caOf(plan, journal, args, io);
    await agreeFacts(plan, ca.certificate, journal, args);
    reserveWriters(folder, plan.workers + 1);
    const sync = await openDiskSync(out);
    const syncs = sync === undefined;
    const shared = { folder: out, profile, phase, syncs, labels, signingKeys, ...ca };
    pool = await openPool(plan.workers, shared);
    if (pool.missing !== undefined) io.note(`one thread; for more of them add ${pool.missing}`);
    return await runBatch(plan, { folder, journal, pool, ca, ...sync && { sync } }, args, io);
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

/** Keys in a folder whose journal is empty: it was lost, for it comes before the first key. */
function refuseLost({ path, database }: BatchFolder): void {
  if (!isEmpty(database) || !hasSecrets(path)) return;
  const message = `${path} has keys of devices that the journal does not know`;
  const hint =
    "journal.sqlite or its -wal was lost: take both from a backup, or give another folder";
  throw fileError("ERR_IO", path, message, hint);
}

interface Tools {
  readonly folder: BatchFolder;
  readonly journal: FolderJournal;
  readonly pool: WorkerPool;
  readonly ca: BatchCa;
  readonly sync?: DiskSync;
}

/** The CA; its certificate alone when it does not sign here, and none before there are requests. */
interface BatchCa {
  readonly certificate?: Uint8Array;
  /** PKCS#8. */
  readonly key?: Uint8Array;
}

async function caOf(
  plan: RunPlan,
  journal: FolderJournal,
  args: Arguments,
  io: Io,
): Promise<BatchCa> {
  const { phase, profile, shard } = plan;
  if (phase === "requests") return {};
  const path = args.get("ca") ?? profile.ca ?? "ca";
  const certificate = joinPath(path, "ca.pem");
  if (phase === "certificates") {
    const bytes = await io.readIfExists(certificate);
    if (bytes !== undefined) return { certificate: bytes };
    const hint = "--ca is a folder with ca.pem, the certificate of the CA that issued them";
    throw fileError("ERR_FILE_NOT_FOUND", certificate, `no CA in ${path}`, hint);
  }
  const isBegun = journal.fact("ca") !== undefined;
  if ((isBegun || shard !== undefined) && await io.readIfExists(certificate) === undefined) {
    const [why, hint] = isBegun
      ? ["the first run of this batch had one", "give its folder with --ca"]
      : ["the shards of a batch share one", "make it first, with the ca command"];
    throw fileError("ERR_FILE_NOT_FOUND", certificate, `no CA in ${path}: ${why}`, hint);
  }
  const { issuer, files } = await openCa(path, args, io);
  if (!readCertificate(issuer.certificate).isCa) {
    const message = "Cannot use CA: its certificate is not a CA's";
    throw new SecureCertError("ERR_CERTIFICATE", message);
  }
  if (files.length > 0) await io.makeDir(path);
  try {
    await io.write(files, false);
    for (const file of files) await syncFile(file.path);
  } catch (error) {
    // Another batch that begins now has made it in between.
    if (error instanceof CliError && error.code === "ERR_FILE_EXISTS") {
      return await caOf(plan, journal, args, io);
    }
    throw error;
  }
  return { certificate: certificatesAsPem(issuer.certificate), key: issuer.key.pkcs8 };
}

async function runBatch(plan: RunPlan, tools: Tools, args: Arguments, io: Io): Promise<number> {
  const { folder, journal, pool, sync = () => {} } = tools;
  if (args.has("retry-failed")) journal.retryFailed();
  const stop = openSignal(io);
  if (plan.phase === "certificates") await takeIssued(plan, tools, stop, args, io);
  const asJson = args.has("json");
  const progress = startProgress(asJson, io);
  try {
    const keys = await keysOf(plan, folder, stop, args, io);
    const run = bulk(withFiles(plan.devices, fileRules(plan, tools.ca)), {
      profile: plan.profile,
      phase: plan.phase,
      journal,
      files: { write: () => {}, read: () => new Uint8Array(), sync },
      ...await openSigning({ ...tools.ca, signingKeys: plan.signingKeys }),
      maker: pool.maker,
      calls: pool.calls,
      signal: stop.signal,
      ...plan.shard && { shard: plan.shard },
      ...keys && { keys },
      certificateOf: ({ certificate }) => encodeUtf8(certificate!),
      jobOf: jobReader(io),
      onList: progress.list,
      onStart: progress.start,
    });
    let next = await run.next();
    for (; next.done !== true; next = await run.next()) {
      progress.tell(next.value);
    }
    journal.finish();
    const told = { plan, keys, workers: pool.workers, seconds: progress.end() };
    return reportRun(next.value, told, args, io);
  } catch (error) {
    progress.end();
    throw shortenRows(error, io);
  } finally {
    stop.close();
  }
}

async function takeIssued(
  { shard }: RunPlan,
  { folder: { database }, journal, ca }: Tools,
  { signal, close }: StopSignal,
  args: Arguments,
  io: Io,
): Promise<void> {
  const counter = startCounter(io, ["read", "certificates"]);
  const work = { signal, onFile: () => counter.add(1) };
  const [from, trusted] = [args.need("certificates"), ca.certificate!];
  try {
    const taken = await takeCertificates(from, trusted, journal, database, work);
    counter.end();
    noteRefused(taken, shard, io);
  } catch (error) {
    counter.end();
    close();
    throw error;
  }
}

function fileRules(
  { profile, phase, hasKeys, shard }: RunPlan,
  { certificate }: BatchCa,
): FileRules {
  const trusted = certificate && readCertificates(certificate);
  return { profile, phase, hasKeys, ...trusted && { trusted }, ...shard && { shard } };
}

async function keysOf(
  { workers, shard, profile }: RunPlan,
  { database }: BatchFolder,
  stop: StopSignal,
  args: Arguments,
  io: Io,
): Promise<KeySource | undefined> {
  const [folder, command] = [args.get("keys"), args.get("key-command")];
  if (folder !== undefined) {
    const password = await passwordOf(args, io);
    const note = (line: string) => io.note(line);
    return readyKeys(folder, { database, profile, note, password, ...shard && { shard } });
  }
  return command === undefined ? undefined : await commandKeys(command, workers, stop);
}

/** In a shard, certificates of the other shards are no news. */
function noteRefused(
  { refused, strangers, others }: TakenCertificates,
  shard: BulkShard | undefined,
  io: Io,
): void {
  for (const line of refused) io.note(`refused ${line}`);
  if (others > 0) {
    io.note(`${others} files that are not .pem, .crt, .cer, .cert or .der passed over`);
  }
  if (shard === undefined) { for (const line of strangers) io.note(`refused ${line}`); }
  else if (strangers.length > 0) {
    const what = strangers.length === 1
      ? "1 certificate is"
      : `${strangers.length} certificates are`;
    io.note(`${what} for no device of this shard`);
  }
}

/** Every wrong row on a line of its own, and an error that counts them. */
function shortenRows(error: unknown, io: Io): unknown {
  if (!(error instanceof SecureCertError) || !Array.isArray(error.cause)) return error;
  const problems = error.cause as string[];
  for (const problem of problems) io.note(problem);
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  const message = `Cannot make devices: ${count} in the list, no key was made`;
  return new SecureCertError(error.code, message, {}, { cause: problems });
}
