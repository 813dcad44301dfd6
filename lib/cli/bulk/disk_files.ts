import type { BulkFile, BulkFiles } from "../../provision/bulk_ports.ts";
import { explain, joinPath } from "../io.ts";
import { writeAll } from "./manifest_files.ts";

/** Folders of a batch; `secret` is for its owner alone. */
export const FOLDERS = ["images", "certificates", "secret", "efuse", "csr", "labels"] as const;
/**
 * How the name of a file begins while it grows; no device's does. It grows in the folder where it will
 * stand, for a move from one folder to another makes all threads wait for each other.
 */
export const GROWING = ".";

const SECRET_MODE = 0o600;

/**
 * The files of a batch on the disk. Each is written beside its place and renamed, and reaches the disk
 * at the next `sync`, many at a time.
 *
 * @param folder The batch's folder.
 * @param writer Tells the files of one writer from those of another.
 * @param syncs Whether `sync` is to see to it; somebody else does otherwise. @default true
 */
export function diskFiles(folder: string, writer: string, syncs = true): BulkFiles {
  let count = 0;
  let written: Deno.FsFile[] = [];
  const put = ({ path, bytes, secret }: BulkFile) => {
    const [inside] = path.split("/");
    const growing = joinPath(folder, `${inside}/${GROWING}${writer}-${count++}`);
    const mode = secret ? { mode: SECRET_MODE } : {};
    const file = Deno.openSync(growing, { write: true, createNew: true, ...mode });
    try {
      writeAll(file, bytes);
      Deno.renameSync(growing, joinPath(folder, path));
    } catch (error) {
      file.close();
      Deno.removeSync(growing);
      throw error;
    }
    if (syncs) written.push(file);
    else file.close();
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
        await Promise.all(files.map((file) => file.syncData()));
      } catch (error) {
        throw explain("write", folder, error);
      } finally {
        for (const file of files) file.close();
      }
    },
  };
}

function attempt<T>(verb: "read" | "write", path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw explain(verb, path, error);
  }
}
