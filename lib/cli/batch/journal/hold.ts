import { DEVICE_FOLDERS, MANIFEST, MANIFEST_CSV } from "../../../batch/files.ts";
import { makeFolder, removeFolders } from "../../disk/paths.ts";
import { fileError } from "../../errors.ts";
import { explain, joinPath } from "../../io.ts";
import { DatabaseSync } from "../deps.ts";
import {
  type FolderLock,
  folderMode,
  growingName,
  isThere,
  JOURNAL,
  JOURNAL_FILES,
  LOCK,
  lockFolder,
  removeIfEmpty,
  removeIfExists,
  SECRET_MODE,
} from "../folder/folder.ts";
import { metaOf } from "./rows.ts";

/** The folder of a batch, held by this process only. */
export interface HeldFolder {
  readonly path: string;
  readonly database: DatabaseSync;
  /** Whether there was no batch in it. */
  readonly isNew: boolean;
  /**
   * Clears up at the end; the lock is the system's to release when the process dies.
   *
   * @param isUnused Whether nothing came of it: what was not there before goes. @default false
   */
  close(isUnused?: boolean): void;
}

/** The most that a journal is believed to have: four threads a processor make fewer. */
const MOST_WRITERS = 4096;

/**
 * Takes hold of the folder of a batch, which is made when it is not there.
 *
 * @throws {CliError} when another process holds it, or it is the folder of something else.
 */
export function holdFolder(path: string): HeldFolder {
  let made: readonly string[] = [];
  try {
    made = makeFolder(path);
    refuseOthers(path);
    refuseLinks(path);
    const lock = lockFolder(path);
    try {
      return prepare(path, made, lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  } catch (error) {
    removeFolders(made);
    throw explain("write", path, error);
  }
}

/**
 * Refuses links: a symbolic one, also in place of a folder, may lead anywhere; a hard one may be in a
 * backup, whose content would change too.
 */
function refuseLinks(path: string): void {
  const growing = [...JOURNAL_FILES, MANIFEST, MANIFEST_CSV];
  for (const name of [...growing, LOCK, ...DEVICE_FOLDERS]) {
    const file = joinPath(path, name);
    if (!isThere(file)) continue;
    const { isSymlink, nlink } = Deno.lstatSync(file);
    if (isSymlink) {
      const message = `${file} is a symbolic link, and nothing is written through one`;
      throw fileError("ERR_FILE_EXISTS", file, message, "put what it leads to in its place");
    }
    if (growing.includes(name) && nlink !== null && nlink > 1) {
      const message = `${file} has another name (a hard link), which would change with it`;
      throw fileError("ERR_FILE_EXISTS", file, message, "put a copy of the file in its place");
    }
  }
}

/** A folder without a journal that has something in it is not ours to fill. */
function refuseOthers(path: string): void {
  if (isThere(joinPath(path, JOURNAL))) return;
  const names = [...Deno.readDirSync(path)].map(({ name }) => name).filter((name) => name !== LOCK);
  if (names.length === 0) return;
  const isBatch = names.includes(MANIFEST);
  const message = isBatch
    ? `${path} has a manifest and no journal: it is a merged batch, or its journal was lost`
    : `${path} has ${names.sort()[0]} in it and is not a batch's folder`;
  const hint = isBatch
    ? "continue in the folders that were merged"
    : "give a folder that is new or empty";
  throw fileError("ERR_FILE_EXISTS", path, message, hint);
}

function prepare(path: string, made: readonly string[], lock: FolderLock): HeldFolder {
  const journal = joinPath(path, JOURNAL);
  const isFirst = !isThere(journal);
  let opened: DatabaseSync | undefined;
  try {
    // The journal comes first, so that what a crash leaves is a batch's folder.
    if (isFirst) makeJournal(journal);
    for (const name of DEVICE_FOLDERS) {
      Deno.mkdirSync(joinPath(path, name), { recursive: true, ...folderMode(name) });
    }
    opened = openDatabase(journal);
    removeGrowing(path, metaOf(opened).get("writers") ?? 0);
  } catch (error) {
    opened?.close();
    removeEmptyFolders(path);
    if (isFirst) removeJournal(path);
    throw error;
  }
  return {
    path,
    database: opened,
    isNew: isFirst,
    close: (isUnused = false) => {
      removeEmptyFolders(path);
      if (!isUnused || !isFirst) return lock.close();
      removeJournal(path);
      lock.close();
      removeFolders(made);
    },
  };
}

function makeJournal(path: string): void {
  Deno.openSync(path, { createNew: true, write: true, mode: SECRET_MODE }).close();
}

/** Folders for files that no device has. */
function removeEmptyFolders(path: string): void {
  for (const name of DEVICE_FOLDERS) removeIfEmpty(joinPath(path, name));
}

/** Removes what makes a folder that of a batch. */
function removeJournal(path: string): void {
  for (const name of [...JOURNAL_FILES, LOCK]) removeIfExists(joinPath(path, name));
}

/** Notes how many write into the folder, before they do. */
export function reserveWriters({ database }: HeldFolder, count: number): void {
  const meta = metaOf(database);
  if (count > (meta.get("writers") ?? 0)) meta.set("writers", count);
}

/**
 * Removes what was not whole when a run was cut off. The folders are not read for it: Deno holds all
 * names of a folder in memory, which may be millions.
 */
function removeGrowing(path: string, writers: number): void {
  for (const name of DEVICE_FOLDERS) {
    for (let writer = 0; writer < Math.min(writers, MOST_WRITERS); writer++) {
      removeIfExists(joinPath(path, growingName(name, String(writer))));
    }
  }
}

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
function openDatabase(path: string): DatabaseSync {
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
