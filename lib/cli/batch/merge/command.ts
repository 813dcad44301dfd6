import { type BatchProblem, createDuplicateFinder, problem } from "../../../batch/check/device.ts";
import { areWhole, judgeShards, type Shard } from "../../../batch/check/shards.ts";
import type { KeptFiles } from "../../../batch/check/files.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import type { Arguments } from "../../arguments.ts";
import { findMissingFiles, keptIn } from "../check/device.ts";
import { findMissing, refuseLists } from "../check/expected.ts";
import { type BatchFolder, openBatch } from "../folder/batch.ts";
import { devicesIn, judgeJournal, manifestJudge, withJournal } from "../check/journal.ts";
import { collectColumns, judgeAlone, writeManifests } from "../folder/manifest.ts";
import { type JudgedShard, placeFiles } from "./merge.ts";
import { countOf, renderProblems } from "../check/report.ts";
import { inTarget, judgeTarget, refuseSame } from "./target.ts";
import type { Io } from "../../io.ts";
import { outputFolder } from "../../output/out.ts";
import { counted, startCounter } from "../../terminal/progress_line.ts";

/** Joins the folders of shards: checks all of them first, and writes nothing when one is wrong. */
export async function bulkMerge(args: Arguments, io: Io): Promise<number> {
  refuseLists("bulk merge", args);
  const out = outputFolder(args);
  await refuseSame(out, args.positionals);
  const force = args.has("force");
  const target = await judgeTarget(out, force);
  const shards = await Promise.all(args.positionals.map((path) => openBatch(path)));
  const { devices, failed, columns, problems, notes, judged } = await judgeAll(shards, args, io);
  for (const note of notes) io.note(`note: ${note}`);
  const made = { folder: out, devices, failed, notes, problems };
  if (problems.length > 0) {
    report({ ok: false, ...made }, args, io);
    return 1;
  }
  const { names: _, ...placed } = await inTarget(target, force, io, async (folder, signal) => {
    const counter = startCounter(io, ["brought over", "files"]);
    const place = { folder, copyOnly: args.has("copy"), signal, onFile: () => counter.add(1) };
    const placed = await placeFiles(judged, place).finally(counter.end);
    await writeManifests(folder, () => rowsOf(shards, signal), columns);
    return placed;
  });
  report({ ok: true, ...made, ...placed }, args, io);
  return 0;
}

/**
 * The rows of all shards, one of each in turn: the order of the device list, when the shards are named
 * in their order, for `--shard i/n` takes every nth device.
 */
async function* rowsOf(
  shards: readonly BatchFolder[],
  signal: AbortSignal,
): AsyncGenerator<ManifestRow> {
  let open = shards.map((shard) => shard.rows());
  while (open.length > 0) {
    const left: typeof open = [];
    for (const rows of open) {
      signal.throwIfAborted();
      const { done, value } = await rows.next();
      if (done) continue;
      yield value;
      left.push(rows);
    }
    open = left;
  }
}

interface Judged {
  readonly devices: number;
  readonly failed: number;
  readonly columns: readonly string[];
  readonly problems: readonly BatchProblem[];
  /** What is as it may be, and worth a word. */
  readonly notes: readonly string[];
  readonly judged: readonly JudgedShard[];
}

async function judgeAll(
  shards: readonly BatchFolder[],
  args: Arguments,
  io: Io,
): Promise<Judged> {
  const columns = new Set<string>();
  const parts: JudgedPart[] = [];
  const findDuplicates = createDuplicateFinder();
  const noteRow = (row: ManifestRow, { path }: BatchFolder) => {
    collectColumns(row, columns);
    return findDuplicates(row, path);
  };
  for (const shard of shards) parts.push(await judgeShard(shard, noteRow, args, io));
  const ids = new Set(parts.flatMap(({ ids }) => [...ids]));
  const hasList = args.has("devices") || args.has("count");
  return {
    devices: parts.reduce((sum, { devices }) => sum + devices, 0),
    failed: parts.reduce((sum, { failed }) => sum + failed, 0),
    columns: [...columns],
    problems: [
      ...judgeShards(parts.map(({ shard }) => shard)),
      ...judgeSecrets(parts),
      ...parts.flatMap(({ problems }) => problems),
      ...await findMissing(ids, args),
    ],
    notes: [
      ...parts.flatMap(({ notes }) => notes),
      ...hasList || areWhole(parts.map(({ shard }) => shard))
        ? []
        : ["a shard that is missing is not noticed without --devices or --count"],
    ],
    judged: parts,
  };
}

