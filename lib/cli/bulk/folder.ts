import { fileError } from "../errors.ts";
import { explain, joinPath } from "../io.ts";
import type { DatabaseSync } from "./deps.ts";
import { FOLDERS, GROWING } from "./disk_files.ts";
import { openDatabase } from "./schema.ts";

/** The folder of a batch, held by this process alone. */
export interface BatchFolder {
  readonly path: string;
  readonly database: DatabaseSync;
  /** Clears up at the end; the lock is the system's to release when the process dies. */
  close(): void;
}

const JOURNAL = "journal.sqlite";
const SECRET_MODE = 0o600;
const SECRET_FOLDER_MODE = 0o700;

/**
 * Takes hold of the folder of a batch, which is made when it is not there.
 *
 * @throws {CliError} when another process holds it, or it is the folder of something else.
 */
export function openFolder(path: string): BatchFolder {
  try {
    Deno.mkdirSync(path, { recursive: true });
    const lock = lockFolder(path);
    try {
      return prepare(path, lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  } catch (error) {
    throw isCli(error) ? error : explain("write", path, error);
  }
}

function prepare(path: string, lock: Deno.FsFile): BatchFolder {
  const journal = joinPath(path, JOURNAL);
  if (!exists(journal)) {
    const other = [...Deno.readDirSync(path)].find(({ name }) => name !== ".lock");
    if (other !== undefined) {
      const message = `${path} has ${other.name} in it and is no batch's folder`;
      throw fileError("ERR_FILE_EXISTS", path, message, "give a folder that is new or empty");
    }
  }
  for (const name of FOLDERS) {
    const mode = name === "secret" ? { mode: SECRET_FOLDER_MODE } : {};
    Deno.mkdirSync(joinPath(path, name), { recursive: true, ...mode });
    removeGrowing(joinPath(path, name));
  }
  if (!exists(journal)) {
    Deno.openSync(journal, { createNew: true, write: true, mode: SECRET_MODE }).close();
  }
  const database = openDatabase(journal);
  return {
    path,
    database,
    close: () => {
      for (const name of FOLDERS) removeIfEmpty(joinPath(path, name));
      lock.close();
    },
  };
}

function lockFolder(path: string): Deno.FsFile {
  const lock = Deno.openSync(joinPath(path, ".lock"), { create: true, write: true, read: true });
  if (lock.tryLockSync(true)) return lock;
  lock.close();
  throw fileError(
    "ERR_IO",
    path,
    `another process works on ${path}`,
    "wait until it has ended, or give another folder",
  );
}

/** What was not whole when a run was cut off. */
function removeGrowing(path: string): void {
  for (const { name } of Deno.readDirSync(path)) {
    if (name.startsWith(GROWING)) Deno.removeSync(joinPath(path, name));
  }
}

function removeIfEmpty(path: string): void {
  for (const _ of Deno.readDirSync(path)) return;
  Deno.removeSync(path);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function isCli(error: unknown): boolean {
  return typeof error === "object" && error !== null && "cliError" in error;
}
