import { type BatchProblem, problem } from "../../../batch/check/problem.ts";
import { BULK_STATES, type BulkState } from "../../../batch/ports.ts";
import type { BatchJournal } from "../journal/read.ts";

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
