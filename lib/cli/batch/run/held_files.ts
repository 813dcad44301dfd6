import { equalBytes } from "../../../bytes/pack.ts";
import type { BulkFile, BulkFiles, BulkMaker } from "../../../batch/ports.ts";
import { paths } from "../../../batch/make/results.ts";
import { fileError } from "../../errors.ts";

/** Files that stay in memory until their device is journaled, which puts them into an archive. */
export interface HeldFiles extends BulkFiles {
  /** Knows files that are in the archive already. */
  remember(files: readonly BulkFile[]): void;
  /** Gives the new files of a device, and forgets all of them. */
  take(id: string): readonly BulkFile[];
}

/** Holds the files of devices whose work is under way. */
export function holdFiles(): HeldFiles {
  const known = new Map<string, BulkFile>();
  const made = new Map<string, BulkFile>();
  return {
    remember: (files) => files.forEach((file) => known.set(file.path, file)),
    write: (files) => {
      for (const file of files) {
        const old = known.get(file.path);
        if (old === undefined || !equalBytes(old.bytes, file.bytes)) made.set(file.path, file);
      }
    },
    read: (path) => {
      const file = made.get(path) ?? known.get(path);
      if (file !== undefined) return file.bytes;
      throw fileError("ERR_FILE_NOT_FOUND", path, `Cannot read ${path}: it is in no archive`);
    },
    sync: () => {},
    take: (id) => {
      const names = Object.values(paths).map((path) => path(id));
      const files = names.map((name) => made.get(name)).filter((file) => file !== undefined);
      for (const name of names) {
        known.delete(name);
        made.delete(name);
      }
      return files;
    },
  };
}

/** A maker whose results carry their files. */
export function holdResults(held: HeldFiles, maker: BulkMaker): BulkMaker {
  return async (jobs) => {
    for (const { files = [] } of jobs) held.remember(files);
    const results = await maker(jobs);
    return results.map((result) => ({ ...result, files: held.take(result.device.id) }));
  };
}
