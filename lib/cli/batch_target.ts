import { SecureCertError } from "../bytes/errors.ts";
import { JOURNAL, MANIFEST, MANIFEST_CSV } from "./batch_folder.ts";
import { DEVICE_FOLDERS, deviceOf } from "./batch_names.ts";
import { entriesIn, statOf } from "./batch_read.ts";
import { ARCHIVES } from "./bulk/archive_files.ts";
import { openSignal, STOPPING } from "./bulk/signal.ts";
import { fileError, usageError } from "./errors.ts";
import { explain, type Io, joinPath } from "./io.ts";

/**
 * Where a merge grows within its folder. It stays, empty, and tells that what is beside it was made by
 * a merge and may be made again.
 */
const STAGING = ".merge";
/** The first goes first, for without it the folder is no batch's. */
const OWN_FILES: readonly string[] = [MANIFEST, MANIFEST_CSV, ...Object.values(ARCHIVES)];

/** The folder of a merge, as it is before. */
export interface MergeTarget {
  readonly path: string;
  readonly isNew: boolean;
  /** Whether an earlier merge was here, which is replaced. */
  readonly isMerged: boolean;
}

/**
 * Refuses shards that are one folder, and a target that is one of them, by whatever name.
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
export async function judgeTarget(path: string, force: boolean): Promise<MergeTarget> {
  const refused = (message: string, hint = "give a folder that is new or empty") =>
    fileError("ERR_FILE_EXISTS", path, message, hint);
  const info = await statOf(path);
  if (info === undefined) return { path, isNew: true, isMerged: false };
  if (!info.isDirectory) throw refused(`${path} is a file`);
  const entries = await entriesIn(path);
  const names = entries.map(({ name }) => name);
  if (names.includes(JOURNAL)) throw refused(`${path} is a batch with a journal of its own`);
  if (names.length === 0) return { path, isNew: false, isMerged: false };
  const isMerged = names.includes(STAGING);
  if (!isMerged) throw refused(`${path} is not empty, and no merge made it`);
  if (!force) {
    throw refused(`${path} exists`, "give --force to replace what a merge has made there");
  }
  const strange = await findStrange(path, entries);
  if (strange === undefined) return { path, isNew: false, isMerged };
  throw refused(`${path} has ${strange} in it, which no merge made`);
}

/**
 * Makes a batch beside what is in the folder, and puts it in its place when it is whole. When that
 * fails, or Ctrl-C ends it, the folder is as it was.
 *
 * @param act Makes it in the folder that it is given, and looks at the signal.
 */
export async function inTarget<T>(
  { path, isNew, isMerged }: MergeTarget,
  io: Io,
  act: (folder: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const staging = joinPath(path, STAGING);
  await io.makeDir(path);
  const stop = openSignal(io, STOPPING);
  let isOwn = false;
  try {
    if (isMerged) await Deno.remove(staging, { recursive: true });
    await Deno.mkdir(staging);
    isOwn = true;
    const made = await act(staging, stop.signal);
    stop.signal.throwIfAborted();
    await settle(path, staging);
    return made;
  } catch (error) {
    if (isOwn) await Deno.remove(staging, { recursive: true }).catch(() => {});
    if (isMerged) await Deno.mkdir(staging).catch(() => {});
    if (isNew && isOwn) await Deno.remove(path).catch(() => {});
    if (stop.signal.aborted) throw fileError("ERR_IO", path, `stopped; ${path} is as it was`);
    throw error instanceof SecureCertError ? error : explain("write", path, error);
  } finally {
    stop.close();
  }
}

/** The manifest comes last, and makes a batch of what is there. */
async function settle(path: string, staging: string): Promise<void> {
  for (const name of [...OWN_FILES, ...DEVICE_FOLDERS]) {
    await Deno.remove(joinPath(path, name), { recursive: true }).catch(ifThere);
  }
  for (const name of [...DEVICE_FOLDERS, ...OWN_FILES.toReversed()]) {
    await Deno.rename(joinPath(staging, name), joinPath(path, name)).catch(ifThere);
  }
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
    if (name === STAGING || isFile && OWN_FILES.includes(name)) continue;
    if (!isDirectory || !DEVICE_FOLDERS.includes(name)) return name;
    const inside = (await entriesIn(joinPath(path, name))).find((entry) =>
      !entry.isFile || deviceOf(`${name}/${entry.name}`) === undefined
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
