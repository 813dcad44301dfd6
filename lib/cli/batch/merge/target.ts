import { readPlain } from "../../input/limited.ts";
import { equalBytes } from "../../../bytes/pack.ts";
import { SecureCertError } from "../../../bytes/errors.ts";
import { DEVICE_FOLDERS, MANIFEST, MANIFEST_CSV, ownerName } from "../../../batch/files.ts";
import { removeFolders } from "../../disk/folders.ts";
import { fileError, usageError } from "../../errors.ts";
import { explain, type Force, type Io, joinPath } from "../../io.ts";
import { type FolderLock, lockFolder } from "../folder/lock.ts";
import { JOURNAL, LOCK } from "../folder/names.ts";
import { entriesIn, exists, fileNames, readIfThere, statOf } from "../folder/read.ts";
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
export interface MergeTarget {
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
export interface Made {
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
  const lock = holdFolder(path);
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

function holdFolder(path: string): FolderLock {
  try {
    return lockFolder(path);
  } catch (error) {
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
