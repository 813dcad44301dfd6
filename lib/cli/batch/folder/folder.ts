import { fileError } from "../../errors.ts";
import { joinPath } from "../../io.ts";

/** What `bulk` has written down of its work. */
export const JOURNAL = "journal.sqlite";
/** The journal with the files that SQLite keeps beside it. */
export const JOURNAL_FILES: readonly string[] = [JOURNAL, `${JOURNAL}-wal`, `${JOURNAL}-shm`];
/** The file by which a process holds the folder of a batch. */
export const LOCK = ".lock";

/** Mode of files for their owner only. */
export const SECRET_MODE = 0o600;

/** Mode of a file: for its owner only, or what the system gives. */
export function fileMode(secret: boolean): { readonly mode?: number } {
  return secret ? { mode: SECRET_MODE } : {};
}

/** Mode of a folder with the files of devices: keys are in one that only its owner can open. */
export function folderMode(name: string): { readonly mode?: number } {
  return name === "secret" ? { mode: 0o700 } : {};
}

/** Name of a file while it is written to replace another; no device's name begins with a dot. */
export function growingName(inside: string, writer: string): string {
  return `${inside}/.${writer}`;
}

/** Whether something has this path, even a broken link. */
export function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Removes a file that may not be there. */
export function removeIfExists(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Removes a folder if it is empty; one that cannot be removed does no harm. */
export function removeIfEmpty(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Deno has no class of its own for a folder that has something in it.
  }
}

/** A folder that this process holds. */
export interface FolderLock {
  /** Lets others have it. */
  close(): void;
}

/**
 * Takes hold of a folder for this process; the system releases it when the process dies.
 *
 * @throws {CliError} `ERR_IO` when another process holds it, `ERR_FILE_EXISTS` for a lock of something
 * else.
 */
export function lockFolder(path: string): FolderLock {
  const name = joinPath(path, LOCK);
  const lock = openLock(name);
  // The process before may remove its lock at the end, and this may be the one that it removed.
  if (lock.tryLockSync(true) && isThere(name) && lock.statSync().ino === Deno.lstatSync(name).ino) {
    return { close: () => release(lock) };
  }
  lock.close();
  const hint = "wait until it has ended, or give another folder";
  throw fileError("ERR_IO", path, `another process is working on ${path}`, hint);
}

/**
 * Makes the lock, or opens the one that another process has made.
 *
 * @throws {CliError} `ERR_FILE_EXISTS` when what is there is not a lock: a lock has nothing in it.
 */
function openLock(name: string): Deno.FsFile {
  try {
    return Deno.openSync(name, { createNew: true, write: true, read: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  try {
    const { isFile, size } = Deno.lstatSync(name);
    if (isFile && size === 0) return Deno.openSync(name, { write: true, read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return openLock(name);
    throw error;
  }
  const message = `${name} is in the place of a lock, and this program did not make it`;
  throw fileError("ERR_FILE_EXISTS", name, message, "give another folder");
}

/** A program that is being started still has the file open, and that would keep the lock. */
function release(lock: Deno.FsFile): void {
  lock.unlockSync();
  lock.close();
}
