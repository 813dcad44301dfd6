import { type BatchProblem, problem } from "../../../batch/check/problem.ts";
import { DEVICE_FOLDERS, deviceOf } from "../../../batch/files.ts";
import { joinPath } from "../../io.ts";
import type { BatchFolder } from "../folder/batch.ts";
import { entriesIn, exists, isFile, isFolder } from "../folder/read.ts";

/** Files of no row, of another batch or half written, and what is not where it belongs. */
export async function findStray(
  batch: BatchFolder,
  ids: ReadonlySet<string>,
): Promise<BatchProblem[]> {
  const problems: BatchProblem[] = [];
  const stray = (name: string, why: string) =>
    void problems.push(problem("STRAY_FILE", null, `${name} ${why}`));
  for await (const name of batch.files()) {
    const id = deviceOf(name);
    if (id === undefined || !ids.has(id)) stray(name, "belongs to no device of the manifest");
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
