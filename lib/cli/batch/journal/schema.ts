import { fileError } from "../../errors.ts";
import { DatabaseSync } from "../deps.ts";

const VERSION = 1;
/** Marks a database as a batch's: "escb" in ASCII. */
const APPLICATION = 0x65736362;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS devices (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  fold TEXT NOT NULL UNIQUE,
  fields TEXT NOT NULL,
  state TEXT NOT NULL,
  reached TEXT,
  reason TEXT,
  certificate TEXT,
  serial TEXT NOT NULL DEFAULT '',
  fingerprint TEXT NOT NULL DEFAULT '',
  publicKey TEXT,
  imageSha256 TEXT NOT NULL DEFAULT '',
  keyMode TEXT NOT NULL DEFAULT '',
  efuseKeyId INTEGER
);
CREATE UNIQUE INDEX IF NOT EXISTS devicesByKey ON devices (publicKey);
CREATE INDEX IF NOT EXISTS devicesBySerial ON devices (serial) WHERE serial <> '';
CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, n INTEGER NOT NULL UNIQUE)
  WITHOUT ROWID;
`;

/**
 * Opens a batch's database, or makes it: write-ahead log, and every transaction on the disk when it
 * ends.
 *
 * @param path The file.
 */
export function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    refuseForeign(path, database);
    database.exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8000;",
    );
    database.exec(
      `BEGIN; ${SCHEMA} PRAGMA application_id = ${APPLICATION}; PRAGMA user_version = ${VERSION}; COMMIT;`,
    );
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** A database that is not a batch's is not touched. */
function refuseForeign(path: string, database: DatabaseSync): void {
  const number = (pragma: string): number =>
    Number(Object.values(database.prepare(`PRAGMA ${pragma}`).get() ?? {})[0] ?? 0);
  let facts;
  try {
    facts = {
      application: number("application_id"),
      version: number("user_version"),
      isEmpty: database.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get() === undefined,
    };
  } catch (error) {
    if (!(error instanceof Error) || !/not a database|malformed/.test(error.message)) throw error;
    const hint = "take it from a backup, with its -wal, or give another folder";
    throw fileError("ERR_IO", path, `Cannot read ${path}: it is damaged, or not a journal`, hint);
  }
  if (facts.isEmpty) return;
  if (facts.application !== APPLICATION) {
    throw fileError(
      "ERR_IO",
      path,
      `${path} is a database of something else`,
      "give another folder",
    );
  }
  if (facts.version === VERSION) return;
  throw fileError(
    "ERR_IO",
    path,
    `Cannot use ${path}: it is of another version (${facts.version})`,
  );
}
