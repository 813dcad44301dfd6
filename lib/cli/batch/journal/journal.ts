import { foldId } from "../../../batch/list/devices.ts";
import type { BulkJournal, BulkResult, BulkState, JournaledDevice } from "../../../batch/ports.ts";
import { failTwiceUsed, manifestColumns } from "../../../batch/make/results.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import type { DatabaseSync } from "../deps.ts";
import { openManifests, rewriteManifests } from "./manifest_files.ts";
import { clearLeftovers } from "../folder/disk_files.ts";
import { countsOf, forgetSizes, isEmpty, type Meta, metaOf, transaction } from "./meta.ts";
import { plannerOf } from "./planner.ts";

/** What stays the same in all runs of a batch. */
export type Fact = "profile" | "signers" | "ca" | "labels" | "shard";

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
  /** Sets a fact, also in the place of that of an earlier run. */
  settle(name: Fact, value: string): void;
  /** Makes what failed pending again; gives how many. */
  retryFailed(): number;
  /** Ids of the devices that failed, and why. */
  failures(): Iterable<{ readonly id: string; readonly reason: string }>;
  /** Gives a device its certificate; tells why it does not fit. */
  certify(issued: IssuedCertificate): string | undefined;
  /** Brings the manifests into the order of the list, when devices were tried again. */
  finish(): void;
  close(): void;
}

/** What {@linkcode FolderJournal.certify} says of a certificate that nobody here waits for. */
export const STRANGER = "its key is no device's of this batch";

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

/**
 * Opens the journal.
 *
 * @param folder Where the manifests lie.
 * @param database Of {@linkcode openDatabase}.
 */
export function folderJournal(folder: string, database: DatabaseSync): FolderJournal {
  const meta = metaOf(database);
  const planning = plannerOf(folder, database, meta);
  const rows = () => manifestRows(database);
  let manifests: ReturnType<typeof openManifests> | undefined;
  const opened = () => {
    planning.end();
    const sizes = meta.get("sizes") ?? (meta.get("disordered") === true ? null : undefined);
    manifests ??= openManifests(folder, sizes, meta.get("columns") ?? [], rows);
    return manifests;
  };
  const record = recorderOf(database);
  const select = database.prepare(
    "SELECT n, id, fields, certificate FROM devices WHERE state = ? AND n > ? ORDER BY n LIMIT ?",
  );
  return {
    plan: planning.plan,
    next: (state, after, limit) => {
      opened();
      return select.all(state, after, limit).map((row) => journaledOf(row as unknown as Row));
    },
    commit: (results) => {
      const { format, append, sizes } = opened();
      const { recorded, part } = transaction(database, () => {
        const recorded = results.map(record);
        const failed = recorded.filter(({ state }) => state === "failed");
        failed.forEach(({ device }) => clearLeftovers(folder, device.id));
        const finished = recorded.filter(({ state }) => state !== "key made");
        const part = format(finished.map(({ row }) => row), meta.get("sizes") ?? sizes);
        meta.set("sizes", part.to);
        return { recorded, part };
      });
      // Not before the journal has them, for nobody is to see a device that is then made again.
      if (part.to.ndjson > part.from.ndjson) append(part);
      return recorded;
    },
    counts: () => countsOf(database),
    fact: (name) => isEmpty(database) ? undefined : meta.get(name),
    settle: (name, value) => meta.set(name, value),
    retryFailed: () => retryFailed(database, meta),
    failures: () => failuresOf(database),
    certify: (issued) => certify(database, issued),
    finish: () => {
      if (meta.get("disordered") !== true) return;
      manifests?.close();
      manifests = undefined;
      bringIntoOrder(folder, database, meta);
    },
    close: () => {
      manifests?.close();
      database.close();
    },
  };
}

/** Writes what became of a device into its row. */
function recorderOf(database: DatabaseSync): (result: BulkResult) => BulkResult {
  const update = database.prepare(
    `UPDATE devices SET state = ?, reached = ?, reason = ?, serial = ?, fingerprint = ?,
     publicKey = coalesce(?, publicKey), imageSha256 = ?, keyMode = ?, efuseKeyId = ? WHERE n = ?`,
  );
  const owner = database.prepare("SELECT id FROM devices WHERE publicKey = ?");
  const sameSerial = database.prepare(
    "SELECT id FROM devices WHERE serial = ? AND serial <> '' AND state = 'verified'",
  );
  return (result) => {
    const { publicKey, serial } = result.row;
    const other = owner.get(publicKey) as { id: string } | undefined;
    const twin = sameSerial.get(serial) as { id: string } | undefined;
    const final = failTwiceUsed(failTwiceUsed(result, other?.id, "key"), twin?.id, "serial number");
    update.run(...columnsOf(final));
    return final;
  };
}

/** Devices that were tried again stand where the list has them. */
function bringIntoOrder(folder: string, database: DatabaseSync, meta: Meta): void {
  const sizes = rewriteManifests(folder, meta.get("columns") ?? [], manifestRows(database));
  transaction(database, () => {
    meta.set("sizes", sizes);
    meta.set("disordered", false);
  });
}

function* failuresOf(
  database: DatabaseSync,
): Generator<{ readonly id: string; readonly reason: string }> {
  const failed = database.prepare(
    "SELECT id, reason FROM devices WHERE state = 'failed' ORDER BY n",
  );
  for (const row of failed.iterate()) yield row as { id: string; reason: string };
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

/**
 * Back to where they came from. A ready key and a certificate that did not do are given back, so that
 * others may take their places.
 */
function retryFailed(database: DatabaseSync, meta: Meta): number {
  return transaction(database, () => {
    database.exec("DELETE FROM keys WHERE n IN (SELECT n FROM devices WHERE state = 'failed')");
    const { changes } = database.prepare(
      `UPDATE devices SET state = CASE WHEN certificate IS NULL THEN 'pending' ELSE 'key made' END,
       certificate = NULL, reason = NULL, reached = NULL WHERE state = 'failed'`,
    ).run();
    if (changes === 0) return 0;
    forgetSizes(database, meta);
    return Number(changes);
  });
}

/** Id of the device that has a key, SubjectPublicKeyInfo in base64; undefined when none has. */
export function ownerOf(database: DatabaseSync, publicKey: string): string | undefined {
  const owner = database.prepare("SELECT id FROM devices WHERE publicKey = ?").get(publicKey);
  return owner && String(owner.id);
}

function certify(
  database: DatabaseSync,
  { publicKey, certificate, commonName }: IssuedCertificate,
): string | undefined {
  const found = database.prepare(
    "SELECT n, id, state, certificate FROM devices WHERE publicKey = ?",
  )
    .get(publicKey) as unknown as Row | undefined;
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
