import { findLostFiles } from "../../../batch/check/device.ts";
import { createDuplicateFinder } from "../../../batch/check/duplicates.ts";
import type { KeptFiles } from "../../../batch/check/needed.ts";
import { type BatchProblem, problem } from "../../../batch/check/problem.ts";
import { areWhole, checkShards, type Shard } from "../../../batch/check/shards.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import type { Arguments } from "../../arguments.ts";
import type { Io } from "../../io.ts";
import { counted } from "../../terminal/progress_line.ts";
import { AT_A_TIME, inGroups, withUnread } from "../check/devices.ts";
import { keptIn } from "../check/files.ts";
import { checkWithoutJournal } from "../check/manifest.ts";
import { checkRows } from "../check/rows.ts";
import { checkUnfinished, devicesIn } from "../check/unfinished.ts";
import type { BatchFolder } from "../folder/batch.ts";
import { withJournal } from "../journal/read.ts";
import { findMissing } from "../device_list.ts";
import type { OwnDevices } from "./files.ts";

/** Shards that were checked, each by itself and with the others. */
export interface CheckedShards {
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
export async function checkAll(
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
