import { foldId } from "../../../batch/files.ts";
import { manifestFields } from "../../../batch/list/devices.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import {
  BULK_STATES,
  type BulkResult,
  type BulkState,
  type JournaledDevice,
} from "../../../batch/ports.ts";
import type { DatabaseSync } from "../deps.ts";
import type { ManifestSizes } from "../folder/manifests.ts";

/** What stays the same in all runs of a batch. */
export interface BatchFacts {
  /** The profile, JSON. */
  readonly profile: string;
  /** SHA-256 of the CA certificate's DER, hexadecimal. */
  readonly ca: string;
  /** SHA-256 of what the devices store as their CA, hexadecimal, or `issuer`. */
  readonly caCert: string;
  /** `true` or `false`. */
  readonly labels: string;
  /** SHA-256 of the public keys that sign the images, hexadecimal, with commas between. */
  readonly signers: string;
  /** `i/n`. */
  readonly shard: string;
}

/** Name of a fact. */
export type Fact = keyof BatchFacts;

interface MetaValues extends BatchFacts {
  /** Columns of the device list that are in the manifest. */
  readonly columns: readonly string[];
  /** Sizes of the manifests up to the rows that the journal has. */
  readonly sizes: ManifestSizes;
  /** Whether the manifests are to be written again, in the order of the list. */
  readonly disordered: boolean;
  /** Most threads that wrote files in one run. */
  readonly writers: number;
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

/** Has the manifests written again from the rows, in the order of the list at the end of the run. */
export function forgetSizes(database: DatabaseSync, meta: Meta): void {
  database.exec("DELETE FROM meta WHERE name = 'sizes'");
  meta.set("disordered", true);
}

/** Runs what belongs together: all of it is on the disk at the end, or nothing. */
export function transaction<T>(database: DatabaseSync, act: () => T): T {
  // Within another it is part of that.
  if (database.isTransaction) return act();
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

/** A row of the table `devices`. */
export interface DeviceRecord {
  readonly n: number;
  readonly id: string;
  /** The other columns of the device list, JSON. */
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

/** A device that failed, and why. */
export interface Failure {
  readonly id: string;
  readonly reason: string;
}

/** A device of the journal, as `bulk` takes it. */
export function journaledOf(record: DeviceRecord): JournaledDevice {
  const { n, id, certificate } = record;
  const device = { index: n, id, fields: fieldsOf(record) };
  return certificate === null ? { device } : { device, certificate };
}

/** The other columns of the device list. */
export function fieldsOf({ fields }: Pick<DeviceRecord, "fields">): Record<string, string> {
  return JSON.parse(fields);
}

/** A device of the journal as a row of the manifest; one that is not done has its state as status. */
export function manifestRowOf(record: DeviceRecord): ManifestRow {
  const { id, serial, fingerprint, publicKey, imageSha256, keyMode, efuseKeyId, state } = record;
  return {
    id,
    serial,
    fingerprint,
    publicKey: publicKey ?? "",
    imageSha256,
    keyMode,
    efuseKeyId,
    status: state as ManifestRow["status"],
    ...manifestFields(fieldsOf(record)),
  };
}

/** The rows of the devices that are done or failed, in the order of the list. */
export function* manifestRows(database: DatabaseSync): Generator<ManifestRow> {
  const finished = database.prepare(
    "SELECT * FROM devices WHERE state IN ('verified', 'failed') ORDER BY n",
  );
  for (const record of finished.iterate()) {
    yield manifestRowOf(record as unknown as DeviceRecord);
  }
}

/** Finds devices by their names. */
export function deviceFinder(database: DatabaseSync): (id: string) => DeviceRecord | undefined {
  const byName = database.prepare("SELECT * FROM devices WHERE fold = ?");
  return (id) => byName.get(foldId(id)) as unknown as DeviceRecord | undefined;
}

/** Id of the device that has a key, SubjectPublicKeyInfo in base64; undefined when none has. */
export function ownerOf(database: DatabaseSync, publicKey: string): string | undefined {
  const owner = database.prepare("SELECT id FROM devices WHERE publicKey = ?").get(publicKey);
  return owner && String(owner.id);
}

/** The devices that failed, in the order of the list. */
export function failuresOf(database: DatabaseSync): Failure[] {
  const failed = database.prepare(
    "SELECT id, reason FROM devices WHERE state = 'failed' ORDER BY n",
  );
  return failed.all().map(({ id, reason }) => ({ id: String(id), reason: String(reason ?? "") }));
}

/** How many devices are in each state. */
export function countsOf(database: DatabaseSync): Record<BulkState, number> {
  const counts = Object.fromEntries(BULK_STATES.map((state) => [state, 0]));
  const found = database.prepare("SELECT state, count(*) AS n FROM devices GROUP BY state").all();
  for (const { state, n } of found) counts[String(state)] = Number(n);
  return counts as Record<BulkState, number>;
}

/** Whether no device was taken up yet. */
export function isEmpty(database: DatabaseSync): boolean {
  return database.prepare("SELECT 1 FROM devices LIMIT 1").get() === undefined;
}

/** Writes what became of a device into its row. */
export function resultWriter(database: DatabaseSync): (result: BulkResult) => void {
  const update = database.prepare(
    `UPDATE devices SET state = ?, reached = ?, reason = ?, serial = ?, fingerprint = ?,
     publicKey = coalesce(?, publicKey), imageSha256 = ?, keyMode = ?, efuseKeyId = ? WHERE n = ?`,
  );
  return ({ device, state, reached, reason, row }) => {
    const { serial, fingerprint, publicKey, imageSha256, keyMode, efuseKeyId } = row;
    update.run(
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
    );
  };
}
