import { countOf } from "../../../bytes/errors.ts";
import { createDuplicateFinder } from "../../../batch/check/duplicates.ts";
import { type BatchProblem, problem } from "../../../batch/check/problem.ts";
import { fileNameOf, foldId, MANIFEST, MANIFEST_CSV, ownerName } from "../../../batch/files.ts";
import {
  cellOf,
  extraColumns,
  formatManifestCsv,
  formatManifestCsvHeader,
  MANIFEST_COLUMNS,
  manifestCsvColumns,
  type ManifestRow,
} from "../../../batch/manifest.ts";
import { BULK_STATES, type BulkState } from "../../../batch/ports.ts";
import { readCsv } from "../../../bytes/csv.ts";
import { shownWord } from "../../../bytes/text.ts";
import { joinPath } from "../../io.ts";
import { type BatchFolder, isFile, readText } from "../folder/batch.ts";
import type { BatchJournal } from "../journal/read.ts";
import { listOf } from "../report.ts";

/** The rows of a manifest, checked against each other and the journal. */
interface RowsCheck {
  /** Names of the devices. */
  readonly ids: ReadonlySet<string>;
  /** Names of their files, without endings. */
  readonly fileNames: ReadonlySet<string>;
  /** The columns that the rows have beyond those of every manifest, in order of first sight. */
  readonly columns: ReadonlySet<string>;
  /** Takes every row once. */
  row(row: ManifestRow): BatchProblem[];
  /** What is wrong with the whole, after the last row. */
  end(): BatchProblem[];
}

/** What {@linkcode checkRows} compares with. */
interface RowsCheckOptions {
  /** Finds what two rows share, with the folder where each is. @default within this batch only */
  readonly findDuplicates?: (row: ManifestRow) => BatchProblem[];
  /** Whether the batch may have devices under way. @default false */
  readonly partial?: boolean;
}

/** Begins to check the rows of a batch. */
export function checkRows(
  { path }: BatchFolder,
  journal: BatchJournal | undefined,
  { findDuplicates = createDuplicateFinder(), partial }: RowsCheckOptions = {},
): RowsCheck {
  const manifest = manifestCheck(path, journal, partial);
  const [ids, fileNames, columns] = [new Set<string>(), new Set<string>(), new Set<string>()];
  return {
    ids,
    fileNames,
    columns,
    row: (row) => {
      ids.add(row.id);
      fileNames.add(fileNameOf(row.id));
      for (const name of extraColumns(Object.keys(row))) columns.add(name);
      return [...findDuplicates(row), ...manifest.row(row)];
    },
    end: manifest.end,
  };
}

/** Compares a manifest with the journal beside it. */
interface ManifestCheck {
  /** Takes every row once. */
  row(row: ManifestRow): BatchProblem[];
  /** What is wrong with the whole, after the last row. */
  end(): BatchProblem[];
}

/**
 * Compares the rows of a manifest with the journal of a batch that is done.
 *
 * @param partial Whether also with one that is not done, of which devices are under way. @default false
 */
function manifestCheck(
  folder: string,
  journal: BatchJournal | undefined,
  partial = false,
): ManifestCheck {
  if (journal === undefined || !partial && unfinished(journal) !== "") {
    return { row: () => [], end: () => [] };
  }
  const { states: { verified, failed }, find } = journal;
  const known = new Set<string>();
  return {
    row: (row) => {
      const recorded = find(row.id);
      if (recorded === undefined) {
        return [problem("BAD_MANIFEST", row.id, `the journal of ${folder} does not know it`)];
      }
      known.add(foldId(row.id));
      const wrong = differences(row, recorded);
      if (wrong.length === 0) return [];
      const message = `${MANIFEST} of ${folder} has another ${
        listOf(wrong.map(shownWord))
      } than the journal`;
      return [problem("BAD_MANIFEST", row.id, message)];
    },
    end: () => {
      const total = verified + failed;
      if (known.size >= total) return [];
      const message = `${MANIFEST} of ${folder} has ${known.size} of the ${
        countOf(total, "device")
      } of its journal; run bulk again with the same flags`;
      return [problem("BAD_MANIFEST", null, message)];
    },
  };
}

/** Columns in which a row is not what the journal has. */
function differences(row: ManifestRow, recorded: ManifestRow): string[] {
  // Of a device that failed, the manifest and the journal may keep more or less of what it had.
  const own = row.status === "failed" ? ["id", "status"] : MANIFEST_COLUMNS;
  const extra = new Set(
    [recorded, row].flatMap((each) => extraColumns(Object.keys(each))),
  );
  return [
    ...own.filter((name) => row[name] !== recorded[name]),
    ...[...extra].filter((name) => cellOf(row, name) !== cellOf(recorded, name)),
  ];
}

