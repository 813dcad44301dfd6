import { ARCHIVE_END } from "../provision/archive.ts";
import { indexFile } from "./batch_archives.ts";
import type { BatchFolder } from "./batch_folder.ts";
import { readAt, withFile } from "./batch_read.ts";
import { writeFully } from "./batch_manifest.ts";
import { explain, joinPath } from "./io.ts";

const SECRET_DIR_MODE = 0o700;
const PART = 1 << 20;

/** How the files came to their new folder. */
export interface Placed {
  readonly linked: number;
  readonly copied: number;
}

/** Hard links, or copies where the disk or the permissions have no links; an earlier try is replaced. */
export async function placeFiles(
  shards: readonly BatchFolder[],
  out: string,
  copyOnly: boolean,
): Promise<Placed> {
  const made = new Set<string>();
  let [linked, copied] = [0, 0];
  for (const shard of shards) {
    for await (const { name, packed } of shard.files()) {
      if (packed !== undefined) continue;
      const folder = name.slice(0, name.indexOf("/"));
      if (!made.has(folder)) await makeFolder(joinPath(out, folder), folder);
      made.add(folder);
      const isLink = !copyOnly && await link(joinPath(shard.path, name), joinPath(out, name));
      if (!isLink) await copy(joinPath(shard.path, name), joinPath(out, name));
      if (isLink) linked++;
      else copied++;
    }
  }
  return { linked, copied };
}

/** Archives of the same name become one, with the mode of the first: their entries behind one another, with one end. */
export async function joinArchives(shards: readonly BatchFolder[], out: string): Promise<void> {
  const archives = shards.flatMap((shard) => shard.archives);
  const groups = Object.groupBy(archives, (path) => path.slice(path.search(/[^/\\]+$/)));
  for (const [name, paths = []] of Object.entries(groups)) {
    const path = joinPath(out, name);
    try {
      await joinInto(path, paths);
    } catch (error) {
      throw error instanceof Error && !("place" in error) ? explain("write", path, error) : error;
    }
  }
}

async function joinInto(path: string, archives: readonly string[]): Promise<void> {
  const beside = `${path}.tmp`;
  const { mode } = await Deno.stat(archives[0]!);
  const target = await Deno.open(beside, {
    write: true,
    create: true,
    truncate: true,
    ...mode !== null && { mode: mode & 0o777 },
  });
  try {
    for (const archive of archives) await appendEntries(target, archive);
    await writeFully(target, ARCHIVE_END);
    await target.syncData();
  } finally {
    target.close();
  }
  await Deno.rename(beside, path);
}

/** Everything up to the end of the last whole entry. */
async function appendEntries(target: Deno.FsFile, archive: string): Promise<void> {
  const { files } = await indexFile(archive);
  const end = Math.max(0, ...[...files.values()].map((file) => file.end));
  await withFile(archive, async (file) => {
    for (let at = 0; at < end; at += PART) {
      await writeFully(target, await readAt(file, at, Math.min(PART, end - at)));
    }
  });
}

async function makeFolder(path: string, folder: string): Promise<void> {
  const mode = folder === "secret" ? { mode: SECRET_DIR_MODE } : {};
  try {
    await Deno.mkdir(path, { recursive: true, ...mode });
  } catch (error) {
    throw explain("write", path, error);
  }
}

/** Whether the file has got a second name. */
async function link(from: string, to: string): Promise<boolean> {
  try {
    await Deno.remove(to).catch(() => {});
    await Deno.link(from, to);
    return true;
  } catch {
    return false;
  }
}

/** With its mode, so that what is secret stays so. */
async function copy(from: string, to: string): Promise<void> {
  try {
    await Deno.copyFile(from, to);
  } catch (error) {
    throw explain("write", to, error);
  }
}
