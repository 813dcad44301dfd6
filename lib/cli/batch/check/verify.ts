import { checkDevice, type DeviceCheckOptions } from "../../../batch/check/device.ts";
import { type BatchProblem, problem } from "../../../batch/check/problem.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import { createCertificateReader } from "../../../crypto/x509/certificate.ts";
import type { Arguments } from "../../arguments.ts";
import { readFlag } from "../../input/files.ts";
import { chipOf } from "../../input/keys.ts";
import type { Io } from "../../io.ts";
import { printJson } from "../../output/out.ts";
import { bold, green, red } from "../../render/colors.ts";
import { startCounter } from "../../terminal/progress_line.ts";
import { type BatchFolder, openBatch } from "../folder/batch.ts";
import { type BatchJournal, withJournal } from "../journal/read.ts";
import { findMissing, refuseLists } from "../device_list.ts";
import { countOf, renderProblems } from "../report.ts";
import { AT_A_TIME, inGroups, withUnread } from "./devices.ts";
import { findStray, keptIn, modeCheck } from "./files.ts";
import { checkManifestCsv } from "./manifest.ts";
import { checkRows } from "./rows.ts";
import { checkUnfinished, devicesIn } from "./unfinished.ts";

/** Reads every file of a batch back and checks it: exit code 1 when something is wrong. */
export async function bulkVerify(args: Arguments, io: Io): Promise<number> {
  refuseLists("bulk verify", args);
  const batch = await openBatch(args.positionals[0]!);
  const checked = await withJournal(batch.path, async (journal, damage) => {
    const { problems, ...checked } = await checkBatch(batch, journal, args, io);
    return { ...checked, problems: [...damage, ...problems] };
  });
  report(batch, checked, args, io);
  return checked.problems.length === 0 ? 0 : 1;
}

interface Checked {
  readonly devices: number;
  readonly problems: readonly BatchProblem[];
  /** What is not wrong, and good to know. */
  readonly notes: readonly string[];
}

async function checkBatch(
  batch: BatchFolder,
  journal: BatchJournal | undefined,
  args: Arguments,
  io: Io,
): Promise<Checked> {
  const kept = await keptIn(batch, journal);
  const options: DeviceCheckOptions = {
    ca: await readFlag("ca", args, io),
    chip: chipOf(args),
    allowWeak: args.has("allow-weak"),
    certificatesOf: createCertificateReader(2 * AT_A_TIME),
    kept,
    hasRequests: await batch.hasAny("csr"),
  };
  const unfinished = checkUnfinished(batch.path, journal);
  const problems = [...unfinished];
  const manifest = checkRows(batch, journal);
  const modes = modeCheck(batch);
  const check = async (row: ManifestRow) => {
    await modes.row(row);
    const own = { ...options, ownChip: journal?.chipOf(row.id) };
    return await withUnread(batch, row, (files) => checkDevice(row, files, own));
  };
  const counter = startCounter(io, ["checked", "devices"], devicesIn(journal));
  try {
    const onBad = (message: string) => void problems.push(problem("BAD_MANIFEST", null, message));
    for await (const rows of inGroups(batch.rows(onBad), AT_A_TIME)) {
      for (const row of rows) problems.push(...manifest.row(row));
      for (const found of await Promise.all(rows.map(check))) problems.push(...found);
      counter.add(rows.length);
    }
  } finally {
    counter.end();
  }
  const { ids, fileNames, columns } = manifest;
  problems.push(
    ...manifest.end(),
    ...await findMissing(ids, args, journal?.facts.shard),
    ...batch.hasManifest ? await checkManifestCsv(batch, journal?.columns ?? columns) : [],
    // What belongs to devices under way is in no manifest yet.
    ...unfinished.length === 0 ? await findStray(batch, fileNames) : [],
  );
  const noSecrets = `${batch.path} has no secrets, so that no key was checked`;
  return {
    devices: ids.size,
    problems,
    notes: [...kept.secrets ? [] : [noSecrets], ...modes.notes()],
  };
}

function report(
  { path }: BatchFolder,
  { devices, problems, notes }: Checked,
  args: Arguments,
  io: Io,
): void {
  const ok = problems.length === 0;
  for (const note of notes) io.note(`note: ${note}`);
  if (args.has("json")) return printJson({ ok, folder: path, devices, notes, problems }, io);
  const result = ok ? bold(green("good")) : bold(red("BAD"));
  io.print(
    [...renderProblems(problems), "", `${countOf(devices, "device")}: ${result}`].join("\n"),
  );
}
