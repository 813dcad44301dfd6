import { SecureCertError } from "../bytes/errors.ts";
import { type ArchiveEntry, indexArchive } from "../provision/archive.ts";
import { type ManifestRow, parseManifestNdjson } from "../provision/manifest.ts";
import { fileError } from "./errors.ts";
import { explain, joinPath } from "./io.ts";

/** The manifest that the others are made from. */
export const MANIFEST = "manifest.ndjson";
/** The same rows for spreadsheets. */
export const MANIFEST_CSV = "manifest.csv";

/** Folders with files of single devices, and what stands behind the device's name in each. */
export const DEVICE_FOLDERS = {
  images: ".bin",
  certificates: ".pem",
  efuse: ".json",
  csr: ".csr",
  labels: ".svg",
  secret: "",
} as const;

/** A file of a batch. */
export interface BatchFile {
  /** Path within the folder, such as `images/dev-1.bin`. */
  readonly name: string;
  /** Where it is packed, when it is. */
  readonly packed?: ArchiveEntry & { readonly archive: string };
}

/** The folder of a batch, opened for reading: files in folders, packed in archives, or both. */
export interface BatchFolder {
  readonly path: string;
  /** Paths of its archives. */
  readonly archives: readonly string[];
  /** The rows of the manifest, one at a time. */
  rows(): AsyncGenerator<ManifestRow>;
  /** A file's bytes, or undefined when there is none of that name. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Whether there is a file of that name. */
  has(name: string): Promise<boolean>;
  /** Every file of single devices. */
  files(): AsyncGenerator<BatchFile>;
}

/**
 * Opens the folder of a batch.
 *
 * @throws {CliError} `ERR_FILE_NOT_FOUND` when it has neither manifest nor journal.
 */
export async function openBatch(path: string): Promise<BatchFolder> {
  const manifest = joinPath(path, MANIFEST);
  const hasManifest = await exists(manifest);
  if (!hasManifest && !await exists(joinPath(path, "journal.sqlite"))) {
    throw fileError(
      "ERR_FILE_NOT_FOUND",
      manifest,
      `Cannot read ${manifest}: no such file`,
      "give the folder that bulk has written to with -o",
    );
  }
  const archives = (await names(path)).filter((name) => name.endsWith(".tar"))
    .map((name) => joinPath(path, name));
  const packed = new Map<string, Required<BatchFile>["packed"]>();
  for (const archive of archives) {
    for await (const entry of entriesOf(archive)) packed.set(entry.name, { ...entry, archive });
  }
  return {
    path,
    archives,
    rows: () => hasManifest ? readRows(manifest) : noRows(),
    read: async (name) => {
      const place = packed.get(name);
      if (place === undefined) return await readIfThere(joinPath(path, name));
      return await withFile(place.archive, (file) => readAt(file, place.offset, place.size));
    },
    has: async (name) => packed.has(name) || await exists(joinPath(path, name)),
    files: async function* () {
      for (const folder of Object.keys(DEVICE_FOLDERS)) {
        for (const name of await names(joinPath(path, folder))) yield { name: `${folder}/${name}` };
      }
      for (const [name, place] of packed) yield { name, packed: place };
    },
  };
}

/** The lines of a text file, without their ends, in memory that does not grow with the file. */
async function* readLines(path: string): AsyncGenerator<string> {
  let rest = "";
  for await (const part of readText(path)) {
    rest += part;
    const lines = rest.split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

/** A text file in parts. */
export async function* readText(path: string): AsyncGenerator<string> {
  const file = await opening(path);
  yield* file.readable.pipeThrough(new TextDecoderStream());
}

/** The entries of an archive. */
export async function* entriesOf(path: string): AsyncGenerator<ArchiveEntry> {
  const file = await opening(path);
  try {
    const { size } = await file.stat();
    yield* indexArchive((offset, length) => readAt(file, offset, length), size);
  } finally {
    file.close();
  }
}

/** Up to `length` bytes from `offset`; fewer at the end of the file alone. */
export async function readAt(
  file: Deno.FsFile,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await file.seek(offset, Deno.SeekMode.Start);
  let have = 0;
  while (have < length) {
    const read = await file.read(bytes.subarray(have));
    if (read === null) break;
    have += read;
  }
  return bytes.subarray(0, have);
}

/** Does something with an open file, which is closed afterwards. */
export async function withFile<T>(
  path: string,
  act: (file: Deno.FsFile) => Promise<T>,
): Promise<T> {
  const file = await opening(path);
  try {
    return await act(file);
  } finally {
    file.close();
  }
}

/** Whether something has this path. */
export async function exists(path: string): Promise<boolean> {
  return await quietly(path, () => Deno.lstat(path)) !== undefined;
}

/** A batch that has been planned and no more. */
async function* noRows(): AsyncGenerator<ManifestRow> {}

async function* readRows(path: string): AsyncGenerator<ManifestRow> {
  let line = 0;
  for await (const text of readLines(path)) {
    line++;
    try {
      yield* parseManifestNdjson(text);
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      const message = error.message.replace(/ in line 1$/, ` in line ${line}`);
      throw new SecureCertError(error.code, `${message} of ${path}`, { line });
    }
  }
}

/** Names in a folder, sorted; none when it is not there. */
async function names(path: string): Promise<string[]> {
  const found = await quietly(path, () => Array.fromAsync(Deno.readDir(path)));
  return (found ?? []).filter(({ isFile }) => isFile).map(({ name }) => name).sort();
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  return await quietly(path, () => Deno.readFile(path));
}

async function opening(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (error) {
    throw explain("read", path, error);
  }
}

/** The result, or undefined when the path is not there. */
async function quietly<T>(path: string, act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw explain("read", path, error);
  }
}
