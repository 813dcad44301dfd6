import { countOf } from "../../../bytes/errors.ts";
import { foldId, MANIFEST } from "../../../batch/files.ts";
import { type BulkDevice, manifestColumns, twiceProblem } from "../../../batch/list/devices.ts";
import { type BulkJournal, type BulkResult, failTwiceUsed } from "../../../batch/ports.ts";
import { type CliError, fileError } from "../../errors.ts";
import { joinPath } from "../../io.ts";
import type { DatabaseSync } from "../deps.ts";
import { clearLeftovers } from "../folder/disk.ts";
import {
  type ManifestFiles,
  type ManifestSizes,
  manifestSizes,
  openManifests,
  writeManifests,
} from "../folder/manifests.ts";
import {
  countsOf,
  type DeviceRecord,
  type Fact,
  forgetSizes,
  isEmpty,
  journaledOf,
  manifestRows,
  type Meta,
  metaOf,
  resultWriter,
  transaction,
} from "./rows.ts";

/** A certificate from elsewhere. */
export interface IssuedCertificate {
  /** SubjectPublicKeyInfo, DER in base64. */
  readonly publicKey: string;
  /** PEM. */
  readonly certificate: string;
  /** The common name of its subject. */
  readonly commonName?: string;
}

/** The journal of a folder: a row a device in SQLite, and the manifests that follow from it. */
export interface FolderJournal extends BulkJournal {
  /** A fact of the batch, once devices were taken up. */
  fact(name: Fact): string | undefined;
  /** Columns of the device list that go into the manifest, as far as the list was read. */
  columns(): readonly string[];
  /** Sets a fact, or replaces that of an earlier run. */
  settle(name: Fact, value: string): void;
  /** Makes what failed pending again. */
  retryFailed(): void;
  /** Gives a device its certificate; returns why it does not fit. */
  certify(issued: IssuedCertificate): string | undefined;
  /** Brings the manifests into the order of the list, when devices were tried again. */
  finish(): Promise<void>;
  close(): void;
}

/** What {@linkcode FolderJournal.certify} returns for a certificate that no device here waits for. */
export const STRANGER = "its key is not that of a device of this batch";

/**
 * Opens the journal.
 *
 * @param folder The folder of the batch, with its manifests.
 * @param database Of `openDatabase`.
 */
export function folderJournal(folder: string, database: DatabaseSync): FolderJournal {
  const meta = metaOf(database);
  const planning = plannerOf(folder, database, meta);
  let manifests: OpenManifests | undefined;
  let opening: Promise<OpenManifests> | undefined;
  const opened = () => {
    opening ??= Promise.try(async () => {
      planning.end();
      return manifests = await openKnown(folder, database, meta);
    });
    return opening;
  };
  const record = recorderOf(database);
  const keyOf = database.prepare("SELECT publicKey FROM devices WHERE n = ?");
  const hasKey = (index: number) => typeof keyOf.get(index)?.publicKey === "string";
  const select = database.prepare(
    "SELECT n, id, fields, certificate FROM devices WHERE state = ? AND n > ? ORDER BY n LIMIT ?",
  );
  return {
    plan: planning.plan,
    next: async (state, after, limit) => {
      await opened();
      return (select.all(state, after, limit) as unknown as DeviceRecord[]).map(journaledOf);
    },
    commit: async (results) => {
      const { files, sizes } = await opened();
      const { recorded, part } = transaction(database, () => {
        const recorded = results.map(record);
        const failed = recorded.filter(({ state }) => state === "failed");
        for (const { device: { id, index } } of failed) clearLeftovers(folder, id, hasKey(index));
        const finished = recorded.filter(({ state }) => state !== "key made");
        const part = files.format(finished.map(({ row }) => row), meta.get("sizes") ?? sizes);
        meta.set("sizes", part.to);
        return { recorded, part };
      });
      // Not before the journal has them: nobody is to see a device that is then made again.
      if (part.to.ndjson > part.from.ndjson) files.append(part);
      return recorded;
    },
    counts: () => countsOf(database),
    fact: (name) => isEmpty(database) ? undefined : meta.get(name),
    columns: planning.columns,
    settle: (name, value) => meta.set(name, value),
    retryFailed: () => retryFailed(database, meta),
    certify: (issued) => certify(database, issued),
    finish: async () => {
      if (meta.get("disordered") !== true) return;
      manifests?.files.close();
      manifests = undefined;
      await bringIntoOrder(folder, database, meta);
    },
    close: () => {
      manifests?.files.close();
      database.close();
    },
  };
}

interface OpenManifests {
  readonly files: ManifestFiles;
  readonly sizes: ManifestSizes;
}

/**
 * Opens the manifests, and brings them to the state that the journal knows: what is not there is
 * written again. A manifest never has more than the journal, unless the journal was lost.
 *
 * @throws {CliError} `ERR_IO` when the manifest has rows that the journal does not know.
 */
