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
