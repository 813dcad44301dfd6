import { shownName } from "../../bytes/text.ts";
import type { Arguments } from "../arguments.ts";
import { type CliError, fileError, usageError } from "../errors.ts";
import { type Io, joinPath } from "../io.ts";

/** A file that was named, or found in a folder that was. */
export interface ImageFile {
  readonly path: string;
  /** Why there is none, in a folder without images. */
  readonly problem?: CliError;
}

/** Flags that are about one image. */
export const FLAGS_FOR_ONE: readonly string[] = ["hmac-key", "flash-key", "offset"];
/** By one of these a folder is a batch's. */
const BATCH_FILES = ["manifest.ndjson", "journal.sqlite"];
/** The eFuse keys that are written beside images, whole or in halves. */
const KEY_FILE =
  /^(?:hmac_key|flash_key|ecdsa_key|device\.key)(?:_KEY\d)?(?:_(?:low|high|1|2))?\.bin$/;

/**
 * The images that the arguments name, a folder's by name: its `*.bin`, or those of a batch. Undefined
 * when they name one file, which is not a list.
 *
 * @throws {CliError} `ERR_FILE_NOT_FOUND` when there are none; `ERR_USAGE` for a flag that is about one
 * image, when there are several.
 */
export async function imageFilesOf(args: Arguments, io: Io): Promise<ImageFile[] | undefined> {
  const found: ImageFile[] = [];
  let hasFolder = false;
  for (const path of args.positionals) {
    const names = await io.list(path);
    hasFolder ||= names !== undefined;
    if (names === undefined) found.push({ path });
    else found.push(...await imagesIn(path, names, io));
  }
  if (found.length === 1 && !hasFolder) return undefined;
  if (found.every(({ problem }) => problem !== undefined)) throw found[0]!.problem!;
  if (found.length > 1) refuseFlagsForOne(args, found.length);
  return found;
}

/** Refuses flags that are about one image, where there are several. */
export function refuseFlagsForOne(args: Arguments, count: number): void {
  const flag = FLAGS_FOR_ONE.find((name) => args.has(name));
  if (flag === undefined) return;
  throw usageError(`--${flag} is for one image, and there are ${count}`, flag);
}

async function imagesIn(folder: string, names: readonly string[], io: Io): Promise<ImageFile[]> {
  if (names.includes("images") && BATCH_FILES.some((name) => names.includes(name))) {
    const images = joinPath(folder, "images");
    return await imagesIn(images, await io.list(images) ?? [], io);
  }
  const files = names.filter((name) =>
    name.endsWith(".bin") && !name.startsWith(".") && !KEY_FILE.test(name)
  ).map((name) => ({ path: joinPath(folder, name) }));
  if (files.length > 0) return files;
  const message = `no image in ${shownName(folder)}: it has no file *.bin`;
  return [{ path: folder, problem: fileError("ERR_FILE_NOT_FOUND", folder, message) }];
}