interface JudgedPart extends JudgedShard {
  readonly devices: number;
  readonly failed: number;
  readonly problems: readonly BatchProblem[];
  readonly notes: readonly string[];
  readonly kept: KeptFiles;
  readonly shard: Shard;
}

async function judgeShard(
  batch: BatchFolder,
  noteRow: (row: ManifestRow, shard: BatchFolder) => BatchProblem[],
  args: Arguments,
  io: Io,
): Promise<JudgedPart> {
  const { path } = batch;
  return await withJournal(path, async (journal, unreadable) => {
    const problems = [...unreadable, ...judgeJournal(path, journal)];
    const manifest = manifestJudge(path, journal);
    const kept = await keptIn(batch, journal);
    const [ids, columns] = [new Set<string>(), new Set<string>()];
    let [devices, failed] = [0, 0];
    const rows = counted(batch.rows(), io, ["checked", "devices"], devicesIn(journal));
    for await (const row of rows) {
      devices++;
      ids.add(row.id);
      collectColumns(row, columns);
      if (row.status === "failed") failed++;
      problems.push(...noteRow(row, batch), ...manifest.row(row));
      problems.push(...await judgeRow(batch, row, kept, args));
    }
    if (journal === undefined) problems.push(...await judgeAlone(batch, ids, columns));
    const hasFiles = devices > failed;
    return {
      batch,
      ids,
      devices,
      failed,
      problems: [...problems, ...manifest.end()],
      notes: kept.secrets ? [] : [`${path} has no secrets`],
      kept,
      shard: { path, facts: journal?.facts ?? { ...hasFiles && { labels: String(kept.labels) } } },
    };
  });
}

/** Keys are taken away from all shards or from none: nothing tells afterwards which had any. */
function judgeSecrets(parts: readonly JudgedPart[]): BatchProblem[] {
  const made = parts.filter(({ devices, failed }) => devices > failed);
  const first = made.find(({ kept }) => kept.secrets);
  if (first === undefined) return [];
  return made.filter(({ kept }) => !kept.secrets).map(({ batch: { path } }) =>
    problem("MISSING_FILE", null, `${path} has no secrets, and ${first.batch.path} has`)
  );
}

async function judgeRow(
  batch: BatchFolder,
  row: ManifestRow,
  kept: KeptFiles,
  args: Arguments,
): Promise<BatchProblem[]> {
  if (row.status !== "failed") return await findMissingFiles(batch, row, kept);
  if (args.has("keep-failed")) return [];
  return [problem("FAILED_DEVICE", row.id, `listed as failed in ${batch.path}`)];
}

interface Report {
  readonly ok: boolean;
  readonly folder: string;
  readonly devices: number;
  readonly failed: number;
  readonly notes: readonly string[];
  readonly problems: readonly BatchProblem[];
  readonly linked?: number;
  readonly copied?: number;
}

function report(made: Report, args: Arguments, io: Io): void {
  if (args.has("json")) return io.print(JSON.stringify(made, null, 2));
  if (!made.ok) {
    return io.print([...renderProblems(made.problems), "nothing was written"].join("\n"));
  }
  const { folder, devices, failed, linked = 0, copied = 0 } = made;
  io.note(
    `${countOf(devices, "device")}${failed === 0 ? "" : `, ${failed} of them failed`}: ${folder} ` +
      `(${countOf(linked, "file")} linked, ${copied} copied)`,
  );
  io.note(`next: bulk verify ${folder}`);
}
