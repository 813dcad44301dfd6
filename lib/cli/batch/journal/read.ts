import { type BatchProblem, problem } from "../../../batch/check/problem.ts";
import type { ShardFacts } from "../../../batch/check/shards.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import type { BulkState } from "../../../batch/ports.ts";
import { type ChipName, parseChip } from "../../../format/chips/chips.ts";
import { joinPath } from "../../io.ts";
import { DatabaseSync } from "../deps.ts";
import { JOURNAL } from "../folder/folder.ts";
import { exists, isFile } from "../folder/batch.ts";
import {
  countsOf,
  deviceFinder,
  type Failure,
  failuresOf,
  fieldsOf,
  manifestRowOf,
  type Meta,
  metaOf,
} from "./rows.ts";

/** The journal of a batch, read beside its manifest. */
export interface BatchJournal {
  /** How many devices are in each state. */
  readonly states: Readonly<Record<BulkState, number>>;
  /** The devices that failed, and why. */
  readonly failures: readonly Failure[];
  /** What the batch has in common with others of its list. */
  readonly facts: ShardFacts;
  /** Columns of the device list that are in its manifest.csv. */
  readonly columns: readonly string[];
  /** The row that the manifest should have of a device; undefined when the journal does not know it. */
  find(id: string): ManifestRow | undefined;
  /** The chip that a device is for, by its row of the list or the profile. */
  chipOf(id: string): ChipName | undefined;
  close(): void;
}

/** The journal of a batch, or why the one that is there cannot be read; neither where there is none. */
export interface OpenedJournal {
  readonly journal?: BatchJournal;
  readonly damage?: string;
}

/** What SQLite says of a file that is not the database that it was. */
const DAMAGE = /not a database|malformed|no such table|no such column/;

/**
 * Opens the journal of a batch and changes nothing in it, also while `bulk` writes to it.
 *
 * @param whole Whether all of it is read first, so that damage is found at once.
 */
export async function openJournal(folder: string, whole = false): Promise<OpenedJournal> {
  const path = joinPath(folder, JOURNAL);
  if (!await exists(path)) return {};
  const damaged = (why: string) => {
    const what = DAMAGE.test(why) ? `it is damaged, or not a journal (${why})` : why;
    return { damage: `the journal ${path} cannot be read: ${what}` };
  };
  if (!await isFile(path)) return damaged("it is not a file");
  try {
    return { journal: readJournal(path, whole) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // SQLite makes files beside a journal even to read it, which a read-only disk does not take.
    if (await exists(`${path}-wal`)) return damaged(error.message);
    try {
      return { journal: readJournal(frozen(await Deno.realPath(path)), whole) };
    } catch {
      const isRefused = error.message.startsWith("unable to open");
      return damaged(
        error.message + (isRefused ? "; copy the folder to a place where you can write" : ""),
      );
    }
  }
}

/**
 * Does something with the journal of a batch, which is closed afterwards.
 *
 * @param act Gets the journal, and what is wrong with one that is there and cannot be read.
 */
export async function withJournal<T>(
  folder: string,
  act: (journal: BatchJournal | undefined, damage: readonly BatchProblem[]) => Promise<T>,
): Promise<T> {
  const { journal, damage } = await openJournal(folder, true);
  try {
    return await act(journal, damage === undefined ? [] : [problem("BAD_JOURNAL", null, damage)]);
  } finally {
    journal?.close();
  }
}

/** SQLite's name for a file that nobody changes (https://sqlite.org/uri.html, "immutable"). */
function frozen(path: string): URL {
  const url = new URL("file:///");
  url.pathname = path.replaceAll("%", "%25");
  url.search = "immutable=1";
  return url;
}

function readJournal(path: string | URL, whole: boolean): BatchJournal {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const check = whole ? database.prepare("PRAGMA quick_check(1)").get() : undefined;
    const [found = "ok"] = Object.values(check ?? {});
    if (found !== "ok") throw new Error(`it is damaged: ${found}`);
    return journalOf(database);
  } catch (error) {
    database.close();
    throw error;
  }
}

function journalOf(database: DatabaseSync): BatchJournal {
  const meta = metaOf(database);
  const find = deviceFinder(database);
  const facts = factsOf(meta);
  return {
    states: countsOf(database),
    failures: failuresOf(database),
    facts,
    columns: meta.get("columns") ?? [],
    find: (id) => {
      const record = find(id);
      return record && manifestRowOf(record);
    },
    chipOf: (id) => {
      const record = find(id);
      const chip = record && fieldsOf(record).chip || facts.profile?.chip;
      return chip ? parseChip(chip) : undefined;
    },
    close: () => database.close(),
  };
}

function factsOf(meta: Meta): ShardFacts {
  const profile = meta.get("profile");
  return {
    profile: profile === undefined ? undefined : JSON.parse(profile),
    ca: meta.get("ca"),
    caCert: meta.get("caCert"),
    signers: meta.get("signers"),
    labels: meta.get("labels"),
    shard: meta.get("shard"),
  };
}
