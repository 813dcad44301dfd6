import { countOf } from "../../../bytes/errors.ts";
import { filesNeeded, type KeptFiles } from "../../../batch/check/files.ts";
import { type BatchProblem, problem } from "../../../batch/check/problem.ts";
import { DEVICE_FOLDERS, isSecret, ownerName, paths } from "../../../batch/files.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import type { Arguments } from "../../command.ts";
import { readFlag } from "../../input/files.ts";
import { chipOf } from "../../input/keys.ts";
import { type Io, joinPath } from "../../io.ts";
import { printJson } from "../../output/out.ts";
import { bold, green, red } from "../../render/text.ts";
import { startCounter } from "../../terminal/progress_line.ts";
import { findMissing, refuseLists } from "../device_list.ts";
import {
  type BatchFolder,
  entriesIn,
  exists,
  isFile,
  isFolder,
  openBatch,
  statOf,
} from "../folder/batch.ts";
import { type BatchJournal, withJournal } from "../journal/read.ts";
import { renderProblems } from "../report.ts";
import { inGroups, shareWork, startHelpers } from "../../threads/share.ts";
import {
  type CheckedDevices,
  type CheckTask,
  deviceChecker,
  type ListedDevice,
} from "./devices.ts";
import { checkManifestCsv, checkRows, checkUnfinished, devicesIn } from "./manifest.ts";

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
  const task: CheckTask = {
    folder: batch.path,
    ca: await readFlag("ca", args, io),
    chip: chipOf(args),
    allowWeak: args.has("allow-weak"),
    kept,
    hasRequests: await batch.hasAny("csr"),
  };
  const unfinished = checkUnfinished(batch.path, journal);
  const problems = [...unfinished];
  const manifest = checkRows(batch, journal);
  const modes = modeCheck(batch);
  const onBad = (message: string) => void problems.push(problem("BAD_MANIFEST", null, message));
  const listed = withChips(batch.rows(onBad), journal);
  const devices = devicesIn(journal);
  const counter = startCounter(io, ["checked", "devices"], devices);
  try {
    const doers = {
      here: await deviceChecker(task),
      helpers: devices === undefined || devices < FEWEST_FOR_THREADS
        ? undefined
        : await startHelpers<CheckTask, readonly ListedDevice[], CheckedDevices>(THREAD, task),
    };
    for await (const [group, found] of shareWork(inGroups(listed, AT_A_TIME), doers)) {
      for (const { row } of group) problems.push(...manifest.row(row));
      await Promise.all(group.map(({ row }) => modes.row(row)));
      problems.push(...found.flat());
      counter.add(group.length);
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

async function* withChips(
  rows: AsyncIterable<ManifestRow>,
  journal: BatchJournal | undefined,
): AsyncGenerator<ListedDevice> {
  for await (const row of rows) yield { row, ownChip: journal?.chipOf(row.id) };
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

/** Devices that are checked at a time: WebCrypto's threads get work, and memory stays flat. */
export const AT_A_TIME = 32;
/** To start other threads takes as long as to check some hundred devices. */
const FEWEST_FOR_THREADS = 1000;
const THREAD = new URL("./worker.ts", import.meta.url);

/** What a batch has of the files that all of its devices have, or none. */
export async function keptIn(
  batch: BatchFolder,
  journal: BatchJournal | undefined,
): Promise<KeptFiles> {
  const labels = journal?.facts.labels;
  return {
    secrets: await batch.hasSecrets(),
    labels: labels === undefined ? await batch.hasAny("labels") : labels === "true",
  };
}

/** Files of no row, of another batch or half written, and what is not where it belongs. */
async function findStray(
  batch: BatchFolder,
  fileNames: ReadonlySet<string>,
): Promise<BatchProblem[]> {
  const problems: BatchProblem[] = [];
  const stray = (name: string, why: string) =>
    void problems.push(problem("STRAY_FILE", null, `${name} ${why}`));
  for await (const name of batch.files()) {
    const owner = ownerName(name);
    if (owner === undefined || !fileNames.has(owner)) {
      stray(name, "belongs to no device of the manifest");
    }
  }
  for (const folder of DEVICE_FOLDERS) {
    const path = joinPath(batch.path, folder);
    if (!await isFolder(path)) {
      if (await exists(path)) stray(folder, "is not a folder");
      continue;
    }
    for (const { name, isDirectory, isSymlink } of await entriesIn(path)) {
      if (isDirectory) stray(`${folder}/${name}`, "is a folder");
      if (isSymlink && !await isFile(joinPath(path, name))) {
        stray(`${folder}/${name}`, "is a broken link");
      }
    }
  }
  return problems;
}

/** Bits of a file's mode that give others than its owner access. */
const OTHERS = 0o077;

/** Finds files with secrets that others than their owner may read. */
interface ModeCheck {
  /** Takes every row once. */
  row(row: ManifestRow): Promise<void>;
  /** What was found, in a line; nothing where a system has no such modes. */
  notes(): string[];
}

/** Bits of a folder's mode with which others reach what is in it. */
const ENTER = 0o011;

/** A copy of a batch may have lost its modes, which is worth a note, and not wrong. */
function modeCheck({ path }: BatchFolder): ModeCheck {
  let open = 0;
  let first: string | undefined;
  const modeOf = async (name: string) => (await statOf(joinPath(path, name)))?.mode ?? 0;
  const folders = new Map<string, Promise<number>>();
  const isClosed = async (name: string) => {
    const [folder = ""] = name.split("/");
    const mode = folders.get(folder) ?? modeOf(folder);
    folders.set(folder, mode);
    return (await mode & ENTER) === 0;
  };
  const look = async (name: string) => {
    if ((await modeOf(name) & OTHERS) === 0 || await isClosed(name)) return;
    open++;
    first ??= name;
  };
  return {
    row: async (row) => {
      if (row.status === "failed") return;
      const names = [
        paths.image(row.id),
        ...filesNeeded(row, { secrets: true, labels: false }).filter(isSecret),
      ];
      await Promise.all(names.map(look));
    },
    notes: () => {
      if (first === undefined) return [];
      return [
        `${countOf(open, "file")} with secrets can be read by others than its owner, such as ${
          joinPath(path, first)
        }; chmod -R go= ${path} prevents that`,
      ];
    },
  };
}
