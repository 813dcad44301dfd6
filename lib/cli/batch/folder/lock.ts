import { fileError } from "../../errors.ts";
import { joinPath } from "../../io.ts";
import { LOCK } from "./names.ts";
import { isThere } from "./present.ts";

/** A folder that this process holds. */
export interface FolderLock {
  /** Lets others have it. */
  close(): void;
}

/**
 * Takes hold of a folder for this process; the system releases it when the process dies.
 *
 * @throws {CliError} `ERR_IO` when another process holds it.
 */
export function lockFolder(path: string): FolderLock {
  const name = joinPath(path, LOCK);
  const lock = Deno.openSync(name, { create: true, write: true, read: true });
  // The process before may remove its lock at the end, and this may be the one that it removed.
  if (lock.tryLockSync(true) && isThere(name) && lock.statSync().ino === Deno.statSync(name).ino) {
    return { close: () => release(lock) };
  }
  lock.close();
  const hint = "wait until it has ended, or give another folder";
  throw fileError("ERR_IO", path, `another process is working on ${path}`, hint);
}

/** A program that is being started still has the file open, and that would keep the lock. */
function release(lock: Deno.FsFile): void {
  lock.unlockSync();
  lock.close();
}
