import type { BatchProblem } from "../../../batch/check/problem.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import type { Arguments } from "../../arguments.ts";
import type { Io } from "../../io.ts";
import { forceOf, outputFolder, printJson } from "../../output/out.ts";
import { startCounter } from "../../terminal/progress_line.ts";
import { type BatchFolder, openBatch } from "../folder/batch.ts";
import { writeManifests } from "../folder/manifests.ts";
import { refuseLists } from "../device_list.ts";
import { countOf, renderProblems } from "../report.ts";
import { placeFiles } from "./files.ts";
import { checkAll } from "./shards.ts";
import { checkTarget, inTarget, refuseSame } from "./target.ts";

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
