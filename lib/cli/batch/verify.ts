import { createCertificateReader } from "../../crypto/x509/certificate.ts";
import {
  type BatchProblem,
  createDuplicateFinder,
  type DeviceOptions,
  problem,
} from "../../batch/check/device.ts";
import type { Arguments } from "../arguments.ts";
import { judgeFiles, keptIn } from "./check/device.ts";
import { findMissing, refuseLists } from "./check/expected.ts";
import { type BatchFolder, openBatch } from "./folder/batch.ts";
import {
  type BatchJournal,
  devicesIn,
  judgeJournal,
  manifestJudge,
  withJournal,
} from "./check/journal.ts";
import { collectColumns, judgeManifestCsv } from "./folder/manifest.ts";
import { modeJudge } from "./check/modes.ts";
import { countOf, renderProblems } from "./check/report.ts";
import { findStray } from "./check/stray.ts";
import { bold, green, red } from "../render/colors.ts";
import { readFlag } from "../input/files.ts";
import { chipOf } from "../input/keys.ts";
import type { Io } from "../io.ts";
import { startCounter } from "../terminal/progress_line.ts";

/** Devices that are judged at a time: WebCrypto's threads get to work, and memory stays flat. */
const AT_A_TIME = 32;

/** Reads every file of a batch back and judges it: exit code 1 when something is wrong. */
export async function bulkVerify(args: Arguments, io: Io): Promise<number> {
  refuseLists("bulk verify", args);
  const batch = await openBatch(args.positionals[0]!);
  const judged = await withJournal(batch.path, async (journal, damage) => {
    const { problems, ...judged } = await judgeBatch(batch, journal, args, io);
    return { ...judged, problems: [...damage, ...problems] };
  });
  report(batch, judged, args, io);
  return judged.problems.length === 0 ? 0 : 1;
}

interface Judged {
  readonly devices: number;
  readonly problems: readonly BatchProblem[];
  /** What is as it may be, and worth a word. */
  readonly notes: readonly string[];
}

async function judgeBatch(
  batch: BatchFolder,
  journal: BatchJournal | undefined,
  args: Arguments,
  io: Io,
): Promise<Judged> {
  const options = await optionsOf(args, io);
  const unfinished = judgeJournal(batch.path, journal);
  const problems = [...unfinished];
  const ids = new Set<string>();
  const columns = new Set<string>();
  const findDuplicates = createDuplicateFinder();
  const manifest = manifestJudge(batch.path, journal);
  const modes = modeJudge(batch);
  const kept = await keptIn(batch, journal);
  const hasRequests = await batch.hasAny("csr");
  const chipOf = (id: string) => journal?.chipOf(id);
  const counter = startCounter(io, ["judged", "devices"], devicesIn(journal));
  try {
    const onBad = (message: string) => void problems.push(problem("BAD_MANIFEST", null, message));
    for await (const rows of inGroups(batch.rows(onBad), AT_A_TIME)) {
      for (const row of rows) {
        ids.add(row.id);
        collectColumns(row, columns);
        problems.push(...findDuplicates(row), ...manifest.row(row));
      }
      const judged = await Promise.all(
        rows.map((row) => judgeFiles({ batch, kept, hasRequests, options, chipOf }, row)),
      );
      await Promise.all(rows.map(modes.row));
      problems.push(...judged.flat());
      counter.add(rows.length);
    }
  } finally {
    counter.end();
  }
  problems.push(
    ...manifest.end(),
    ...await findMissing(ids, args, journal?.facts.shard),
    ...batch.hasManifest ? await judgeManifestCsv(batch, journal?.columns ?? columns) : [],
    // What belongs to devices under way is in no manifest yet.
    ...unfinished.length === 0 ? await findStray(batch, ids) : [],
  );
  const notes = [
    ...kept.secrets ? [] : [`${batch.path} has no secrets, so that no key was judged`],
    ...modes.notes(),
  ];
  return { devices: ids.size, problems, notes };
}

async function optionsOf(args: Arguments, io: Io): Promise<DeviceOptions> {
  return {
    ca: await readFlag("ca", args, io),
    chip: chipOf(args),
    allowWeak: args.has("allow-weak"),
    certificatesOf: createCertificateReader(2 * AT_A_TIME),
  };
}

function report(
  { path }: BatchFolder,
  { devices, problems, notes }: Judged,
  args: Arguments,
  io: Io,
): void {
  const ok = problems.length === 0;
  for (const note of notes) io.note(`note: ${note}`);
  if (args.has("json")) {
    io.print(JSON.stringify({ ok, folder: path, devices, notes, problems }, null, 2));
    return;
  }
  const verdict = ok ? bold(green("good")) : bold(red("BAD"));
  io.print(
    [...renderProblems(problems), "", `${countOf(devices, "device")}: ${verdict}`].join("\n"),
  );
}

async function* inGroups<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let group: T[] = [];
  for await (const item of items) {
    group.push(item);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}
