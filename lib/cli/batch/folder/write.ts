import { encodeUtf8 } from "../../../bytes/text.ts";
import type { Moves } from "../../disk/paths.ts";
import { fileError } from "../../errors.ts";
import { explain, folderOf } from "../../io.ts";

/** Characters that are written at a time: a disk takes few large parts sooner. */
const PART = 1 << 16;

/** A text file that grows beside its place, and goes there when it is whole. */
export interface GrowingText {
  /** Path of its place. */
  readonly path: string;
  add(text: string): Promise<void>;
  /**
   * Writes the rest, and brings it onto the disk.
   *
   * @returns The size in bytes.
   */
  end(): Promise<number>;
  /** Moves it into its place, after `end`; with others, it is there when all of them are. */
  place(moves?: Pick<Moves, "move">): Promise<void>;
  /** Removes it, unless it is in its place. */
  discard(): Promise<void>;
}

/**
 * Opens a text file that is to grow.
 *
 * @param path Its place.
 * @param beside Where it grows: a name that nothing has.
 * @throws {CliError} for what goes wrong with the file, said of its place.
 */
export async function openGrowing(path: string, beside: string): Promise<GrowingText> {
  const file = await writing(path, () => Deno.open(beside, { write: true, createNew: true }));
  let [waiting, size, isOpen] = ["", 0, true];
  const close = () => {
    if (isOpen) file.close();
    isOpen = false;
  };
  const flush = async () => {
    const bytes = encodeUtf8(waiting);
    waiting = "";
    size += bytes.length;
    await writing(path, () => writeFully(file, bytes));
  };
  return {
    path,
    add: async (text) => {
      waiting += text;
      if (waiting.length >= PART) await flush();
    },
    end: async () => {
      await flush();
      await writing(path, () => file.syncData());
      close();
      return size;
    },
    place: (moves) =>
      writing(path, async () => {
        if (moves === undefined) await Deno.rename(beside, path);
        else moves.move(beside, path);
      }),
    discard: async () => {
      close();
      await Deno.remove(beside).catch(() => {});
    },
  };
}

/** Writes all of the bytes at the file's position. */
export async function writeFully(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

async function writing<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw explain("write", path, error);
  }
}

/** Brings all that was written to a folder onto the disk. */
export type DiskSync = () => Promise<void>;

/**
 * The program `sync`, which brings a whole file system onto the disk at once: a tenth of the time that
 * the system takes file by file.
 *
 * @param folder The folder.
 * @returns undefined where Deno may not run it, or it does not know a single file system.
 */
export async function openDiskSync(folder: string): Promise<DiskSync | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  const { state } = await Deno.permissions.query({ name: "run", command: "sync" });
  if (state !== "granted") return undefined;
  const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;
  const command = new Deno.Command("sync", { args: ["-f", "--", folder], ...quiet });
  const run = async () => (await command.output()).success;
  if (!await run().catch(() => false)) return undefined;
  return async () => {
    // Ctrl-C on a terminal ends the program too, while this process still finishes what is under way.
    if (await run() || await run()) return;
    throw fileError("ERR_IO", folder, `Cannot write ${folder}: it does not reach the disk`);
  };
}

/** Brings the content of a file onto the disk. */
export async function syncContent(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.syncData();
}

/** Brings the names in a folder onto the disk, where the system can. */
export async function syncFolder(path: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using folder = await Deno.open(path === "" ? "." : path, { read: true });
  await folder.sync();
}

/** Brings a file and its name onto the disk. */
export async function syncFile(path: string): Promise<void> {
  await syncContent(path);
  await syncFolder(folderOf(path));
}
