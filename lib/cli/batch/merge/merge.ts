import { countOf } from "../../../bytes/errors.ts";
import { findLostFiles } from "../../../batch/check/device.ts";
import { createDuplicateFinder } from "../../../batch/check/duplicates.ts";
import type { KeptFiles } from "../../../batch/check/files.ts";
import { type BatchProblem, problem } from "../../../batch/check/problem.ts";
import { areWhole, checkShards, type Shard } from "../../../batch/check/shards.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import type { Arguments } from "../../command.ts";
import type { Io } from "../../io.ts";
import { forceOf, outputFolder, printJson } from "../../output/out.ts";
import { counted, startCounter } from "../../terminal/progress_line.ts";
import { withUnread } from "../check/devices.ts";
import { checkRows, checkUnfinished, checkWithoutJournal, devicesIn } from "../check/manifest.ts";
import { AT_A_TIME, keptIn } from "../check/verify.ts";
import { findMissing, refuseLists } from "../device_list.ts";
import { type BatchFolder, openBatch } from "../folder/batch.ts";
import { writeManifests } from "../folder/manifests.ts";
import { withJournal } from "../journal/read.ts";
import { renderProblems } from "../report.ts";
import { inGroups } from "../../threads/share.ts";
import { checkTarget, inTarget, type OwnDevices, placeFiles, refuseSame } from "./target.ts";

/** Joins the folders of shards: checks all of them first, and writes nothing when one is wrong. */
export async function bulkMerge(args: Arguments, io: Io): Promise<number> {
  refuseLists("bulk merge", args);
  const out = outputFolder(args);
  await refuseSame(out, args.positionals);
  const force = forceOf(args);
  const target = await checkTarget(out, force);
  const batches = await Promise.all(args.positionals.map((path) => openBatch(path)));
  const checked = await checkAll(batches, args, io);
  const { devices, failed, columns, problems, notes, shards } = checked;
  for (const note of notes) io.note(`note: ${note}`);
  const made = { folder: out, devices, failed, notes, problems };
  if (problems.length > 0) {
    report({ ok: false, ...made }, args, io);
    return 1;
  }
  const { names: _, ...placed } = await inTarget(target, force, io, async (folder, signal) => {
    const counter = startCounter(io, ["brought over", "files"]);
    const place = { folder, copyOnly: args.has("copy"), signal, onFile: () => counter.add(1) };
    const placed = await placeFiles(shards, place).finally(counter.end);
    await writeManifests(folder, rowsOf(batches, signal), columns);
    return placed;
  });
  report({ ok: true, ...made, ...placed }, args, io);
  return 0;
}

/**
 * The rows of all shards, one of each in turn: the order of the device list, when the shards are named
 * in their order, because `--shard i/n` takes every nth device.
 */
async function* rowsOf(
  batches: readonly BatchFolder[],
  signal: AbortSignal,
): AsyncGenerator<ManifestRow> {
  let open = batches.map((batch) => batch.rows());
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
  if (args.has("json")) return printJson(made, io);
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

/** Shards that were checked, each by itself and with the others. */
interface CheckedShards {
  readonly devices: number;
  readonly failed: number;
  /** Columns of the device list that the rows have. */
  readonly columns: readonly string[];
  readonly problems: readonly BatchProblem[];
  /** What is not wrong, and good to know. */
  readonly notes: readonly string[];
  readonly shards: readonly OwnDevices[];
}

interface CheckedShard extends OwnDevices {
  readonly ids: ReadonlySet<string>;
  readonly devices: number;
  readonly failed: number;
  readonly columns: ReadonlySet<string>;
  readonly problems: readonly BatchProblem[];
  readonly kept: KeptFiles;
  readonly shard: Shard;
}

type FindDuplicates = ReturnType<typeof createDuplicateFinder>;

/** Checks all shards before anything is written: that their files are those of the manifests. */
async function checkAll(
  batches: readonly BatchFolder[],
  args: Arguments,
  io: Io,
): Promise<CheckedShards> {
  const findDuplicates = createDuplicateFinder();
  const shards: CheckedShard[] = [];
  for (const batch of batches) shards.push(await checkShard(batch, findDuplicates, args, io));
  const facts = shards.map(({ shard }) => shard);
  const ids = new Set(shards.flatMap(({ ids }) => [...ids]));
  const sum = (of: "devices" | "failed") => shards.reduce((total, each) => total + each[of], 0);
  const isListKnown = args.has("devices") || args.has("count") || areWhole(facts);
  return {
    devices: sum("devices"),
    failed: sum("failed"),
    columns: [...new Set(shards.flatMap(({ columns }) => [...columns]))],
    problems: [
      ...checkShards(facts),
      ...checkSecrets(shards),
      ...shards.flatMap(({ problems }) => problems),
      ...await findMissing(ids, args),
    ],
    notes: [
      ...shards.filter(({ kept }) => !kept.secrets)
        .map(({ batch: { path } }) => `${path} has no secrets`),
      ...isListKnown ? [] : ["a shard that is missing is not noticed without --devices or --count"],
    ],
    shards,
  };
}

async function checkShard(
  batch: BatchFolder,
  findDuplicates: FindDuplicates,
  args: Arguments,
  io: Io,
): Promise<CheckedShard> {
  const { path } = batch;
  return await withJournal(path, async (journal, unreadable) => {
    const problems = [...unreadable, ...checkUnfinished(path, journal)];
    const check = checkRows(batch, journal, { findDuplicates: (row) => findDuplicates(row, path) });
    const kept = await keptIn(batch, journal);
    let [devices, failed] = [0, 0];
    const rows = counted(batch.rows(), io, ["checked", "devices"], devicesIn(journal));
    for await (const group of inGroups(rows, AT_A_TIME)) {
      devices += group.length;
      failed += group.filter(({ status }) => status === "failed").length;
      const lost = await Promise.all(group.map((row) => checkRow(batch, row, kept, args)));
      group.forEach((row, at) => problems.push(...check.row(row), ...lost[at]!));
    }
    const { ids, fileNames, columns } = check;
    if (journal === undefined) {
      problems.push(...await checkWithoutJournal(batch, fileNames, columns));
    }
    problems.push(...check.end());
    const seen = devices > failed ? { labels: String(kept.labels) } : {};
    const shard = { path, facts: journal?.facts ?? seen };
    return { batch, ids, fileNames, devices, failed, columns, problems, kept, shard };
  });
}

/** Keys are taken away from all shards or from none: nothing shows afterwards which had any. */
function checkSecrets(shards: readonly CheckedShard[]): BatchProblem[] {
  const made = shards.filter(({ devices, failed }) => devices > failed);
  const first = made.find(({ kept }) => kept.secrets);
  if (first === undefined) return [];
  return made.filter(({ kept }) => !kept.secrets).map(({ batch: { path } }) =>
    problem("MISSING_FILE", null, `${path} has no secrets, and ${first.batch.path} has`)
  );
}

async function checkRow(
  batch: BatchFolder,
  row: ManifestRow,
  kept: KeptFiles,
  args: Arguments,
): Promise<BatchProblem[]> {
  if (row.status !== "failed") {
    return await withUnread(batch, row, (files) => findLostFiles(row, files, kept));
  }
  if (args.has("keep-failed")) return [];
  return [problem("FAILED_DEVICE", row.id, `listed as failed in ${batch.path}`)];
}
