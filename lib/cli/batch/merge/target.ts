import {
  DEVICE_FOLDERS,
  isSecret,
  MANIFEST,
  MANIFEST_CSV,
  ownerName,
} from "../../../batch/files.ts";
import { SecureCertError } from "../../../bytes/errors.ts";
import { equalBytes } from "../../../bytes/pack.ts";
import { removeFolders } from "../../disk/paths.ts";
import { fileError, usageError } from "../../errors.ts";
import { readPlain } from "../../input/limited.ts";
import { explain, type Force, type Io, joinPath } from "../../io.ts";
import {
  type BatchFolder,
  entriesIn,
  exists,
  fileNames,
  readIfThere,
  statOf,
} from "../folder/batch.ts";
import {
  fileMode,
  type FolderLock,
  folderMode,
  JOURNAL,
  LOCK,
  lockFolder,
  SECRET_MODE,
} from "../folder/folder.ts";
import { writeFully } from "../folder/write.ts";
import { openSignal, STOPPING } from "../signal.ts";

/**
 * Where a merge grows within its folder. It stays, empty, and shows that what is beside it was made by
 * a merge and may be replaced.
 */
const STAGING = ".merge";
/** Within it, where an earlier merge is until the new one is in its place. */
const OLD = "old";
/** The folder of keys. */
const SECRET = "secret";
/** The first goes first: without it the folder is not a batch's. */
const OWN_FILES: readonly string[] = [MANIFEST, MANIFEST_CSV];

/** The folder of a merge, as it is before. */
interface MergeTarget {
  readonly path: string;
  /** Whether an earlier merge was here, which is replaced. */
  readonly isMerged: boolean;
}

/**
 * Refuses shards that are one folder, and a target that is one of them, under any name.
 *
 * @throws {CliError} `ERR_USAGE` with both names.
 */
export async function refuseSame(out: string, shards: readonly string[]): Promise<void> {
  const seen = new Map<string, string>();
  for (const shard of shards) {
    const identity = await identityOf(shard);
    const other = seen.get(identity);
    seen.set(identity, shard);
    if (other === undefined) continue;
    throw usageError(
      other === shard ? `${shard} is named twice` : `${other} and ${shard} are the same folder`,
    );
  }
  const same = seen.get(await identityOf(out));
  if (same === undefined) return;
  throw usageError(
    `--out ${out} is the shard ${same} itself`,
    "out",
    "give a folder that is new or empty",
  );
}

/**
 * Whether a merge may go into a folder: a new or empty one, or with `force` that of an earlier merge.
 *
 * @throws {CliError} `ERR_FILE_EXISTS` with what is there.
 */
export async function checkTarget(path: string, force: Force): Promise<MergeTarget> {
  const refused = (message: string, hint = "give a folder that is new or empty") =>
    fileError("ERR_FILE_EXISTS", path, message, hint);
  const info = await statOf(path);
  if (info === undefined) return { path, isMerged: false };
  if (!info.isDirectory) throw refused(`${path} is a file`);
  const entries = await entriesIn(path);
  const names = entries.map(({ name }) => name).filter((name) => name !== LOCK);
  if (names.includes(JOURNAL)) throw refused(`${path} is a batch with a journal of its own`);
  if (names.length === 0) return { path, isMerged: false };
  const isMerged = names.includes(STAGING);
  if (!isMerged) throw refused(`${path} is not empty, and a merge did not make it`);
  const old = joinPath(joinPath(path, STAGING), OLD);
  const hasOld = await exists(old);
  if (!force && hasOld) {
    throw refused(
      `a merge was interrupted in ${path}; the one before is in ${old}`,
      "give --force to continue without it",
    );
  }
  if (!force && names.length > 1) {
    throw refused(`${path} exists`, "give --force to replace what a merge made there");
  }
  const strange = await findStrange(path, entries);
  if (strange === undefined) return { path, isMerged };
  throw refused(`${path} has ${strange} in it, which a merge did not make`);
}

/** What a merge has made. */
interface Made {
  /** Names of the folders. */
  readonly names: readonly string[];
}

/**
 * Makes a batch beside what is in the folder, and puts it in its place when it is whole. When that
 * fails, or Ctrl-C ends it, the folder is as it was.
 *
 * @param force As {@linkcode checkTarget} has it, which is checked again when no other merge can come between.
 * @param act Makes it in the folder that it is given, and looks at the signal.
 */
