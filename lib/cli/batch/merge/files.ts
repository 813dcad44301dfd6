import { readPlain } from "../../input/limited.ts";
import { isSecret, ownerName } from "../../../batch/files.ts";
import { explain, joinPath } from "../../io.ts";
import type { BatchFolder } from "../folder/batch.ts";
import { writeFully } from "../folder/growing.ts";
import { fileMode, folderMode, SECRET_MODE } from "../folder/names.ts";

const OTHERS = 0o077;
/** Copies under way at a time: each waits for the disk. */
const AT_A_TIME = 32;

/** A shard, and the names of the files of the devices that its manifest has. */
export interface OwnDevices {
  readonly batch: BatchFolder;
  readonly fileNames: ReadonlySet<string>;
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
  /** Folders that there are now. */
  readonly names: readonly string[];
}

/**
 * Brings the files of the shards' own devices to a new folder: hard links, or copies where the disk or
 * the permissions have no links.
 */
export async function placeFiles(shards: readonly OwnDevices[], place: Place): Promise<Placed> {
  const made = new Set<string>();
  const copies = copyPool();
  let [linked, copied] = [0, 0];
  for (const { batch, fileNames } of shards) {
    for await (const name of batch.files()) {
      place.signal.throwIfAborted();
      const owner = ownerName(name);
      if (owner === undefined || !fileNames.has(owner)) continue;
      place.onFile();
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
  return { linked, copied, names: [...made] };
}

async function makeFolder(path: string, folder: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true, ...folderMode(folder) });
  } catch (error) {
    throw explain("write", path, error);
  }
}

/** A link has the mode of its file, which for a secret is its owner's only; a link to a link breaks. */
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

/** Copies files, some at a time, and brings each onto the disk. */
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
  const bytes = await readPlain(from).catch((error) => {
    throw explain("read", from, error);
  });
  try {
    using target = await createFile(to, secret);
    await writeFully(target, bytes);
    await target.syncData();
  } catch (error) {
    throw explain("write", to, error);
  }
}

async function createFile(path: string, secret: boolean): Promise<Deno.FsFile> {
  const file = await Deno.open(path, { write: true, createNew: true, ...fileMode(secret) });
  if (secret && Deno.build.os !== "windows") await Deno.chmod(path, SECRET_MODE);
  return file;
}
