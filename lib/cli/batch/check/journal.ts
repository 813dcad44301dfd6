import { type ChipName, isChipName } from "../../../format/chips/chips.ts";
import { type BatchProblem, problem } from "../../../batch/check/device.ts";
import type { ShardFacts } from "../../../batch/check/shards.ts";
import { foldId } from "../../../batch/list/devices.ts";
import { BULK_STATES, type BulkState } from "../../../batch/ports.ts";
import { manifestColumns } from "../../../batch/make/results.ts";
import {
  cellOf,
  extraColumns,
  MANIFEST_COLUMNS,
  type ManifestRow,
} from "../../../batch/manifest.ts";
import { JOURNAL, MANIFEST } from "../folder/batch.ts";
import { exists, isFile } from "../folder/read.ts";
import { DatabaseSync } from "../deps.ts";
import { countsOf, type Meta, metaOf } from "../journal/meta.ts";
import { countOf } from "./report.ts";
import { joinPath } from "../../io.ts";

/** States from which a device goes no further by itself. */
const LAST_STATES: readonly BulkState[] = ["verified", "failed"];

/** What the journal of a batch says, beyond its manifest. */
export interface BatchJournal {
  /** How many devices are in each state. */
  readonly states: Readonly<Record<BulkState, number>>;
  /** The devices that failed, and why. */
  readonly failures: readonly { readonly id: string; readonly reason: string }[];
  /** What the batch has in common with others of its list. */
  readonly facts: ShardFacts;
  /** Columns of the device list that are in its manifest.csv. */
  readonly columns: readonly string[];
  /** What it has of a device; undefined when it does not know it. */
  find(id: string): JournalRow | undefined;
  /** The chip that a device is for, by its row of the list or the profile. */
  chipOf(id: string): ChipName | undefined;
  close(): void;
}

/** A device as the journal has it: the columns of a manifest, and those of the list. */
export interface JournalRow {
  readonly columns: Readonly<Record<string, string | number | null>>;
  readonly fields: Readonly<Record<string, string>>;
}

/** The journal of a batch, or why the one that is there cannot be read; neither where there is none. */
export interface OpenedJournal {
  readonly journal?: BatchJournal;
  readonly damage?: string;
}

/**
 * Opens the journal of a batch and changes nothing in it, also while `bulk` writes to it.
 *
 * @param whole Whether all of it is read first, so that no damage is met later.
 */
