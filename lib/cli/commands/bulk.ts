import { SecureCertError } from "../../bytes/errors.ts";
import { readCertificate } from "../../crypto/certificate_info.ts";
import { bulk, type BulkSummary } from "../../provision/bulk.ts";
import type { BulkShard } from "../../provision/bulk_list.ts";
import type { KeySource } from "../../provision/bulk_ports.ts";
import type { Arguments } from "../arguments.ts";
import { openBatch } from "../batch_folder.ts";
import { takeCertificates } from "../bulk/certificates.ts";
import { type DiskSync, openDiskSync } from "../bulk/disk_sync.ts";
import { agreeFacts } from "../bulk/facts.ts";
import { type BatchFolder, openFolder } from "../bulk/folder.ts";
import { type FolderJournal, folderJournal } from "../bulk/journal.ts";
import { commandKeys, readyKeys } from "../bulk/key_sources.ts";
import { openSigning } from "../bulk/maker.ts";
import { isEmpty } from "../bulk/meta.ts";
import { openPool, type WorkerPool } from "../bulk/pool.ts";
import { formatRate, startProgress, summaryReport } from "../bulk/progress.ts";
import { clearLeftovers, jobReader } from "../bulk/rows.ts";
import { planRun, type RunPlan } from "../bulk/run_plan.ts";
import { openSignal } from "../bulk/signal.ts";
import { fileError } from "../errors.ts";
import { explain, type Io, joinPath } from "../io.ts";
import type { Command } from "../run.ts";
import { openCa } from "./provision.ts";

/** Makes the devices of a list: a folder that any later run goes on with. */
export const bulkCommand: Command = async (args, io) => {
  const plan = await planRun(args, io);
  try {
    return await inBatch(plan, args, io);
  } catch (error) {
    const isOfDisk = error instanceof Error &&
      ("code" in error || /\(os error \d+\)$/.test(error.message));
    throw isOfDisk && !(error instanceof SecureCertError)
      ? explain("write", plan.out, error)
      : error;
  }
};