export async function inTarget<T extends Made>(
  { path }: MergeTarget,
  force: Force,
  io: Io,
  act: (folder: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const folders = await io.makeDir(path);
  const lock = holdFolder(path, folders);
  let isDone = false;
  try {
    const { isMerged } = await checkTarget(path, force);
    const made = await stage(path, { isMerged, force }, io, act);
    isDone = true;
    return made;
  } finally {
    await Deno.remove(joinPath(path, LOCK)).catch(() => {});
    lock.close();
    if (!isDone) removeFolders(folders);
  }
}

async function stage<T extends Made>(
  path: string,
  { isMerged, force }: { readonly isMerged: boolean; readonly force: Force },
  io: Io,
  act: (folder: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const staging = joinPath(path, STAGING);
  const stop = openSignal(io, STOPPING);
  try {
    await Deno.remove(staging, { recursive: true }).catch(ifThere);
    await Deno.mkdir(staging);
    const made = await act(staging, stop.signal);
    stop.signal.throwIfAborted();
    if (force !== "keys") await refuseLostKeys(path, staging);
    await settle(path, made.names, io);
    return made;
  } catch (error) {
    // What did not come back is kept.
    const old = joinPath(staging, OLD);
    await Deno.remove(old).catch(() => {});
    if (!await exists(old)) await Deno.remove(staging, { recursive: true }).catch(() => {});
    if (isMerged) await Deno.mkdir(staging).catch(() => {});
    if (stop.signal.aborted) throw fileError("ERR_IO", path, `stopped; ${path} is as it was`);
    throw error instanceof SecureCertError ? error : explain("write", path, error);
  } finally {
    stop.close();
  }
}

/** A key of the earlier merge that the new one lacks, and no shard shares, has no other copy here. */
async function refuseLostKeys(path: string, staging: string): Promise<void> {
  for (const name of await fileNames(joinPath(path, SECRET))) {
    const old = joinPath(joinPath(path, SECRET), name);
    const { nlink } = await Deno.lstat(old);
    if (nlink !== null && nlink > 1) continue;
    const made = await readIfThere(joinPath(joinPath(staging, SECRET), name));
    if (made !== undefined && equalBytes(made, await readPlain(old))) continue;
    const hint = "give --force-key to replace it: the key that is there is lost then";
    throw fileError("ERR_FILE_EXISTS", old, `${old} holds a key that the new merge lacks`, hint);
  }
}

function holdFolder(path: string, made: readonly string[]): FolderLock {
  try {
    return lockFolder(path);
  } catch (error) {
    removeFolders(made);
    throw explain("write", path, error);
  }
}

/**
 * Puts what was made in its place. What was there goes out of the way first, and comes back when
 * something fails. The manifest comes last, and makes a batch of what is there.
 */
async function settle(path: string, made: readonly string[], io: Io): Promise<void> {
  const staging = joinPath(path, STAGING);
  const old = joinPath(staging, OLD);
  const undo: [from: string, to: string][] = [];
  const move = async (name: string, from: string, to: string) => {
    const [source, target] = [joinPath(from, name), joinPath(to, name)];
    try {
      await Deno.rename(source, target);
    } catch (error) {
      throw explain("write", from === staging ? target : source, error);
    }
    undo.unshift([target, source]);
  };
  await Deno.mkdir(old);
  try {
    for (const name of [...OWN_FILES, ...DEVICE_FOLDERS]) {
      if (await exists(joinPath(path, name))) await move(name, path, old);
    }
    for (const name of [...made, MANIFEST_CSV, MANIFEST]) await move(name, staging, path);
  } catch (error) {
    for (const [from, to] of undo) {
      await Deno.rename(from, to).catch((error) => io.note(`${from} stays: ${error.message}`));
    }
    throw error;
  }
  await Deno.remove(old, { recursive: true }).catch((error) =>
    io.note(`note: the earlier merge stays in ${old}: ${error.message}`)
  );
}

function ifThere(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

/** Something that no merge puts into its folder. */
async function findStrange(
  path: string,
  entries: readonly Deno.DirEntry[],
): Promise<string | undefined> {
  for (const { name, isDirectory, isFile } of entries) {
    if (name === STAGING || name === LOCK || isFile && OWN_FILES.includes(name)) continue;
    if (!isDirectory || !DEVICE_FOLDERS.includes(name)) return name;
    const inside = (await entriesIn(joinPath(path, name))).find((entry) =>
      !entry.isFile || ownerName(`${name}/${entry.name}`) === undefined
    );
    if (inside !== undefined) return `${name}/${inside.name}`;
  }
  return undefined;
}

/** The same for all names of a folder. */
async function identityOf(path: string): Promise<string> {
  const info = await statOf(path);
  return info?.ino ? `${info.dev}:${info.ino}` : path.replace(/[/\\]+$/, "");
}

const OTHERS = 0o077;
/** Copies under way at a time: each waits for the disk. */
const AT_A_TIME = 32;

/** A shard, and the names of the files of the devices that its manifest has. */
export interface OwnDevices {
  readonly batch: BatchFolder;
  readonly fileNames: ReadonlySet<string>;
}

/** Where the files of shards go. */
interface Place {
  readonly folder: string;
  /** Whether files are copied where they could be linked. */
  readonly copyOnly: boolean;
  readonly signal: AbortSignal;
  /** Called for each file. */
  readonly onFile: () => void;
}

/** How the files came to their new folder. */
interface Placed {
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
