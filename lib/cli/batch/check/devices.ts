import type { FinishedFiles } from "../../../batch/check/device.ts";
import { type BatchProblem, problem } from "../../../batch/check/problem.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import { CliError } from "../../errors.ts";
import type { BatchFolder } from "../folder/batch.ts";

/** Devices that are checked at a time: WebCrypto's threads get work, and memory stays flat. */
export const AT_A_TIME = 32;

/** Items of a sequence, some at a time. */
export async function* inGroups<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let group: T[] = [];
  for await (const item of items) {
    group.push(item);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

/** What a check finds in the files of a device, and which of them cannot be read. */
export async function withUnread(
  batch: BatchFolder,
  row: ManifestRow,
  check: (files: FinishedFiles) => Promise<BatchProblem[]>,
): Promise<BatchProblem[]> {
  const unread: BatchProblem[] = [];
  const problems = await check({
    ...batch,
    read: async (path) => {
      try {
        return await batch.read(path);
      } catch (error) {
        if (!(error instanceof CliError)) throw error;
        unread.push(problem("MISSING_FILE", row.id, error.message));
        return undefined;
      }
    },
  });
  return [...unread, ...problems];
}
