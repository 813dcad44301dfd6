import { readPlainSync } from "../../input/limited.ts";
import { equalBytes } from "../../../bytes/pack.ts";
import { leftoversOf } from "../../../batch/files.ts";
import type { BulkFile, BulkFiles } from "../../../batch/ports.ts";
import { explain, folderOf, joinPath } from "../../io.ts";
import { fileMode, growingName, removeIfExists } from "./folder.ts";
import { syncContent, syncFolder } from "./write.ts";

/**
 * The files of a batch on the disk, which they reach at the next `sync`, many at a time. A file is
 * written in its place: only the journal says that it is whole, and has its device after the sync. What
 * is there already is kept when it is the same, and otherwise replaced at one stroke, so that no key is
 * ever without a copy.
 *
 * @param folder The batch's folder.
 * @param writer Tells the files of one writer from those of another.
 * @param options Whether `sync` brings them onto the disk, or the caller does; and whether an earlier run
 * may have left files.
 */
export function diskFiles(
  folder: string,
  writer: string,
  { syncs, resumes }: { readonly syncs: boolean; readonly resumes: boolean },
): BulkFiles {
  let written: string[] = [];
  const put = (path: string, file: BulkFile) => {
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
      for (const file of files) {
        const path = joinPath(folder, file.path);
        explaining("write", path, () => put(path, file));
      }
    },
    read: (name) => {
      const path = joinPath(folder, name);
      return explaining("read", path, () => readPlainSync(path));
    },
    find: !resumes ? undefined : (name) => {
      const path = joinPath(folder, name);
      return explaining("read", path, () => readIfThere(path));
    },
    sync: async () => {
      const files = written;
      written = [];
      try {
        await Promise.all(files.map(syncContent));
        await Promise.all([...new Set(files.map(folderOf))].map(syncFolder));
      } catch (error) {
        throw explain("write", folder, error);
      }
    },
  };
}

/** A file; undefined where nothing is, or a link that leads nowhere. */
function readIfThere(path: string): Uint8Array | undefined {
  try {
    return readPlainSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function create(path: string, { bytes, secret = false }: BulkFile): void {
  try {
    Deno.writeFileSync(path, bytes, { createNew: true, ...fileMode(secret) });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) removeIfExists(path);
    throw error;
  }
}

function replace(path: string, file: BulkFile, growing: string): void {
  // A link is replaced, not followed.
  if (!Deno.lstatSync(path).isSymlink && equalBytes(readPlainSync(path), file.bytes)) return;
  removeIfExists(growing);
  create(growing, file);
  try {
    using written = Deno.openSync(growing, { write: true });
    written.syncDataSync();
    Deno.renameSync(growing, path);
  } catch (error) {
    removeIfExists(growing);
    throw error;
  }
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

/**
 * Removes what a device that failed may have left.
 *
 * @param hasKey Whether the journal has its key, for which a certificate may still come.
 */
export function clearLeftovers(folder: string, id: string, hasKey: boolean): void {
  for (const path of leftoversOf(id, hasKey)) removeIfExists(joinPath(folder, path));
}

function explaining<T>(verb: "read" | "write", path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw explain(verb, path, error);
  }
}
