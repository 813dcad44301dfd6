import { type BulkDevice, foldId } from "../../provision/bulk_devices.ts";
import {
  BULK_STATES,
  type BulkJournal,
  type BulkResult,
  type BulkState,
  type JournaledDevice,
} from "../../provision/bulk_ports.ts";
import { failTwiceUsedKey, manifestColumns } from "../../provision/bulk_results.ts";
import type { ManifestRow } from "../../provision/manifest.ts";
import { fileError } from "../errors.ts";
import type { DatabaseSync } from "./deps.ts";
import { type ManifestSizes, openManifests, rewriteManifests } from "./manifest_files.ts";

/** The journal of a folder: a row a device in SQLite, and the manifests that follow from it. */
export interface FolderJournal extends BulkJournal {
  /** A fact of the batch; false when an earlier run had another, which it then stays with. */
  agree(name: "profile" | "ca", value: string): boolean;
  /** Puts a fact in the place of that of an earlier run. */
  settle(name: "profile" | "ca", value: string): void;
  /** Makes what failed pending again; gives how many. */
  retryFailed(): number;
  /** Ids of the devices that failed, and why. */
  failures(): Iterable<{ readonly id: string; readonly reason: string }>;
  /** Gives the device that has a public key its certificate's path; tells why it does not fit. */
  certify(publicKey: string, certificate: string): string | undefined;
  /** Brings the manifests into the order of the list, when devices were tried again. */
  finish(): void;
  close(): void;
}

interface Row {
  readonly n: number;
  readonly id: string;
  readonly fields: string;
  readonly certificate: string | null;
  readonly state: BulkState;
  readonly serial: string;
  readonly fingerprint: string;
  readonly publicKey: string | null;
  readonly imageSha256: string;
  readonly keyMode: string;
  readonly efuseKeyId: number | null;
}

/** @param folder Where the manifests lie. @param database Of {@linkcode openDatabase}. */
export function folderJournal(folder: string, database: DatabaseSync): FolderJournal {
  const meta = metaOf(database);
  const planning = plannerOf(folder, database, meta);
  const rows = () => manifestRows(database);
  let manifests: ReturnType<typeof openManifests> | undefined;
  const opened = () => {
    planning.end();
    manifests ??= openManifests(folder, meta.get("sizes"), meta.get("columns") ?? [], rows);
    return manifests;
  };
  const update = database.prepare(
    `UPDATE devices SET state = ?, reached = ?, reason = ?, serial = ?, fingerprint = ?,
     publicKey = coalesce(?, publicKey), imageSha256 = ?, keyMode = ?, efuseKeyId = ? WHERE n = ?`,
  );
  const owner = database.prepare("SELECT id FROM devices WHERE publicKey = ?");
  const select = database.prepare(
    "SELECT n, id, fields, certificate FROM devices WHERE state = ? AND n > ? ORDER BY n LIMIT ?",
  );
  return {
    plan: planning.plan,
    next: (state, after, limit) => {
      opened();
      return select.all(state, after, limit).map((row) => journaledOf(row as unknown as Row));
    },
    commit: (results) =>
      transaction(database, () => {
        const recorded = results.map((result) => {
          const other = owner.get(result.row.publicKey) as { id: string } | undefined;
          const final = failTwiceUsedKey(result, other?.id);
          update.run(...columnsOf(final));
          return final;
        });
        const finished = recorded.filter(({ state }) => state !== "key made");
        if (finished.length > 0) meta.set("sizes", opened().append(finished.map(({ row }) => row)));
        return recorded;
      }),
    counts: () => countsOf(database),
    agree: (name, value) => {
      const known = meta.get(name);
      if (known === undefined) meta.set(name, value);
      return known === undefined || known === value;
    },
    settle: (name, value) => meta.set(name, value),
    retryFailed: () => retryFailed(database, meta),
    failures: function* () {
      const failed = database.prepare(
        "SELECT id, reason FROM devices WHERE state = 'failed' ORDER BY n",
      );
      for (const row of failed.iterate()) yield row as { id: string; reason: string };
    },
    certify: (publicKey, certificate) => certify(database, publicKey, certificate),
    finish: () => {
      if (meta.get("disordered") !== true) return;
      manifests?.close();
      manifests = undefined;
      const sizes = rewriteManifests(folder, meta.get("columns") ?? [], rows());
      transaction(database, () => {
        meta.set("sizes", sizes);
        meta.set("disordered", false);
      });
    },
    close: () => {
      manifests?.close();
      database.close();
    },
  };
}

/** Runs what belongs together: all of it is on the disk at the end, or nothing. */
export function transaction<T>(database: DatabaseSync, act: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const value = act();
    database.exec("COMMIT");
    return value;
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

interface MetaValues {
  readonly columns: readonly string[];
  readonly sizes: ManifestSizes;
  readonly disordered: boolean;
  readonly profile: string;
  readonly ca: string;
}

/** Facts of the batch as a whole. */
export interface Meta {
  get<Name extends keyof MetaValues>(name: Name): MetaValues[Name] | undefined;
  set<Name extends keyof MetaValues>(name: Name, value: MetaValues[Name]): void;
}

/** Facts of the batch as a whole, as JSON. */
export function metaOf(database: DatabaseSync): Meta {
  const read = database.prepare("SELECT value FROM meta WHERE name = ?");
  const write = database.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)");
  return {
    get: (name) => {
      const row = read.get(name) as { value: string } | undefined;
      return row && JSON.parse(row.value);
    },
    set: (name, value) => void write.run(name, JSON.stringify(value)),
  };
}

