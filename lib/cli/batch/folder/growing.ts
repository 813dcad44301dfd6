import { encodeUtf8 } from "../../../bytes/text.ts";
import { explain } from "../../io.ts";

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
  /** Moves it into its place, after `end`. */
  place(): Promise<void>;
  /** Removes it, unless it is in its place. */
  discard(): Promise<void>;
}

/**
 * Opens a text file that is to grow.
 *
 * @param path Its place.
 * @param beside Where it grows.
 * @throws {CliError} for what goes wrong with the file, said of its place.
 */
export async function openGrowing(path: string, beside: string): Promise<GrowingText> {
  const file = await writing(path, async () => {
    // What an earlier run left, or somebody has put there: a link may lead anywhere.
    await Deno.remove(beside).catch(() => {});
    return await Deno.open(beside, { write: true, createNew: true });
  });
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
    place: () => writing(path, () => Deno.rename(beside, path)),
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
