import { concat, equalBytes } from "../../../bytes/pack.ts";
import { ARCHIVE_END, formatArchiveEntry } from "../../../batch/archive.ts";
import type { BulkFile } from "../../../batch/ports.ts";
import { fileError } from "../../errors.ts";
import { joinPath } from "../../io.ts";
import { writeAll } from "../journal/manifest_files.ts";

/** Bytes of whole entries in each archive. */
export interface ArchiveSizes {
  /** Of `files.tar`. */
  readonly open: number;
  /** Of `secret.tar`. */
  readonly secret: number;
}

/** The archives of a packed batch, which grow by whole entries. */
export interface ArchiveFiles {
  /**
   * Writes files behind those that the journal knows; on return they are on the disk and were read back.
   *
   * @param sizes What the journal knows: files of a commit that failed are written over.
   * @returns What it is to know from now on.
   */
  append(files: readonly BulkFile[], sizes: ArchiveSizes): ArchiveSizes;
  /** Writes the end of both behind what the journal knows; the next run cuts it off again. */
  finish(sizes: ArchiveSizes): void;
  close(): void;
}

/** Names of the archives: what anybody may see, and what is for its owner alone. */
export const ARCHIVES = { open: "files.tar", secret: "secret.tar" } as const;
const MODES = { open: 0o644, secret: 0o600 } as const;
const KINDS = ["open", "secret"] as const;

/**
 * Opens the archives of a batch, and cuts off what is behind the entries that the journal knows.
 *
 * @param folder The batch's folder.
 * @param sizes What the journal knows.
 * @throws {CliError} `ERR_IO` when an archive is shorter than the journal says.
 */
export function openArchives(folder: string, sizes: ArchiveSizes): ArchiveFiles {
  for (const kind of KINDS) refuseShort(folder, kind, sizes[kind]);
  const files = {
    open: openAt(folder, "open", sizes.open),
    secret: openAt(folder, "secret", sizes.secret),
  };
  const put = (kind: typeof KINDS[number], size: number, bytes: Uint8Array) => {
    files[kind].truncateSync(size);
    files[kind].seekSync(size, Deno.SeekMode.Start);
    writeAll(files[kind], bytes, joinPath(folder, ARCHIVES[kind]));
    files[kind].syncDataSync();
  };
  return {
    append: (added, from) => {
      const current = { ...from };
      for (const kind of KINDS) {
        const entries = added.filter(({ secret = false }) => secret === (kind === "secret"))
          .map(({ path, bytes }) => formatArchiveEntry(path, bytes, { mode: MODES[kind] }));
        if (entries.length === 0) continue;
        const bytes = concat(...entries);
        put(kind, current[kind], bytes);
        if (!equalBytes(readBack(files[kind], current[kind], bytes.length), bytes)) {
          const path = joinPath(folder, ARCHIVES[kind]);
          throw fileError("ERR_IO", path, `Cannot write ${path}: it does not read back as written`);
        }
        current[kind] += bytes.length;
      }
      return current;
    },
    finish: (sizes) => KINDS.forEach((kind) => put(kind, sizes[kind], ARCHIVE_END)),
    close: () => KINDS.forEach((kind) => files[kind].close()),
  };
}

/** Before either is touched. */
function refuseShort(folder: string, kind: typeof KINDS[number], size: number): void {
  const path = joinPath(folder, ARCHIVES[kind]);
  const missing = size - sizeOf(path);
  if (missing <= 0) return;
  const message = missing === size
    ? `${path} is missing or empty, and the journal says that it has ${size} bytes`
    : `${path} is ${missing} bytes shorter than the journal says`;
  throw fileError("ERR_IO", path, message, "take it from a backup, or give a new folder");
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

function openAt(folder: string, kind: typeof KINDS[number], size: number): Deno.FsFile {
  const path = joinPath(folder, ARCHIVES[kind]);
  const mode = MODES[kind];
  const file = Deno.openSync(path, { read: true, write: true, create: true, mode });
  // Another program may have put it there, with a mode of its own.
  if (Deno.build.os !== "windows") Deno.chmodSync(path, mode);
  file.truncateSync(size);
  return file;
}

function readBack(file: Deno.FsFile, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  file.seekSync(offset, Deno.SeekMode.Start);
  for (let at = 0; at < length;) {
    const read = file.readSync(bytes.subarray(at));
    if (read === null) return bytes.subarray(0, at);
    at += read;
  }
  return bytes;
}
