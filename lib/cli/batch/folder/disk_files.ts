import { equalBytes } from "../../../bytes/pack.ts";
import type { BulkFile, BulkFiles } from "../../../batch/ports.ts";
import { leftoversOf, paths } from "../../../batch/make/results.ts";
import { explain, joinPath } from "../../io.ts";

/** Folders of a batch; `secret` is for its owner alone. */
export const FOLDERS = ["images", "certificates", "secret", "efuse", "csr", "labels"] as const;

const SECRET_MODE = 0o600;

/** Name of a file while it grows in the place of another; no device's begins with a dot. */
export function growingName(inside: string, writer: string): string {
  return `${inside}/.${writer}`;
}

/**
 * The files of a batch on the disk, which they reach at the next `sync`, many at a time. A file is
 * written where it will stand: that it is whole is the journal's to say, which has its device only
 * after the sync. What stands there already is kept when it is the same and otherwise replaced at one
 * stroke, so that no key is ever without a copy.
 *
 * @param folder The batch's folder.
 * @param writer Tells the files of one writer from those of another.
 * @param syncs Whether `sync` is to see to it; somebody else does otherwise. @default true
 */
export function diskFiles(folder: string, writer: string, syncs = true): BulkFiles {
  let written: string[] = [];
  const put = (file: BulkFile) => {
    const path = joinPath(folder, file.path);
    try {
      create(path, file);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      const [inside] = file.path.split("/");
      replace(path, file, joinPath(folder, growingName(inside!, writer)));
    }
    if (syncs) written.push(path);
  };
  return {
    write: (files) => {
      for (const file of files) attempt("write", joinPath(folder, file.path), () => put(file));
    },
    read: (path) => {
      const full = joinPath(folder, path);
      return attempt("read", full, () => Deno.readFileSync(full));
    },
    sync: async () => {
      const files = written;
      written = [];
      try {
        await Promise.all(files.map((path) => syncPath(path, { write: true })));
        const folders = new Set(files.map((path) => path.slice(0, path.lastIndexOf("/"))));
        await Promise.all([...folders].map(syncFolder));
      } catch (error) {
        throw explain("write", folder, error);
      }
    },
  };
}

function create(path: string, { bytes, secret = false }: BulkFile): void {
  const mode = secret ? { mode: SECRET_MODE } : {};
  try {
    Deno.writeFileSync(path, bytes, { createNew: true, ...mode });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) removeIfExists(path);
    throw error;
  }
}

function replace(path: string, file: BulkFile, growing: string): void {
  if (equalBytes(Deno.readFileSync(path), file.bytes)) return;
  removeIfExists(growing);
  create(growing, file);
  syncFileSync(growing);
  Deno.renameSync(growing, path);
}

async function syncPath(path: string, how: Deno.OpenOptions): Promise<void> {
  using file = await Deno.open(path, how);
  await file.syncData();
}

/** Sees the names in a folder onto the disk, where the system can. */
async function syncFolder(path: string): Promise<void> {
  if (Deno.build.os !== "windows") await syncPath(path, { read: true });
}

/** Sees a file and its name onto the disk. */
export async function syncFile(path: string): Promise<void> {
  await syncPath(path, { write: true });
  await syncFolder(path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ".");
}

function syncFileSync(path: string): void {
  using file = Deno.openSync(path, { write: true });
  file.syncDataSync();
}

/** Whether a batch has keys. */
export function hasSecrets(folder: string): boolean {
  try {
    for (const _ of Deno.readDirSync(joinPath(folder, "secret"))) return true;
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw explain("read", folder, error);
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

/** Removes what a device that failed may have left. */
export function clearLeftovers(folder: string, id: string): void {
  const hasRequest = isThere(joinPath(folder, paths.request(id)));
  for (const path of leftoversOf(id, hasRequest)) removeIfExists(joinPath(folder, path));
}

/** Whether there is something under a name. */
export function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function attempt<T>(verb: "read" | "write", path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw explain(verb, path, error);
  }
}