export async function openJournal(folder: string, whole = false): Promise<OpenedJournal> {
  const path = joinPath(folder, JOURNAL);
  if (!await exists(path)) return {};
  const damaged = (why: string) => ({ damage: `the journal ${path} cannot be read: ${why}` });
  if (!await isFile(path)) return damaged("it is no file");
  try {
    return { journal: readJournal(path, whole) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // SQLite makes files beside a journal even to read it, which a disk for reading alone does not take.
    if (await exists(`${path}-wal`)) return damaged(error.message);
    try {
      return { journal: readJournal(frozen(await Deno.realPath(path)), whole) };
    } catch {
      const isRefused = error.message.startsWith("unable to open");
      return damaged(error.message + (isRefused ? "; copy the folder to where one may write" : ""));
    }
  }
}

/**
 * Does something with the journal of a batch, which is closed afterwards.
 *
 * @param act Is also told what is wrong with a journal that is there and cannot be read.
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
  const failed = database.prepare(
    "SELECT id, reason FROM devices WHERE state = 'failed' ORDER BY n",
  );
  const byName = database.prepare(
    `SELECT id, serial, fingerprint, coalesce(publicKey, '') AS publicKey, imageSha256, keyMode,
     efuseKeyId, state AS status, fields FROM devices WHERE fold = ?`,
  );
  const find = (id: string): JournalRow | undefined => {
    const found = byName.get(foldId(id));
    if (found === undefined) return undefined;
    const { fields, ...columns } = found as Record<string, string>;
    return { columns, fields: JSON.parse(fields!) };
  };
  const facts = factsOf(meta);
  return {
    states: countsOf(database),
    failures: failed.all().map(({ id, reason }) => ({
      id: String(id),
      reason: String(reason ?? ""),
    })),
    facts,
    columns: meta.get("columns") ?? [],
    find,
    chipOf: (id) => {
      const chip = find(id)?.fields.chip || facts.profile?.chip;
      return typeof chip === "string" && isChipName(chip) ? chip : undefined;
    },
    close: () => database.close(),
  };
}

function factsOf(meta: Meta): ShardFacts {
  const [profile, ca] = [meta.get("profile"), meta.get("ca")];
  const [signers, shard, labels] = [meta.get("signers"), meta.get("shard"), meta.get("labels")];
  return {
    ...profile !== undefined && { profile: JSON.parse(profile) as Record<string, unknown> },
    ...ca !== undefined && { ca },
    ...signers !== undefined && { signers },
    ...labels !== undefined && { labels },
    ...shard !== undefined && { shard },
  };
}

/** How many rows a manifest has, where a journal tells. */
export function devicesIn(journal: BatchJournal | undefined): number | undefined {
  return journal && journal.states.verified + journal.states.failed;
}

/** The states in which devices are on their way, with their numbers, in words; empty for none. */
export function unfinished({ states }: BatchJournal): string {
  return BULK_STATES.filter((state) => !LAST_STATES.includes(state) && states[state] > 0)
    .map((state) => `${states[state]} ${state}`).join(", ");
}

/** What brings a batch to its end. */
export function remedy({ "key made": made, certified }: BatchJournal["states"]): string {
  return `run bulk again with ${made + certified > 0 ? "--certificates DIR" : "the same flags"}`;
}

/** A batch whose journal has devices that are not done. */
export function judgeJournal(
  folder: string,
  journal: BatchJournal | undefined,
): BatchProblem[] {
  const counts = journal === undefined ? "" : unfinished(journal);
  if (journal === undefined || counts === "") return [];
  const message = `${folder} is not done: ${counts}; ${remedy(journal.states)}`;
  return [problem("UNFINISHED_BATCH", null, message)];
}

/** Compares a manifest with the journal beside it. */
export interface ManifestJudge {
  /** Takes every row once. */
  row(row: ManifestRow): BatchProblem[];
  /** What is wrong with the whole, behind the last row. */
  end(): BatchProblem[];
}

/**
 * Compares the rows of a manifest with the journal of a batch that is done.
 *
 * @param partial Whether also with one that is not, whose devices are on their way. @default false
 */
export function manifestJudge(
  folder: string,
  journal: BatchJournal | undefined,
  partial = false,
): ManifestJudge {
  if (journal === undefined || !partial && unfinished(journal) !== "") {
    return { row: () => [], end: () => [] };
  }
  const { states: { verified, failed }, find } = journal;
  const known = new Set<string>();
  return {
    row: (row) => {
      const found = find(row.id);
      if (found === undefined) {
        return [problem("BAD_MANIFEST", row.id, `the journal of ${folder} does not know it`)];
      }
      known.add(foldId(row.id));
      const wrong = differences(row, found);
      if (wrong.length === 0) return [];
      const message = `${MANIFEST} of ${folder} has another ${wrong.join(", ")} than the journal`;
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
function differences(row: ManifestRow, { columns, fields }: JournalRow): string[] {
  // Of a device that failed, the manifest and the journal may keep more or less of what it had.
  const own = row.status === "failed" ? ["id", "status"] : MANIFEST_COLUMNS;
  const extra = new Set([
    ...manifestColumns(Object.keys(fields)),
    ...extraColumns(Object.keys(row)),
  ]);
  return [
    ...own.filter((name) => row[name] !== columns[name]),
    ...[...extra].filter((name) =>
      cellOf(row, name) !== (Object.hasOwn(fields, name) ? fields[name] : "")
    ),
  ];
}
