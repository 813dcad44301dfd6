import { makeFolder, removeFolders } from "../../disk/folders.ts";
import { fileError } from "../../errors.ts";
import { explain, joinPath } from "../../io.ts";
import { DEVICE_FOLDERS, MANIFEST, MANIFEST_CSV } from "../../../batch/files.ts";
import type { DatabaseSync } from "../deps.ts";
import { type FolderLock, lockFolder } from "../folder/lock.ts";
import {
  folderMode,
  growingName,
  JOURNAL,
  JOURNAL_FILES,
  LOCK,
  SECRET_MODE,
} from "../folder/names.ts";
import { isThere, removeIfEmpty, removeIfExists } from "../folder/present.ts";
import { metaOf } from "./meta.ts";
import { openDatabase } from "./schema.ts";

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
  // The journal comes first, so that what a crash leaves is a batch's folder.
  if (isFirst) Deno.openSync(journal, { createNew: true, write: true, mode: SECRET_MODE }).close();
  for (const name of DEVICE_FOLDERS) {
    Deno.mkdirSync(joinPath(path, name), { recursive: true, ...folderMode(name) });
  }
  const database = openDatabase(journal);
  removeGrowing(path, metaOf(database).get("writers") ?? 0);
  return {
    path,
    database,
    isNew: isFirst,
    close: (isUnused = false) => {
      for (const name of DEVICE_FOLDERS) removeIfEmpty(joinPath(path, name));
      if (!isUnused || !isFirst) return lock.close();
      for (const name of [...JOURNAL_FILES, LOCK]) removeIfExists(joinPath(path, name));
      lock.close();
      removeFolders(made);
    },
  };
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
