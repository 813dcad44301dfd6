import { ARCHIVE_END } from "../../../batch/archive.ts";
import { type BatchFolder, strayReason } from "../folder/batch.ts";
import { writeFully } from "../folder/manifest.ts";
import { archiveOf, isSecret } from "../folder/names.ts";
import { readAt, withFile } from "../folder/read.ts";
import { ARCHIVES } from "../run/archive_files.ts";
import { explain, joinPath } from "../../io.ts";

const SECRET_MODE = 0o600;
const SECRET_DIR_MODE = 0o700;
const OTHERS = 0o077;
const PART = 1 << 20;
/** Copies under way at a time: each waits for the disk. */
const AT_A_TIME = 32;

/** A shard, and the devices that its manifest has. */
export interface JudgedShard {
  readonly batch: BatchFolder;
  readonly ids: ReadonlySet<string>;
}

/** Where the files of shards go. */
export interface Place {
  readonly folder: string;
  /** Whether files are copied where they could be linked. */
  readonly copyOnly: boolean;
  readonly signal: AbortSignal;
  /** Called for each file. */
  readonly onFile: () => void;
}

/** How the files came to their new folder. */
export interface Placed {
  readonly linked: number;
  readonly copied: number;
  /** Files in archives. */
  readonly joined: number;
  /** Folders and archives that there are now. */
  readonly names: readonly string[];
}

/** A part of an archive: whole entries. */
interface Region {
  readonly archive: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Brings the files of the shards' own devices to a new folder: hard links, or copies where the disk or
 * the permissions have no links, and archives of the same name as one.
 */
export async function placeFiles(shards: readonly JudgedShard[], place: Place): Promise<Placed> {
  const regions = new Map<string, Region[]>();
  const made = new Set<string>();
  const copies = copyPool();
  let [linked, copied, joined] = [0, 0, 0];
  for (const { batch, ids } of shards) {
    for await (const file of batch.files()) {
      place.signal.throwIfAborted();
      const { name, packed } = file;
      if (strayReason(file, ids) !== undefined) continue;
      place.onFile();
      if (packed !== undefined) {
        addRegion(regions, archiveOf(name), packed);
        joined++;
        continue;
      }
      const folder = name.slice(0, name.indexOf("/"));
      if (!made.has(folder)) await makeFolder(joinPath(place.folder, folder), folder);
      made.add(folder);
      const [from, to] = [joinPath(batch.path, name), joinPath(place.folder, name)];
      const isLink = !place.copyOnly && await canLink(from, isSecret(name)) && await link(from, to);
      if (!isLink) await copies.add(from, to, isSecret(name));
      if (isLink) linked++;
      else copied++;
    }
  }
  await copies.end();
  for (const [name, parts] of regions) await joinArchive(name, parts, place);
  return { linked, copied, joined, names: [...made, ...regions.keys()] };
}

/** Entries that follow one another are one part. */
function addRegion(
  regions: Map<string, Region[]>,
  name: string,
  { archive, start, end }: Region,
): void {
  const parts = regions.get(name) ?? [];
  regions.set(name, parts);
  const last = parts.at(-1);
  const isNext = last?.archive === archive && last.end === start;
  if (isNext) parts[parts.length - 1] = { ...last, end };
  else parts.push({ archive, start, end });
}

async function joinArchive(name: string, parts: readonly Region[], place: Place): Promise<void> {
  const path = joinPath(place.folder, name);
  try {
    using target = await createFile(path, name === ARCHIVES.secret);
    for (const part of parts) await appendRegion(target, part, place.signal);
    await writeFully(target, ARCHIVE_END);
    await target.syncData();
  } catch (error) {
    throw place.signal.aborted ? error : explain("write", path, error);
  }
}

async function appendRegion(
  target: Deno.FsFile,
  { archive, start, end }: Region,
  signal: AbortSignal,
): Promise<void> {
  await withFile(archive, async (file) => {
    for (let at = start; at < end; at += PART) {
      signal.throwIfAborted();
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

/** A link has the mode of its file, which for a secret must be its owner's; and one to a link breaks. */
async function canLink(from: string, secret: boolean): Promise<boolean> {
  const { isSymlink, mode } = await Deno.lstat(from);
  return !isSymlink && !(secret && mode !== null && (mode & OTHERS) !== 0);
}

/** Whether the file has got a second name. */
async function link(from: string, to: string): Promise<boolean> {
  try {
    await Deno.link(from, to);
    return true;
  } catch {
    return false;
  }
}

/** Copies files, some at a time, and sees each onto the disk. */
function copyPool(): {
  add(from: string, to: string, secret: boolean): Promise<void>;
  end(): Promise<void>;
} {
  let waiting: Promise<unknown>[] = [];
  const end = async () => {
    const errors = await Promise.all(waiting);
    waiting = [];
    for (const error of errors) if (error !== undefined) throw error;
  };
  return {
    add: async (from, to, secret) => {
      waiting.push(copy(from, to, secret).catch((error: unknown) => error));
      if (waiting.length >= AT_A_TIME) await end();
    },
    end,
  };
}

async function copy(from: string, to: string, secret: boolean): Promise<void> {
  try {
    const bytes = await Deno.readFile(from);
    using target = await createFile(to, secret);
    await writeFully(target, bytes);
    await target.syncData();
  } catch (error) {
    throw explain("write", to, error);
  }
}

async function createFile(path: string, secret: boolean): Promise<Deno.FsFile> {
  const mode = secret ? { mode: SECRET_MODE } : {};
  return await Deno.open(path, { write: true, createNew: true, ...mode });
}