async function openKnown(
  folder: string,
  database: DatabaseSync,
  meta: Meta,
): Promise<OpenManifests> {
  const known = meta.get("sizes");
  const found = manifestSizes(folder);
  const isForgotten = known === undefined && meta.get("disordered") === true;
  if (!isForgotten && found.ndjson > (known?.ndjson ?? 0)) throw lostJournal(folder);
  const columns = meta.get("columns") ?? [];
  const isWhole = found.ndjson === known?.ndjson && found.csv >= known.csv;
  const sizes = isWhole ? known : await writeManifests(folder, manifestRows(database), columns);
  return { files: openManifests(folder, sizes, columns), sizes };
}

/** Continuing would make second keys for devices that have theirs. */
function lostJournal(folder: string): CliError {
  const message = `${joinPath(folder, MANIFEST)} has devices that the journal does not know`;
  const hint = "the journal is older than it, or journal.sqlite-wal was lost: take both from a " +
    "backup, or give another folder";
  return fileError("ERR_IO", folder, message, hint);
}

/** Devices that were tried again go where the list has them. */
async function bringIntoOrder(folder: string, database: DatabaseSync, meta: Meta): Promise<void> {
  const sizes = await writeManifests(folder, manifestRows(database), meta.get("columns") ?? []);
  transaction(database, () => {
    meta.set("sizes", sizes);
    meta.set("disordered", false);
  });
}

/** Writes what became of a device into its row; returns the result as it is recorded. */
function recorderOf(database: DatabaseSync): (result: BulkResult) => BulkResult {
  const write = resultWriter(database);
  const ofKey = database.prepare("SELECT id FROM devices WHERE publicKey = ?");
  const ofSerial = database.prepare(
    "SELECT id FROM devices WHERE serial = ? AND serial <> '' AND state = 'verified'",
  );
  const owners = {
    ofKey: (key: string) => ofKey.get(key)?.id as string | undefined,
    ofSerial: (serial: string) => ofSerial.get(serial)?.id as string | undefined,
  };
  return (result) => {
    const recorded = failTwiceUsed(result, owners);
    write(recorded);
    return recorded;
  };
}

/**
 * Back to where they came from. A ready key and a certificate that did not do are given back, so that
 * others may take their places.
 */
function retryFailed(database: DatabaseSync, meta: Meta): void {
  transaction(database, () => {
    database.exec("DELETE FROM keys WHERE n IN (SELECT n FROM devices WHERE state = 'failed')");
    const { changes } = database.prepare(
      `UPDATE devices SET state = CASE WHEN certificate IS NULL THEN 'pending' ELSE 'key made' END,
       certificate = NULL, reason = NULL, reached = NULL WHERE state = 'failed'`,
    ).run();
    if (changes !== 0) forgetSizes(database, meta);
  });
}

function certify(
  database: DatabaseSync,
  { publicKey, certificate, commonName }: IssuedCertificate,
): string | undefined {
  const found = database.prepare(
    "SELECT n, id, state, certificate FROM devices WHERE publicKey = ?",
  ).get(publicKey) as unknown as DeviceRecord | undefined;
  if (found === undefined) return STRANGER;
  if (found.certificate === certificate) return undefined;
  if (found.certificate !== null) return `${found.id} has another certificate already`;
  if (found.state !== "key made") return `${found.id} is ${found.state} already`;
  const named = commonName === undefined ? undefined : database.prepare(
    "SELECT id FROM devices WHERE fold = ? AND n <> ?",
  ).get(foldId(commonName), found.n);
  // A CA may give another subject than was asked for, but not that of another device.
  if (named !== undefined) return `it has the key of ${found.id} and the name of ${named.id}`;
  database.prepare("UPDATE devices SET state = 'certified', certificate = ? WHERE n = ?")
    .run(certificate, found.n);
  return undefined;
}

