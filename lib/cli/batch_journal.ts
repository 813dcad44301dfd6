import { type BatchProblem, problem } from "../provision/batch_check.ts";
import { BULK_STATES, type BulkState } from "../provision/bulk_ports.ts";
import { exists } from "./batch_folder.ts";
import { DatabaseSync } from "./bulk/deps.ts";
import { type Io, joinPath } from "./io.ts";

const JOURNAL = "journal.sqlite";
/** States from which a device goes no further by itself. */
const LAST_STATES: readonly BulkState[] = ["verified", "failed"];

/** What the journal of a batch says, beyond its manifest. */
export interface JournalReport {
  /** How many devices are in each state. */
  readonly states: Readonly<Record<BulkState, number>>;
  /** The devices that failed, and why. */
  readonly failures: readonly { readonly id: string; readonly reason: string }[];
}

/**
 * Reads the journal of a batch and changes nothing in it, also while `bulk` writes to it.
 *
 * @returns Undefined when there is none, as in a merged folder, or it cannot be read, which is noted.
 */
export async function readJournal(folder: string, io: Io): Promise<JournalReport | undefined> {
  const path = joinPath(folder, JOURNAL);
  if (!await exists(path)) return undefined;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true });
    const counts = database.prepare("SELECT state, count(*) AS n FROM devices GROUP BY state")
      .all();
    const failures = database.prepare(
      "SELECT id, reason FROM devices WHERE state = 'failed' ORDER BY n",
    ).all().map(({ id, reason }) => ({ id: String(id), reason: String(reason ?? "") }));
    const of = (state: BulkState) => Number(counts.find((each) => each.state === state)?.n ?? 0);
    const states = Object.fromEntries(BULK_STATES.map((state) => [state, of(state)]));
    return { states: states as Record<BulkState, number>, failures };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // SQLite cannot open a write-ahead log where it may not write, such as on a disk for reading alone.
    io.note(`the journal ${path} cannot be read, only the manifest: ${error.message}`);
    return undefined;
  } finally {
    database?.close();
  }
}

/** A batch whose journal has devices that are not done. */
export function judgeJournal(
  folder: string,
  journal: JournalReport | undefined,
): BatchProblem[] {
  if (journal === undefined) return [];
  const open = BULK_STATES.filter((state) =>
    !LAST_STATES.includes(state) && journal.states[state] > 0
  );
  if (open.length === 0) return [];
  const counts = open.map((state) => `${journal.states[state]} ${state}`).join(", ");
  const message = `${folder} is not done: ${counts}; run bulk again with the same flags`;
  return [problem("UNFINISHED_BATCH", null, message)];
}