/**
 * What shows that a manifest was cut short where there is no journal: `manifest.csv`, and files of
 * devices that it lacks.
 *
 * @param fileNames Names of the files of its devices.
 * @param columns The columns of the device list that its rows have.
 */
export async function checkWithoutJournal(
  batch: BatchFolder,
  fileNames: ReadonlySet<string>,
  columns: Iterable<string>,
): Promise<BatchProblem[]> {
  const problems = await checkManifestCsv(batch, columns);
  for await (const name of batch.files()) {
    const owner = /^(images|certificates)\//.test(name) ? ownerName(name) : undefined;
    if (owner === undefined || fileNames.has(owner)) continue;
    const message = `${name} belongs to no device of the manifest of ${batch.path}`;
    problems.push(problem("STRAY_FILE", null, message));
  }
  return problems;
}

/**
 * Whether `manifest.csv` holds the rows of `manifest.ndjson` in their order.
 *
 * @param expected The columns of the device list that it should have, in any order.
 */
export async function checkManifestCsv(
  batch: BatchFolder,
  expected: Iterable<string>,
): Promise<BatchProblem[]> {
  const wrong = (message: string) => [problem("BAD_MANIFEST", null, message)];
  const path = joinPath(batch.path, MANIFEST_CSV);
  if (!await isFile(path)) return wrong(`${MANIFEST_CSV} is not there`);
  const columns = extraColumns(await csvColumns(path));
  const missing = [...expected].filter((name) => !columns.includes(name));
  if (missing.length > 0) {
    return wrong(`${MANIFEST_CSV} lacks the columns ${listOf(missing.map(shownWord))}`);
  }
  // A line that is not a row is reported elsewhere.
  if (await isSameText(csvParts(batch.rows(() => {}), columns), readText(path))) return [];
  return wrong(`${MANIFEST_CSV} does not hold the rows of ${MANIFEST}`);
}

async function* csvParts(
  rows: AsyncIterable<ManifestRow>,
  columns: readonly string[],
): AsyncGenerator<string> {
  yield formatManifestCsvHeader(columns);
  for await (const row of rows) yield formatManifestCsv(row, columns);
}

/** The names in the header, which the first part of the file holds. */
async function csvColumns(path: string): Promise<string[]> {
  for await (const part of readText(path)) {
    return manifestCsvColumns(readCsv(part, { comments: false }).records[0]);
  }
  return [];
}

async function isSameText(a: AsyncIterable<string>, b: AsyncIterable<string>): Promise<boolean> {
  const [left, right] = [a[Symbol.asyncIterator](), b[Symbol.asyncIterator]()];
  let [have, want] = ["", ""];
  for (;;) {
    const [next, other] = [
      have === "" ? await left.next() : undefined,
      want === "" ? await right.next() : undefined,
    ];
    have += next?.value ?? "";
    want += other?.value ?? "";
    const length = Math.min(have.length, want.length);
    if (have.slice(0, length) !== want.slice(0, length)) break;
    const isOver = (next?.done ?? true) && (other?.done ?? true);
    if (length === 0 && isOver) break;
    [have, want] = [have.slice(length), want.slice(length)];
  }
  await right.return?.();
  await left.return?.();
  return have === "" && want === "";
}

/** States from which a device goes no further by itself. */
const LAST_STATES: readonly BulkState[] = ["verified", "failed"];

/** How many rows a manifest has, where there is a journal. */
export function devicesIn(journal: BatchJournal | undefined): number | undefined {
  return journal && journal.states.verified + journal.states.failed;
}

/** The states in which devices are under way, with their numbers, in words; empty for none. */
export function unfinished({ states }: BatchJournal): string {
  return BULK_STATES.filter((state) => !LAST_STATES.includes(state) && states[state] > 0)
    .map((state) => `${states[state]} ${state}`).join(", ");
}

/** What brings a batch to its end. */
export function remedy({ "key made": made, certified }: BatchJournal["states"]): string {
  return `run bulk again with ${made + certified > 0 ? "--certificates DIR" : "the same flags"}`;
}

/** A batch whose journal has devices that are not done. */
export function checkUnfinished(
  folder: string,
  journal: BatchJournal | undefined,
): BatchProblem[] {
  const counts = journal === undefined ? "" : unfinished(journal);
  if (journal === undefined || counts === "") return [];
  const message = `${folder} is not done: ${counts}; ${remedy(journal.states)}`;
  return [problem("UNFINISHED_BATCH", null, message)];
}