/** One transaction from the first device of the list to the last, so that a bad list leaves nothing. */
function plannerOf(
  folder: string,
  database: DatabaseSync,
  meta: Meta,
): { plan: BulkJournal["plan"]; end: () => void; columns: () => readonly string[] } {
  const insert = database.prepare(
    "INSERT INTO devices (n, id, fold, fields, state) VALUES (?, ?, ?, ?, 'pending') ON CONFLICT DO NOTHING",
  );
  const rows = database.prepare("SELECT n, id, fields FROM devices WHERE n = ? OR fold = ?");
  const columns = new Set<string>(meta.get("columns") ?? []);
  /** Rows of the first run that have another device now. */
  const changed = new Set<number>();
  const nameProblem: NameProblem = (device, known) =>
    known.index < device.index && !changed.has(known.index)
      ? twiceProblem(device, known)
      : movedProblem(device);
  let planned: number | undefined;
  let foreign: ReturnType<typeof foreignRows> | undefined;
  const planOne = (device: BulkDevice, seen: number): string[] => {
    const { index, id } = device;
    const fields = JSON.stringify(device.fields);
    if (seen < 100_000) { for (const name of Object.keys(device.fields)) columns.add(name); }
    const fold = foldId(id);
    if (insert.run(index, id, fold, fields).changes === 1) return [];
    const known = rows.all(index, fold) as unknown as DeviceRecord[];
    if (known.some((row) => row.n === index && row.id === id && row.fields === fields)) return [];
    const namesake = known.find((row) => foldId(row.id) === fold);
    if (known.some(({ n }) => n === index) && namesake?.n !== index) changed.add(index);
    if (namesake === undefined) return [movedProblem(device)];
    return [nameProblem(device, { index: namesake.n, id: namesake.id })];
  };
  return {
    plan: (devices, others = []) => {
      if (planned === undefined && !database.isTransaction) database.exec("BEGIN IMMEDIATE");
      planned ??= 0;
      const start = planned;
      planned += devices.length;
      const problems = devices.flatMap((device, at) => planOne(device, start + at));
      if (others.length > 0) foreign ??= foreignRows(database, nameProblem);
      return foreign === undefined ? problems : [...problems, ...foreign(devices, others)];
    },
    columns: () => manifestColumns([...columns]),
    end: () => {
      if (planned === undefined) return;
      const total = Object.values(countsOf(database)).reduce((sum, count) => sum + count, 0);
      if (total !== planned) {
        database.exec("ROLLBACK");
        const message = `the batch in ${folder} has ${
          countOf(total, "device")
        }, the list has ${planned}`;
        throw fileError("ERR_IO", folder, message, "give the same list, or another folder");
      }
      const known = meta.get("columns");
      const current = manifestColumns([...columns]);
      meta.set("columns", current);
      // Every row of the manifest in CSV gets the new column.
      if (known !== undefined && known.length !== current.length) forgetSizes(database, meta);
      database.exec("COMMIT");
      planned = undefined;
    },
  };
}

/** What is wrong with a device of the list, by the row of the journal, or of the list, that has its name. */
type NameProblem = (
  device: BulkDevice,
  known: { readonly index: number; readonly id: string },
) => string;

function movedProblem({ id, index }: BulkDevice): string {
  return `${id}: row ${index + 1} is not what it was in the first run`;
}

/** A device of the list. */
export interface Namesake {
  readonly id: string;
  /** Its place in the list; undefined for one of another shard. */
  readonly index?: number;
  /** Whether it is still to be made. */
  readonly isPending: boolean;
}

/**
 * Finds devices of the list that was read in this run, those of other shards too.
 *
 * @returns Finds one by its name as `foldId` gives it.
 */
export function namesakeFinder(database: DatabaseSync): (fold: string) => Namesake | undefined {
  const own = database.prepare("SELECT n, id, state FROM devices WHERE fold = ?");
  const hasOthers = database.prepare("SELECT 1 FROM temp.sqlite_schema WHERE name = ?")
    .get(FOREIGN_ROWS) !== undefined;
  const others = hasOthers
    ? database.prepare(`SELECT id FROM ${FOREIGN_ROWS} WHERE fold = ?`)
    : undefined;
  return (fold) => {
    const row = own.get(fold);
    if (row !== undefined) {
      return { id: String(row.id), index: Number(row.n), isPending: row.state === "pending" };
    }
    const other = others?.get(fold);
    return other && { id: String(other.id), isPending: false };
  };
}

/** The devices of the list that other shards make. */
const FOREIGN_ROWS = "foreign_rows";

/** Finds ids that are there twice among a shard's devices and those of others. */
function foreignRows(
  database: DatabaseSync,
  nameProblem: NameProblem,
): (mine: readonly BulkDevice[], others: readonly BulkDevice[]) => string[] {
  database.exec(
    `CREATE TEMP TABLE ${FOREIGN_ROWS} (fold TEXT PRIMARY KEY, n INTEGER, id TEXT) WITHOUT ROWID`,
  );
  const insert = database.prepare(
    `INSERT INTO ${FOREIGN_ROWS} (fold, n, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
  );
  const ofOthers = database.prepare(
    `SELECT n AS "index", id FROM ${FOREIGN_ROWS} WHERE fold = ?`,
  );
  const ofMine = database.prepare('SELECT n AS "index", id FROM devices WHERE fold = ?');
  const check = (device: BulkDevice, rows: typeof ofMine) => {
    const row = rows.get(foldId(device.id)) as { index: number; id: string } | undefined;
    // Of two rows the later one has the problem.
    return row === undefined || row.index >= device.index ? [] : [nameProblem(device, row)];
  };
  return (mine, others) => {
    const twice = others.filter(({ id, index }) => insert.run(foldId(id), index, id).changes === 0);
    return [
      ...twice.flatMap((device) => check(device, ofOthers)),
      ...others.flatMap((device) => check(device, ofMine)),
      ...mine.flatMap((device) => check(device, ofOthers)),
    ];
  };
}