/** Holds folder, journal and threads while a run lasts. */
async function inBatch(plan: RunPlan, args: Arguments, io: Io): Promise<number> {
  const { profile, phase, out, pack, labels, signingKeys } = plan;
  const folder = openFolder(out);
  let pool: WorkerPool | undefined;
  let journal: FolderJournal | undefined;
  let isUnused = false;
  try {
    journal = folderJournal(folder.path, folder.database);
    const ca = await caOf(plan, args, io);
    agreeFacts(plan, ca.certificate, journal, args);
    if (pack) journal.pack();
    const sync = pack ? undefined : await openDiskSync(out);
    const syncs = !pack && sync === undefined;
    const shared = { folder: out, profile, phase, syncs, labels, pack, signingKeys, ...ca };
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

async function caOf({ phase, profile, shard }: RunPlan, args: Arguments, io: Io): Promise<BatchCa> {
  if (phase === "requests") return {};
  const path = args.get("ca") ?? profile.ca ?? "ca";
  const certificate = joinPath(path, "ca.pem");
  if (phase === "certificates") return { certificate: await io.read(certificate) };
  if (shard !== undefined && await io.readIfExists(certificate) === undefined) {
    const message = `no CA in ${path}: the shards of a batch share one`;
    throw fileError(
      "ERR_FILE_NOT_FOUND",
      certificate,
      message,
      "make it first, with the ca command",
    );
  }
  const { issuer, files } = await openCa(path, args, io);
  if (!readCertificate(issuer.certificate).isCa) {
    const message = "Cannot use CA: its certificate is not a CA's";
    throw new SecureCertError("ERR_CERTIFICATE", message);
  }
  if (files.length > 0) await io.makeDir(path);
  await io.write(files, false);
  return { certificate: issuer.certificate, key: issuer.key.pkcs8 };
}

async function runBatch(plan: RunPlan, tools: Tools, args: Arguments, io: Io): Promise<number> {
  const { folder, journal, pool, sync = () => {} } = tools;
  if (args.has("retry-failed")) journal.retryFailed();
  if (plan.phase === "certificates") {
    const taken = takeCertificates(args.need("certificates"), journal, folder.database);
    noteRefused(taken, plan.shard, io);
  }
  const stop = openSignal(io);
  const asJson = args.has("json");
  let progress: ReturnType<typeof startProgress> | undefined;
  try {
    const keys = keysOf(plan, folder, args, stop.signal);
    const run = bulk(plan.devices, {
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
      certificateOf: ({ certificate }) => io.read(certificate!),
      jobOf: jobReader(
        io,
        plan.pack && plan.phase === "certificates" ? await openBatch(plan.out) : undefined,
      ),
      onStart: (total) => void (progress = startProgress(total, asJson, io)),
    });
    let next = await run.next();
    for (; next.done !== true; next = await run.next()) {
      progress!.tell(next.value);
      if (next.value.state !== "failed") continue;
      clearLeftovers(folder.path, next.value.device.id, plan.phase === "certificates");
    }
    journal.finish();
    return report(plan, next.value, progress!.end(), keys, pool, args, io);
  } catch (error) {
    progress?.end();
    throw asJson ? error : noteRows(error, io);
  } finally {
    stop.close();
  }
}

function keysOf(
  { workers, shard }: RunPlan,
  { database }: BatchFolder,
  args: Arguments,
  signal: AbortSignal,
): KeySource | undefined {
  const [folder, command] = [args.get("keys"), args.get("key-command")];
  if (folder !== undefined) return readyKeys(folder, database, shard);
  return command === undefined ? undefined : commandKeys(command, workers, signal);
}

/** In a shard, certificates of the other shards are no news. */
function noteRefused(
  { refused, strangers }: ReturnType<typeof takeCertificates>,
  shard: BulkShard | undefined,
  io: Io,
): void {
  for (const line of refused) io.note(`refused ${line}`);
  if (shard === undefined) { for (const line of strangers) io.note(`refused ${line}`); }
  else if (strangers.length > 0) {
    const what = strangers.length === 1
      ? "1 certificate is"
      : `${strangers.length} certificates are`;
    io.note(`${what} for no device of this shard`);
  }
}

/** Every wrong row on a line of its own, and the error that counts them. */
function noteRows(error: unknown, io: Io): unknown {
  if (!(error instanceof SecureCertError) || !Array.isArray(error.cause)) return error;
  const problems = error.cause as string[];
  for (const problem of problems) io.note(problem);
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  return new SecureCertError(
    error.code,
    `Cannot make devices: ${count} in the list, no key was made`,
  );
}

function report(
  { out, phase }: RunPlan,
  summary: BulkSummary,
  seconds: number,
  keys: KeySource | undefined,
  pool: WorkerPool,
  args: Arguments,
  io: Io,
): number {
  const { counts, made, failed, stopped } = summary;
  const source = keys?.name ?? "WebCrypto";
  const facts = { folder: out, phase, keys: source, workers: pool.workers };
  const isDone = phase === "requests" ? counts.pending === 0 : counts["key made"] === 0;
  const isGood = counts.failed === 0 && !stopped && isDone;
  if (args.has("json")) {
    io.print(
      JSON.stringify({ summary: { ok: isGood, ...summaryReport(summary, facts, seconds) } }),
    );
  } else {
    const rate = formatRate((made + failed) / Math.max(seconds, 0.001));
    const done = phase === "requests" ? counts["key made"] : counts.verified;
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const what = phase === "requests" ? "requests" : "devices verified";
    io.print(
      `${done} of ${total} ${what} in ${out}; ${made + failed} in this run, ${
        seconds.toFixed(1)
      } s, ${rate}`,
    );
    io.print(`keys from ${source}; ${pool.workers} ${pool.workers === 1 ? "thread" : "threads"}`);
  }
  if (stopped) io.note("stopped; run the same command again to go on");
  if (counts.failed > 0) {
    io.note(`${counts.failed} failed; run again with --retry-failed to try them anew`);
    if (failed < counts.failed) io.note(`bulk status ${out} tells why`);
  }
  if (phase === "certificates" && !isDone) io.note(`${counts["key made"]} have no certificate yet`);
  if (phase === "requests") {
    io.note(`next: have csr/*.csr certified, and run again with --certificates DIR`);
  }
  return isGood ? 0 : 1;
}
