import { type ChipName, isChipName } from "../format/chips.ts";
import { type BatchProblem, problem } from "../provision/batch_check.ts";
import type { ShardFacts } from "../provision/batch_shards.ts";
import { foldId } from "../provision/bulk_devices.ts";
import { BULK_STATES, type BulkState } from "../provision/bulk_ports.ts";
import { manifestColumns } from "../provision/bulk_results.ts";
import { cellOf, extraColumns, MANIFEST_COLUMNS, type ManifestRow } from "../provision/manifest.ts";
import { JOURNAL, MANIFEST } from "./batch_folder.ts";
import { isFile } from "./batch_read.ts";
import { DatabaseSync } from "./bulk/deps.ts";
import { countsOf, type Meta, metaOf } from "./bulk/meta.ts";
import { countOf } from "./batch_report.ts";
import { type Io, joinPath } from "./io.ts";

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
  /** Whether each device has a label; false also where that is not known. */
  readonly labels: boolean;
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

/**
 * Opens the journal of a batch and changes nothing in it, also while `bulk` writes to it.
 *
 * @returns Undefined when there is none, as in a merged folder, or it cannot be read, which is noted.
 */
export async function openJournal(folder: string, io: Io): Promise<BatchJournal | undefined> {
  const path = joinPath(folder, JOURNAL);
  if (!await isFile(path)) return undefined;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true });
    return journalOf(database);
  } catch (error) {
    database?.close();
    if (!(error instanceof Error)) throw error;
    // SQLite cannot open a write-ahead log where it may not write, such as on a disk for reading alone.
    io.note(`the journal ${path} cannot be read, only the manifest: ${error.message}`);
    return undefined;
  }
}

/** Does something with the journal of a batch, which is closed afterwards. */
export async function withJournal<T>(
  folder: string,
  io: Io,
  act: (journal: BatchJournal | undefined) => Promise<T>,
): Promise<T> {
  const journal = await openJournal(folder, io);
  try {
    return await act(journal);
  } finally {
    journal?.close();
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
    labels: meta.get("labels") === "true",
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
  const [signers, shard] = [meta.get("signers"), meta.get("shard")];
  return {
    ...profile !== undefined && { profile: JSON.parse(profile) as Record<string, unknown> },
    ...ca !== undefined && { ca },
    ...signers !== undefined && { signers },
    ...shard !== undefined && { shard },
  };
}

/** The states in which devices are on their way, with their numbers, in words; empty for none. */
export function unfinished({ states }: BatchJournal): string {
  return BULK_STATES.filter((state) => !LAST_STATES.includes(state) && states[state] > 0)
    .map((state) => `${states[state]} ${state}`).join(", ");
}

/** A batch whose journal has devices that are not done. */
export function judgeJournal(
  folder: string,
  journal: BatchJournal | undefined,
): BatchProblem[] {
  const counts = journal === undefined ? "" : unfinished(journal);
  if (counts === "") return [];
  const message = `${folder} is not done: ${counts}; run bulk again with the same flags`;
  return [problem("UNFINISHED_BATCH", null, message)];
}

/** Compares a manifest with the journal beside it. */
export interface ManifestJudge {
  /** Takes every row once. */
  row(row: ManifestRow): BatchProblem[];
  /** What is wrong with the whole, behind the last row. */
  end(): BatchProblem[];
}

/** Compares the rows of a manifest with the journal of a batch that is done; others are on their way. */
export function manifestJudge(folder: string, journal: BatchJournal | undefined): ManifestJudge {
  if (journal === undefined || unfinished(journal) !== "") return { row: () => [], end: () => [] };
  const { states: { verified, failed }, find } = journal;
  let known = 0;
  return {
    row: (row) => {
      const found = find(row.id);
      if (found === undefined) {
        return [problem("BAD_MANIFEST", row.id, `the journal of ${folder} does not know it`)];
      }
      known++;
      const wrong = differences(row, found);
      if (wrong.length === 0) return [];
      const message = `${MANIFEST} of ${folder} has another ${wrong.join(", ")} than the journal`;
      return [problem("BAD_MANIFEST", row.id, message)];
    },
    end: () => {
      const total = verified + failed;
      if (known >= total) return [];
      const message = `${MANIFEST} of ${folder} has ${known} of the ${
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
