import { readPlainSync } from "../../input/limited.ts";
import { shownName } from "../../../bytes/text.ts";
import { fileError } from "../../errors.ts";
import { explain } from "../../io.ts";

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
