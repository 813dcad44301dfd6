import { SecureCertError } from "../../bytes/errors.ts";
import { encodeUtf8 } from "../../bytes/text.ts";
import type { ExportPart } from "../../batch/export/device.ts";
import { writeFully } from "./folder/manifest.ts";
import { exists, statOf } from "./folder/read.ts";
import { openSignal, STOPPING } from "./run/signal.ts";
import { fileError } from "../errors.ts";
import { explain, type Io, joinPath } from "../io.ts";

const PART = 1 << 16;

/**
 * Writes the files of an export beside their places; they are renamed when all of them are whole. When
 * that fails, or Ctrl-C ends it, nothing is left.
 *
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
  const open = new Map<string, { readonly file: Deno.FsFile; waiting: string }>();
  let path = folder;
  try {
    for await (const { file, text } of parts) {
      stop.signal.throwIfAborted();
      path = joinPath(folder, file);
      if (!open.has(path)) open.set(path, { file: await openNew(path, force), waiting: "" });
      const target = open.get(path)!;
      target.waiting += text;
      if (target.waiting.length < PART) continue;
      await writeFully(target.file, encodeUtf8(target.waiting));
      target.waiting = "";
    }
    for (const { file, waiting } of open.values()) await writeFully(file, encodeUtf8(waiting));
    for (const name of open.keys()) await Deno.rename(`${name}.tmp`, name);
    return [...open.keys()];
  } catch (error) {
    for (const name of open.keys()) await Deno.remove(`${name}.tmp`).catch(() => {});
    if (isNew) await Deno.remove(folder).catch(() => {});
    if (stop.signal.aborted) throw fileError("ERR_IO", folder, `stopped; nothing is in ${folder}`);
    throw error instanceof SecureCertError ? error : explain("write", path, error);
  } finally {
    for (const { file } of open.values()) file.close();
    stop.close();
  }
}

async function openNew(path: string, force: boolean): Promise<Deno.FsFile> {
  if (!force && await exists(path)) {
    throw fileError("ERR_FILE_EXISTS", path, `${path} exists`, "give --force to replace it");
  }
  return await Deno.open(`${path}.tmp`, { write: true, create: true, truncate: true });
}
