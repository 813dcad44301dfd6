import { filesNeeded, type KeptFiles } from "../../../batch/check/needed.ts";
import { DEVICE_FOLDERS, isSecret, ownerName, paths } from "../../../batch/files.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import { joinPath } from "../../io.ts";
import type { BatchFolder } from "../folder/batch.ts";
import { entriesIn, exists, isFile, isFolder, statOf } from "../folder/read.ts";
import { countOf } from "../report.ts";
import type { BatchJournal } from "../journal/read.ts";
import { type BatchProblem, problem } from "../../../batch/check/problem.ts";

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
export async function findStray(
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
export interface ModeCheck {
  /** Takes every row once. */
  row(row: ManifestRow): Promise<void>;
  /** What was found, in a line; nothing where a system has no such modes. */
  notes(): string[];
}

/** Bits of a folder's mode with which others reach what is in it. */
const ENTER = 0o011;

/** A copy of a batch may have lost its modes, which is worth a note, and not wrong. */
export function modeCheck({ path }: BatchFolder): ModeCheck {
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
