import type { KeptFiles } from "../../../batch/check/needed.ts";
import type { BatchFolder } from "../folder/batch.ts";
import type { BatchJournal } from "../journal/read.ts";

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
