import { fileError } from "../../errors.ts";
import { joinPath } from "../../io.ts";
import { isThere } from "./disk_files.ts";

/** The file by which a process holds the folder of a batch. */
export const LOCK = ".lock";

/**
 * Takes hold of a folder for this process; the system releases it when the process dies.
 *
 * @throws {CliError} `ERR_IO` when another process holds it.
 */
export function lockFolder(path: string): Deno.FsFile {
  const name = joinPath(path, LOCK);
  const lock = Deno.openSync(name, { create: true, write: true, read: true });
  // The one before may remove its lock at the end, and ours may be the one that it removed.
  if (lock.tryLockSync(true) && isThere(name) && lock.statSync().ino === Deno.statSync(name).ino) {
    return lock;
  }
  lock.close();
  const hint = "wait until it has ended, or give another folder";
  throw fileError("ERR_IO", path, `another process works on ${path}`, hint);
}
