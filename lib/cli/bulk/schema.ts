import { fileError } from "../errors.ts";
import { DatabaseSync } from "./deps.ts";

const VERSION = 1;

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
    database.exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8000;",
    );
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as {
      user_version: number;
    };
    if (version !== 0 && version !== VERSION) {
      throw fileError("ERR_IO", path, `Cannot use ${path}: it is of another version (${version})`);
    }
    database.exec(`BEGIN; ${SCHEMA} PRAGMA user_version = ${VERSION}; COMMIT;`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
