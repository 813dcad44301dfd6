import { SecureCertError } from "../../../bytes/errors.ts";
import { type ManifestRow, parseManifestNdjson } from "../../../batch/manifest.ts";
import { type BatchArchives, openArchives, type PackedFile } from "./archives.ts";
import { archiveOf, DEVICE_FOLDERS, deviceOf } from "./names.ts";
import {
  entriesIn,
  fileNames,
  isFile,
  isFolder,
  readAt,
  readIfThere,
  readLines,
  withFile,
} from "./read.ts";
import { ARCHIVES } from "../run/archive_files.ts";
import { fileError } from "../../errors.ts";
import { joinPath } from "../../io.ts";

/** The manifest that the others are made from. */
export const MANIFEST = "manifest.ndjson";
/** The same rows for spreadsheets. */
export const MANIFEST_CSV = "manifest.csv";
/** What `bulk` has written down of its work. */
export const JOURNAL = "journal.sqlite";

/** A file of a batch. */
export interface BatchFile {
  /** Path within the folder, such as `images/dev-1.bin`. */
  readonly name: string;
  /** Where it is packed, when it is. */
  readonly packed?: PackedFile;
  /** Whether an archive has it too, which is then the one that counts. */
  readonly isShadowed?: boolean;
}

/** The folder of a batch, opened for reading: files in folders, packed in archives, or both. */
export interface BatchFolder {
  readonly path: string;
  /** Paths of its archives. */
  readonly archives: readonly string[];
  /** Names of archives that are none of a batch's. */
  readonly strayArchives: readonly string[];
  /** What is wrong with the archives themselves. */
  readonly damage: BatchArchives["damage"];
  /** Whether it has a manifest; a batch that was planned and no more has none. */
  readonly hasManifest: boolean;
  /**
   * The rows of the manifest, one at a time.
   *
   * @param onBad Takes what is wrong with a line that is no row, which is then passed over.
   * @throws {SecureCertError} `ERR_TEXT` for such a line, where nobody takes it.
   */
  rows(onBad?: (message: string) => void): AsyncGenerator<ManifestRow>;
  /** A file's bytes, or undefined when there is none of that name. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Whether there is a file of that name. */
  has(name: string): Promise<boolean>;
  /** Whether it has private keys, or the place where they would be. */
  hasSecrets(): Promise<boolean>;
  /** Whether a folder of it, such as `labels`, has a file. */
  hasAny(folder: string): Promise<boolean>;
  /** Every file of single devices. */
  files(): AsyncGenerator<BatchFile>;
}

/**
 * Opens the folder of a batch.
 *
 * @param path The folder.
 * @param options `tolerant`: reads on behind damage in an archive, which the caller asks for.
 * @throws {CliError} `ERR_FILE_NOT_FOUND` when it has neither manifest nor journal.
 */
export async function openBatch(
  path: string,
  options: { readonly tolerant?: boolean } = {},
): Promise<BatchFolder> {
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
  const there = await fileNames(path);
  const names: readonly string[] = Object.values(ARCHIVES).filter((name) => there.includes(name));
  const archives = openArchives(path, names, options.tolerant === true);
  return {
    path,
    archives: archives.paths,
    strayArchives: there.filter((name) => name.endsWith(".tar") && !names.includes(name)),
    damage: archives.damage,
    hasManifest,
    rows: (onBad) => hasManifest ? readRows(manifest, onBad) : noRows(),
    read: async (name) => {
      const place = await archives.find(name);
      if (place === undefined) return await readIfThere(joinPath(path, name));
      return await withFile(place.archive, (file) => readAt(file, place.offset, place.size));
    },
    has: async (name) =>
      await archives.find(name) !== undefined || await isFile(joinPath(path, name)),
    hasSecrets: async () =>
      (await entriesIn(path)).some(({ name }) => name === "secret") ||
      await isPacked(archives, "secret/"),
    hasAny: async (folder) =>
      await isFolder(joinPath(path, folder)) &&
        (await fileNames(joinPath(path, folder))).length > 0 ||
      await isPacked(archives, `${folder}/`),
    files: () => filesOf(path, archives),
  };
}

/** Why a file is none of these devices', or not where it belongs; undefined for those that are. */
export function strayReason(
  { name, packed, isShadowed = false }: BatchFile,
  ids: ReadonlySet<string>,
): string | undefined {
  const [id, archive] = [deviceOf(name), archiveOf(name)];
  if (id === undefined || !ids.has(id)) return "belongs to no device of the manifest";
  if (isShadowed) return `lies beside ${archive}, which has it too`;
  if (packed === undefined || packed.archive.endsWith(archive)) return undefined;
  return `is in ${packed.archive}, and belongs into ${archive}`;
}

async function* filesOf(path: string, archives: BatchArchives): AsyncGenerator<BatchFile> {
  for (const folder of DEVICE_FOLDERS) {
    if (!await isFolder(joinPath(path, folder))) continue;
    for (const file of await fileNames(joinPath(path, folder))) {
      const name = `${folder}/${file}`;
      yield { name, isShadowed: await archives.find(name) !== undefined };
    }
  }
  for await (const packed of archives.files()) yield { name: packed.name, packed };
}

/** Whether a file of a folder is in an archive. */
async function isPacked(archives: BatchArchives, folder: string): Promise<boolean> {
  for await (const { name } of archives.files()) if (name.startsWith(folder)) return true;
  return false;
}

/** A batch that has been planned and no more. */
async function* noRows(): AsyncGenerator<ManifestRow> {}

async function* readRows(
  path: string,
  onBad?: (message: string) => void,
): AsyncGenerator<ManifestRow> {
  let line = 0;
  for await (const text of readLines(path)) {
    line++;
    try {
      yield* parseManifestNdjson(text);
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      const message = error.message.replace(/ in line 1$/, ` in line ${line}`);
      if (onBad === undefined) {
        throw new SecureCertError(error.code, `${message} of ${path}`, { line });
      }
      onBad(`${message} of ${path}`);
    }
  }
}
