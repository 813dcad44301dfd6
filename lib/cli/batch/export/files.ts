import type { ExportPart } from "../../../batch/export/exporter.ts";
import { fileError } from "../../errors.ts";
import { type Io, joinPath } from "../../io.ts";
import { type GrowingText, openGrowing } from "../folder/growing.ts";
import { exists, statOf } from "../folder/read.ts";
import { openSignal, STOPPING } from "../signal.ts";

/**
 * Writes the files of an export beside their places; they go there when all of them are whole. When
 * that fails, or Ctrl-C ends it, nothing is left.
 *
 * @param force Whether to replace files that are there.
 * @returns Their paths.
 */
export async function writeExport(
  folder: string,
  parts: AsyncIterable<ExportPart>,
  force: boolean,
  io: Io,
): Promise<string[]> {
  const isNew = await statOf(folder) === undefined;
  await io.makeDir(folder);
  const stop = openSignal(io, STOPPING);
  const open = new Map<string, GrowingText>();
  try {
    for await (const { file, text } of parts) {
      stop.signal.throwIfAborted();
      const growing = open.get(file) ?? await openNew(joinPath(folder, file), force);
      open.set(file, growing);
      await growing.add(text);
    }
    for (const growing of open.values()) await growing.end();
    for (const growing of open.values()) await growing.place();
    return [...open.values()].map(({ path }) => path);
  } catch (error) {
    for (const growing of open.values()) await growing.discard();
    if (isNew) await Deno.remove(folder).catch(() => {});
    if (stop.signal.aborted) throw fileError("ERR_IO", folder, `stopped; nothing is in ${folder}`);
    throw error;
  } finally {
    stop.close();
  }
}

async function openNew(path: string, force: boolean): Promise<GrowingText> {
  if (force || !await exists(path)) return await openGrowing(path, `${path}.tmp`);
  throw fileError("ERR_FILE_EXISTS", path, `${path} exists`, "give --force to replace it");
}
