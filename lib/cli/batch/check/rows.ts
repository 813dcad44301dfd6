import type { BatchProblem } from "../../../batch/check/problem.ts";
import { createDuplicateFinder } from "../../../batch/check/duplicates.ts";
import { fileNameOf } from "../../../batch/files.ts";
import { extraColumns, type ManifestRow } from "../../../batch/manifest.ts";
import type { BatchFolder } from "../folder/batch.ts";
import type { BatchJournal } from "../journal/read.ts";
import { manifestCheck } from "./manifest.ts";

/** The rows of a manifest, checked against each other and the journal. */
export interface RowsCheck {
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
export interface RowsCheckOptions {
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
