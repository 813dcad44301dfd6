import {
  type BatchProblem,
  createDuplicateFinder,
  judgeDevice,
  problem,
} from "../../provision/batch_check.ts";
import { type ChipName, isChipName } from "../../format/chips.ts";
import type { ManifestRow } from "../../provision/manifest.ts";
import type { VerifyOptions } from "../../provision/verify.ts";
import type { Arguments } from "../arguments.ts";
import { findMissing } from "../batch_expected.ts";
import { judgeJournal, readJournal } from "../batch_journal.ts";
import { type BatchFolder, DEVICE_FOLDERS, openBatch } from "../batch_folder.ts";
import { renderProblems } from "../batch_report.ts";
import { judgeManifestCsv } from "../batch_manifest.ts";
import { bold, green, red } from "../colors.ts";
import { readFlag } from "../inputs.ts";
import type { Io } from "../io.ts";
import type { Command } from "../run.ts";

/** Devices that are judged at a time: WebCrypto's threads get to work, and memory stays flat. */
const AT_A_TIME = 32;

/** Reads every image of a batch back and judges it: exit code 1 when something is wrong. */
export const bulkVerify: Command = async (args, io) => {
  const batch = await openBatch(args.positionals[0]!);
  const options = await optionsOf(args, io);
  const unfinished = judgeJournal(batch.path, await readJournal(batch.path, io));
  const problems = [...unfinished];
  const ids = new Set<string>();
  const findDuplicates = createDuplicateFinder();
  for await (const rows of inGroups(batch.rows(), AT_A_TIME)) {
    for (const row of rows) {
      ids.add(row.id);
      problems.push(...findDuplicates(row));
    }
    const judged = await Promise.all(rows.map((row) => judgeRow(batch, row, options)));
    problems.push(...judged.flat());
  }
  problems.push(
    ...await findMissing(ids, args),
    ...await judgeManifestCsv(batch),
    // What belongs to devices under way is in no manifest yet.
    ...unfinished.length === 0 ? await findStray(batch, ids) : [],
  );
  report(batch, ids.size, problems, args, io);
  return problems.length === 0 ? 0 : 1;
};

async function optionsOf(args: Arguments, io: Io): Promise<VerifyOptions> {
  const chip = args.get("chip") as ChipName | undefined;
  return {
    ...await readFlag("ca", "ca", args, io),
    ...chip && { chip },
    allowWeak: args.has("allow-weak"),
  };
}

async function judgeRow(
  batch: BatchFolder,
  row: ManifestRow,
  options: VerifyOptions,
): Promise<BatchProblem[]> {
  const { id, efuseKeyId, status } = row;
  const image = await batch.read(`images/${id}.bin`);
  const certificate = await batch.read(`certificates/${id}.pem`);
  const hmacKey = row.keyMode === "plaintext"
    ? undefined
    : await batch.read(`secret/${id}.hmac.bin`);
  const chip = typeof row.chip === "string" && isChipName(row.chip) ? { chip: row.chip } : {};
  const problems = await judgeDevice(row, {
    ...image && { image },
    ...certificate && { certificate },
  }, { ...options, ...chip, ...hmacKey && { hmacKey } });
  const needsPlan = efuseKeyId !== null && status === "verified";
  if (needsPlan && !await batch.has(`efuse/${id}.json`)) {
    problems.push(problem("MISSING_FILE", id, "its eFuse plan is not there"));
  }
  return problems;
}

/** Images and certificates that no row names: of another batch, or half written. */
async function findStray(
  batch: BatchFolder,
  ids: ReadonlySet<string>,
): Promise<BatchProblem[]> {
  const problems: BatchProblem[] = [];
  for await (const { name } of batch.files()) {
    const [folder, file] = [name.slice(0, name.indexOf("/")), name.slice(name.indexOf("/") + 1)];
    const ending = DEVICE_FOLDERS[folder as keyof typeof DEVICE_FOLDERS];
    if (ending === "" || ending === undefined) continue;
    if (file.endsWith(ending) && ids.has(file.slice(0, -ending.length))) continue;
    problems.push(problem("STRAY_FILE", null, `${name} belongs to no device of the manifest`));
  }
  return problems;
}

function report(
  { path }: BatchFolder,
  devices: number,
  problems: readonly BatchProblem[],
  args: Arguments,
  io: Io,
): void {
  const ok = problems.length === 0;
  if (args.has("json")) {
    io.print(JSON.stringify({ ok, folder: path, devices, problems }, null, 2));
    return;
  }
  const verdict = ok ? bold(green("good")) : bold(red("BAD"));
  io.print([...renderProblems(problems), "", `${devices} devices: ${verdict}`].join("\n"));
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
