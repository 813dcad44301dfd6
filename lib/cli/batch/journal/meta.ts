import { BULK_STATES, type BulkState } from "../../../batch/ports.ts";
import type { DatabaseSync } from "../deps.ts";
import type { ManifestSizes } from "./manifest_files.ts";

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

interface MetaValues {
  readonly columns: readonly string[];
  readonly sizes: ManifestSizes;
  readonly disordered: boolean;
  /** Most threads that wrote files in one run. */
  readonly writers: number;
  readonly profile: string;
  readonly ca: string;
  readonly labels: string;
  readonly signers: string;
  readonly shard: string;
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

/** Whether no device was taken up yet. */
export function isEmpty(database: DatabaseSync): boolean {
  return database.prepare("SELECT 1 FROM devices LIMIT 1").get() === undefined;
}

/** How many devices are in each state. */
export function countsOf(database: DatabaseSync): Record<BulkState, number> {
  const counts = Object.fromEntries(BULK_STATES.map((state) => [state, 0]));
  for (
    const row of database.prepare("SELECT state, count(*) AS n FROM devices GROUP BY state").all()
  ) {
    counts[String(row.state)] = Number(row.n);
  }
  return counts as Record<BulkState, number>;
}