/** One transaction from the first device of the list to the last, so that a bad list leaves nothing. */
function plannerOf(
  folder: string,
  database: DatabaseSync,
  meta: Meta,
): { plan: BulkJournal["plan"]; end: () => void } {
  const insert = database.prepare(
    "INSERT INTO devices (n, id, fold, fields, state) VALUES (?, ?, ?, ?, 'pending') ON CONFLICT DO NOTHING",
  );
  const same = database.prepare("SELECT n, id, fields FROM devices WHERE n = ? OR fold = ?");
  const columns = new Set<string>(meta.get("columns") ?? []);
  let planned: number | undefined;
  const planOne = (device: BulkDevice, seen: number): string[] => {
    const { index, id } = device;
    const fields = JSON.stringify(device.fields);
    if (seen < 100_000) { for (const name of Object.keys(device.fields)) columns.add(name); }
    if (insert.run(index, id, foldId(id), fields).changes === 1) return [];
    const known = same.all(index, foldId(id)) as unknown as Row[];
    if (known.some((row) => row.n === index && row.id === id && row.fields === fields)) return [];
    const twice = known.find((row) => row.n !== index && foldId(row.id) === foldId(id));
    if (twice !== undefined) {
      return [`${id}: the id is there twice, in rows ${twice.n + 1} and ${index + 1}`];
    }
    return [`${id}: row ${index + 1} is not what it was in the first run`];
  };
  return {
    plan: (devices) => {
      if (planned === undefined) database.exec("BEGIN IMMEDIATE");
      planned ??= 0;
      const start = planned;
      planned += devices.length;
      return devices.flatMap((device, at) => planOne(device, start + at));
    },
    end: () => {
      if (planned === undefined) return;
      const total = Object.values(countsOf(database)).reduce((sum, count) => sum + count, 0);
      if (total !== planned) {
        database.exec("ROLLBACK");
        const message = `the batch in ${folder} has ${total} devices, the list has ${planned}`;
        throw fileError("ERR_IO", folder, message, "give the same list, or another folder");
      }
      meta.set("columns", manifestColumns([...columns]));
      database.exec("COMMIT");
      planned = undefined;
    },
  };
}

function columnsOf(result: BulkResult): (string | number | null)[] {
  const { device, state, reached, reason, row } = result;
  const { serial, fingerprint, publicKey, imageSha256, keyMode, efuseKeyId } = row;
  return [
    state,
    reached ?? null,
    reason ?? null,
    serial,
    fingerprint,
    publicKey || null,
    imageSha256,
    keyMode,
    efuseKeyId,
    device.index,
  ];
}

function journaledOf({ n, id, fields, certificate }: Row): JournaledDevice {
  const device = { index: n, id, fields: JSON.parse(fields) };
  return certificate === null ? { device } : { device, certificate };
}

function* manifestRows(database: DatabaseSync): Generator<ManifestRow> {
  const finished = database.prepare(
    "SELECT * FROM devices WHERE state IN ('verified', 'failed') ORDER BY n",
  );
  for (const each of finished.iterate()) {
    const row = each as unknown as Row;
    const fields = JSON.parse(row.fields) as Record<string, string>;
    const { id, serial, fingerprint, publicKey, imageSha256, keyMode, efuseKeyId, state } = row;
    yield {
      id,
      serial,
      fingerprint,
      publicKey: publicKey ?? "",
      imageSha256,
      keyMode,
      efuseKeyId,
      status: state as "verified" | "failed",
      ...Object.fromEntries(
        manifestColumns(Object.keys(fields)).map((name) => [name, fields[name]!]),
      ),
    };
  }
}

function countsOf(database: DatabaseSync): Record<BulkState, number> {
  const counts = Object.fromEntries(BULK_STATES.map((state) => [state, 0]));
  for (
    const row of database.prepare("SELECT state, count(*) AS n FROM devices GROUP BY state").all()
  ) {
    counts[String(row.state)] = Number(row.n);
  }
  return counts as Record<BulkState, number>;
}

/** Back to where they came from; a key that was reserved stays theirs. */
function retryFailed(database: DatabaseSync, meta: Meta): number {
  return transaction(database, () => {
    const { changes } = database.prepare(
      `UPDATE devices SET state = CASE WHEN certificate IS NULL THEN 'pending' ELSE 'certified' END,
       reason = NULL, reached = NULL WHERE state = 'failed'`,
    ).run();
    if (changes === 0) return 0;
    // Without sizes the manifests are written again from the rows.
    database.prepare("DELETE FROM meta WHERE name = 'sizes'").run();
    meta.set("disordered", true);
    return Number(changes);
  });
}

function certify(
  database: DatabaseSync,
  publicKey: string,
  certificate: string,
): string | undefined {
  const found = database.prepare(
    "SELECT n, id, state, certificate FROM devices WHERE publicKey = ?",
  )
    .get(publicKey) as unknown as Row | undefined;
  if (found === undefined) return "its key is no device's of this batch";
  if (found.certificate === certificate) return undefined;
  if (found.certificate !== null) return `${found.id} has ${found.certificate} already`;
  if (found.state !== "key made") return `${found.id} is ${found.state} already`;
  database.prepare("UPDATE devices SET state = 'certified', certificate = ? WHERE n = ?")
    .run(certificate, found.n);
  return undefined;
}
