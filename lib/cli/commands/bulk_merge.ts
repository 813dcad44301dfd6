import { type BatchProblem, createDuplicateFinder, problem } from "../../provision/batch_check.ts";
import type { ManifestRow } from "../../provision/manifest.ts";
import type { Arguments } from "../arguments.ts";
import { findMissing } from "../batch_expected.ts";
import { judgeJournal, withJournal } from "../batch_journal.ts";
import { type BatchFolder, MANIFEST, openBatch } from "../batch_folder.ts";
import { exists } from "../batch_read.ts";
import { collectColumns, writeManifests } from "../batch_manifest.ts";
import { joinArchives, placeFiles } from "../batch_merge.ts";
import { renderProblems } from "../batch_report.ts";
import { fileError } from "../errors.ts";
import { type Io, joinPath } from "../io.ts";
import { folderOf } from "../outputs.ts";
import type { Command } from "../run.ts";

/** Joins the folders of shards: checks all of them first, and writes nothing when one is wrong. */
export const bulkMerge: Command = async (args, io) => {
  const out = folderOf(args);
  const shards = await Promise.all(args.positionals.map((path) => openBatch(path)));
  await refuseExisting(out, args);
  const { devices, failed, columns, problems } = await judgeShards(shards, args, io);
  if (problems.length > 0) {
    report({ ok: false, folder: out, devices, failed, problems }, args, io);
    return 1;
  }
  await io.makeDir(out);
  const linked = await placeFiles(shards, out, args.has("copy"));
  await joinArchives(shards, out);
  await writeManifests(out, () => rowsOf(shards), columns);
  report({ ok: true, folder: out, devices, failed, problems, ...linked }, args, io);
  return 0;
};

/**
 * The rows of all shards, one of each in turn: the order of the device list, when the shards are named
 * in their order, for `--shard i/n` takes every nth device.
 */
async function* rowsOf(shards: readonly BatchFolder[]): AsyncGenerator<ManifestRow> {
  let open = shards.map((shard) => shard.rows());
  while (open.length > 0) {
    const left: typeof open = [];
    for (const rows of open) {
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
}

async function judgeShards(
  shards: readonly BatchFolder[],
  args: Arguments,
  io: Io,
): Promise<Judged> {
  const problems: BatchProblem[] = [];
  const columns = new Set<string>();
  const ids = new Set<string>();
  const findDuplicates = createDuplicateFinder();
  let [devices, failed] = [0, 0];
  for (const shard of shards) {
    problems.push(
      ...await withJournal(
        shard.path,
        io,
        (journal) => Promise.resolve(judgeJournal(shard.path, journal)),
      ),
    );
    for await (const row of shard.rows()) {
      devices++;
      ids.add(row.id);
      if (row.status === "failed") failed++;
      collectColumns(row, columns);
      problems.push(...findDuplicates(row, shard.path), ...await judgeRow(shard, row, args));
    }
  }
  problems.push(...await findMissing(ids, args));
  return { devices, failed, columns: [...columns], problems };
}

async function judgeRow(
  shard: BatchFolder,
  { id, status }: ManifestRow,
  args: Arguments,
): Promise<BatchProblem[]> {
  if (status === "failed") {
    return args.has("keep-failed")
      ? []
      : [problem("FAILED_DEVICE", id, `listed as failed in ${shard.path}`)];
  }
  const problems: BatchProblem[] = [];
  for (const name of [`images/${id}.bin`, `certificates/${id}.pem`]) {
    if (await shard.has(name)) continue;
    problems.push(problem("MISSING_FILE", id, `${name} is not in ${shard.path}`));
  }
  return problems;
}

async function refuseExisting(out: string, args: Arguments): Promise<void> {
  const manifest = joinPath(out, MANIFEST);
  if (args.has("force") || !await exists(manifest)) return;
  throw fileError("ERR_FILE_EXISTS", manifest, `${manifest} exists`, "give --force to replace it");
}

interface Report {
  readonly ok: boolean;
  readonly folder: string;
  readonly devices: number;
  readonly failed: number;
  readonly problems: readonly BatchProblem[];
  readonly linked?: number;
  readonly copied?: number;
}

function report(made: Report, args: Arguments, io: Io): void {
  if (args.has("json")) return io.print(JSON.stringify(made, null, 2));
  if (!made.ok) {
    return io.print([...renderProblems(made.problems), "nothing was written"].join("\n"));
  }
  const { folder, devices, failed, linked, copied } = made;
  io.note(
    `${devices} devices${failed === 0 ? "" : `, ${failed} of them failed`}: ${folder} ` +
      `(${linked} files linked, ${copied} copied)`,
  );
  io.note(`next: bulk verify ${folder}`);
}
