import type { ExportPart } from "../../../batch/export/exporter.ts";
import { removeFolders } from "../../disk/folders.ts";
import { areKey, MOST_KEY_FILE } from "../../disk/key_bytes.ts";
import { type Found, identityOf, look } from "../../disk/look.ts";
import { fileError, usageError } from "../../errors.ts";
import { readPlainSync } from "../../input/limited.ts";
import { explain, type Io, joinPath } from "../../io.ts";
import { type GrowingText, openGrowing } from "../folder/growing.ts";
import { openSignal, STOPPING } from "../signal.ts";

/**
 * Writes the files of an export beside their places; they go there when all of them are whole. When
 * that fails, or Ctrl-C ends it, nothing is left.
 *
 * @param force Whether to replace files that are there, other than keys and what was read.
 * @returns Their paths.
 */
export async function writeExport(
  folder: string,
  parts: AsyncIterable<ExportPart>,
  { force, inputs }: { readonly force: boolean; readonly inputs: readonly string[] },
  io: Io,
): Promise<string[]> {
  const read = new Set(inputs.map(identityOf));
  const made = await io.makeDir(folder);
  const stop = openSignal(io, STOPPING);
  const open = new Map<string, GrowingText>();
  try {
    for await (const { file, text } of parts) {
      stop.signal.throwIfAborted();
      const growing = open.get(file) ?? await openNew(joinPath(folder, file), force, read);
      open.set(file, growing);
      await growing.add(text);
    }
    for (const growing of open.values()) await growing.end();
    for (const growing of open.values()) await growing.place();
    return [...open.values()].map(({ path }) => path);
  } catch (error) {
    for (const growing of open.values()) await growing.discard();
    removeFolders(made);
    if (stop.signal.aborted) throw fileError("ERR_IO", folder, `stopped; nothing is in ${folder}`);
    throw error;
  } finally {
    stop.close();
  }
}

async function openNew(
  path: string,
  force: boolean,
  read: ReadonlySet<string | undefined>,
): Promise<GrowingText> {
  const found = look(path);
  if (found === undefined) return await openGrowing(path, `${path}.tmp`);
  if (read.has(found.identity)) {
    throw usageError(`${path} is an input of this command`, "out", "give another folder");
  }
  if (found.kind === "folder") throw explain("write", path, new Deno.errors.IsADirectory());
  if (found.kind === "link") {
    const message = `${path} is a symbolic link, and nothing is written through one`;
    throw fileError("ERR_FILE_EXISTS", path, message, "remove it");
  }
  if (!force) {
    throw fileError("ERR_FILE_EXISTS", path, `${path} exists`, "give --force to replace it");
  }
  if (found.kind === "file" && holdsKey(path, found)) {
    const message = `${path} exists and holds a key`;
    throw fileError("ERR_FILE_EXISTS", path, message, "write to another folder");
  }
  return await openGrowing(path, `${path}.tmp`);
}

/** Whether a file that may be read is a key. */
function holdsKey(path: string, { size, mayRead }: Found): boolean {
  return mayRead && size <= MOST_KEY_FILE && areKey(readPlainSync(path));
}
