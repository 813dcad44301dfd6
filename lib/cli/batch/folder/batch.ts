import { SecureCertError } from "../../../bytes/errors.ts";
import { DEVICE_FOLDERS, MANIFEST } from "../../../batch/files.ts";
import type { FinishedFiles } from "../../../batch/check/device.ts";
import { type ManifestRow, parseManifestRow } from "../../../batch/manifest.ts";
import { JOURNAL } from "./names.ts";
import { entriesIn, fileNames, isFile, isFolder, readIfThere, readLines } from "./read.ts";
import { fileError } from "../../errors.ts";
import { joinPath } from "../../io.ts";

/** The folder of a batch, opened for reading. */
export interface BatchFolder extends FinishedFiles {
  readonly path: string;
  /** Whether it has a manifest; a batch of which no device is done has none. */
  readonly hasManifest: boolean;
  /**
   * The rows of the manifest, one at a time.
   *
   * @param onBad Takes what is wrong with a line that is not a row, which is skipped then.
   * @throws {SecureCertError} `ERR_TEXT` for such a line without it.
   */
  rows(onBad?: (message: string) => void): AsyncGenerator<ManifestRow>;
  /** A file's bytes, or undefined when there is no such file. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Whether there is a file of that name. */
  has(name: string): Promise<boolean>;
  /** Whether it has private keys, or the place where they would be. */
  hasSecrets(): Promise<boolean>;
  /** Whether a folder of it, such as `labels`, has a file. */
  hasAny(folder: string): Promise<boolean>;
  /** Path within the folder of every file of single devices, such as `images/dev-1.bin`. */
  files(): AsyncGenerator<string>;
}

/**
 * Opens the folder of a batch.
 *
 * @param path The folder.
 * @throws {CliError} `ERR_FILE_NOT_FOUND` when it has neither manifest nor journal.
 */
export async function openBatch(path: string): Promise<BatchFolder> {
  const manifest = joinPath(path, MANIFEST);
  const hasManifest = await isFile(manifest);
  if (!hasManifest && !await isFile(joinPath(path, JOURNAL))) {
    throw fileError(
      "ERR_FILE_NOT_FOUND",
      manifest,
      `Cannot read ${manifest}: no such file`,
      "give the folder that bulk has written to with -o",
    );
  }
  return {
    path,
    name: path,
    hasManifest,
    rows: (onBad) => hasManifest ? readRows(manifest, onBad) : noRows(),
    read: (name) => readIfThere(joinPath(path, name)),
    has: (name) => isFile(joinPath(path, name)),
    hasSecrets: async () => (await entriesIn(path)).some(({ name }) => name === "secret"),
    hasAny: async (folder) => (await fileNames(joinPath(path, folder))).length > 0,
    files: () => filesOf(path),
  };
}

async function* filesOf(path: string): AsyncGenerator<string> {
  for (const folder of DEVICE_FOLDERS) {
    if (!await isFolder(joinPath(path, folder))) continue;
    for (const file of await fileNames(joinPath(path, folder))) yield `${folder}/${file}`;
  }
}

/** A batch that was planned, and of which no device is done. */
async function* noRows(): AsyncGenerator<ManifestRow> {}

async function* readRows(
  path: string,
  onBad?: (message: string) => void,
): AsyncGenerator<ManifestRow> {
  let line = 0;
  for await (const text of readLines(path)) {
    line++;
    if (text === "") continue;
    try {
      yield parseManifestRow(text, line);
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      const message = `${error.message} of ${path}`;
      if (onBad === undefined) throw new SecureCertError(error.code, message, { line });
      onBad(message);
    }
  }
}
