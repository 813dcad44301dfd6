import type { FinishedFiles } from "../../../batch/check/device.ts";
import { DEVICE_FOLDERS, MANIFEST } from "../../../batch/files.ts";
import { type ManifestRow, parseManifestRow } from "../../../batch/manifest.ts";
import { SecureCertError } from "../../../bytes/errors.ts";
import { shownName } from "../../../bytes/text.ts";
import { fileError } from "../../errors.ts";
import { readPlainSync } from "../../input/limited.ts";
import { explain, joinPath } from "../../io.ts";
import { JOURNAL } from "./folder.ts";

/** The folder of a batch, opened for reading. */
export interface BatchFolder extends FinishedFiles {
  readonly path: string;
  /** Whether it has a manifest; a batch of which no device is done has none. */
  readonly hasManifest: boolean;
  /**
   * The rows of the manifest, one at a time.
   *
   * @param onBad Takes what is wrong with a line that is not a row, which is skipped then.
   * @throws {SecureCertError} `ERR_TEXT` for such a line without it.
   */
  rows(onBad?: (message: string) => void): AsyncGenerator<ManifestRow>;
  /** A file's bytes, or undefined when there is no such file. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Whether there is a file of that name. */
  has(name: string): Promise<boolean>;
  /** Whether it has private keys, or the place where they would be. */
  hasSecrets(): Promise<boolean>;
  /** Whether a folder of it, such as `labels`, has a file. */
  hasAny(folder: string): Promise<boolean>;
  /** Path within the folder of every file of single devices, such as `images/dev-1.bin`. */
  files(): AsyncGenerator<string>;
}

/**
 * Opens the folder of a batch.
 *
 * @param path The folder.
 * @throws {CliError} `ERR_FILE_NOT_FOUND` when it has neither manifest nor journal.
 */
export async function openBatch(path: string): Promise<BatchFolder> {
  const manifest = joinPath(path, MANIFEST);
  const hasManifest = await isFile(manifest);
  if (!hasManifest && !await isFile(joinPath(path, JOURNAL))) {
    throw fileError(
      "ERR_FILE_NOT_FOUND",
      manifest,
      `Cannot read ${manifest}: no such file`,
      "give the folder that bulk has written to with -o",
    );
  }
  return {
    path,
    name: path,
    hasManifest,
    rows: (onBad) => hasManifest ? readRows(manifest, onBad) : noRows(),
    read: (name) => readIfThere(joinPath(path, name)),
    has: (name) => isFile(joinPath(path, name)),
    hasSecrets: async () => (await entriesIn(path)).some(({ name }) => name === "secret"),
    hasAny: async (folder) => (await fileNames(joinPath(path, folder))).length > 0,
    files: () => filesOf(path),
  };
}

async function* filesOf(path: string): AsyncGenerator<string> {
  for (const folder of DEVICE_FOLDERS) {
    if (!await isFolder(joinPath(path, folder))) continue;
    for (const file of await fileNames(joinPath(path, folder))) yield `${folder}/${file}`;
  }
}

/** A batch that was planned, and of which no device is done. */
async function* noRows(): AsyncGenerator<ManifestRow> {}

async function* readRows(
  path: string,
  onBad?: (message: string) => void,
): AsyncGenerator<ManifestRow> {
  let line = 0;
  for await (const text of readLines(path)) {
    line++;
    if (text === "") continue;
    try {
      yield parseManifestRow(text, line);
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      const message = `${error.message} of ${path}`;
      if (onBad === undefined) throw new SecureCertError(error.code, message, { line });
      onBad(message);
    }
  }
}

/** Characters of a line: of a row of the manifest, whose texts are those of a row of a list. */
const MAX_LINE = 0x400000;

/**
 * The lines of a text file, without their ends, in memory that does not grow with the file.
 *
 * @throws {CliError} `ERR_IO` for a line of more than 4 MiB.
 */
export async function* readLines(path: string): AsyncGenerator<string> {
  let rest = "";
  for await (const part of readText(path)) {
    const lines = part.split("\n");
    // Only the new part is searched: a long line would take quadratic time.
    for (const line of lines.slice(0, -1)) {
      yield rest + line;
      rest = "";
    }
    rest += lines.at(-1)!;
    if (rest.length > MAX_LINE) {
      const message = `Cannot read ${shownName(path)}: it has a line of over ${MAX_LINE >> 20} MiB`;
      throw fileError("ERR_IO", path, message);
    }
  }
  if (rest !== "") yield rest;
}

/** A text file in parts. */
export async function* readText(path: string): AsyncGenerator<string> {
  const file = await opening(path);
  yield* file.readable.pipeThrough(new TextDecoderStream());
}

/** Whether something has this path, even a broken link. */
export async function exists(path: string): Promise<boolean> {
  return await quietly(path, () => Deno.lstat(path)) !== undefined;
}

/** What a path leads to; undefined when that is nothing. */
export async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  // For a path that is not there, which is usual, a promise takes several times as long.
  return await quietly(path, () => Deno.statSync(path));
}

/** Whether a path leads to a file. */
export async function isFile(path: string): Promise<boolean> {
  return (await statOf(path))?.isFile === true;
}

/** Whether a path leads to a folder. */
export async function isFolder(path: string): Promise<boolean> {
  return (await statOf(path))?.isDirectory === true;
}

/** Names of the files in a folder, sorted; none when it is not there. */
export async function fileNames(path: string): Promise<string[]> {
  const names: string[] = [];
  for (const { name, isFile: isPlain, isSymlink } of await entriesIn(path)) {
    if (isPlain || isSymlink && await isFile(`${path}/${name}`)) names.push(name);
  }
  return names.sort();
}

/** What is in a folder; nothing when it is not there. */
export async function entriesIn(path: string): Promise<readonly Deno.DirEntry[]> {
  return await quietly(path, () => Array.fromAsync(Deno.readDir(path))) ?? [];
}

/** A file's bytes, or undefined when it is not there. */
export async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  return await quietly(path, () => readPlainSync(path));
}

async function opening(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (error) {
    throw explain("read", path, error);
  }
}

/** The result, or undefined when the path is not there. */
async function quietly<T>(path: string, act: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    // Nothing is below a file.
    if (error instanceof Deno.errors.NotADirectory) return undefined;
    throw explain("read", path, error);
  }
}
