import { alignUp } from "../../../bytes/pack.ts";
import { ARCHIVE_BLOCK, type ArchiveEntry } from "../../../batch/archive.ts";
import { type ArchiveLimit, indexArchive } from "../../../batch/archive_index.ts";
import { archiveOf } from "./names.ts";
import { readAt, withFile } from "./read.ts";
import { fileError } from "../../errors.ts";
import { joinPath } from "../../io.ts";

/** A file in an archive, and the blocks that it takes with its headers. */
export interface PackedFile extends ArchiveEntry {
  /** Path of the archive. */
  readonly archive: string;
  readonly start: number;
  readonly end: number;
}

/** What is wrong with an archive itself. */
export interface ArchiveDamage {
  readonly message: string;
  /** Whether it only ends within a file, as one does that still grows. */
  readonly isCut: boolean;
}

/** An archive's files by their names, and what is wrong with it. */
export interface ArchiveIndex {
  readonly files: ReadonlyMap<string, PackedFile>;
  readonly damage: readonly ArchiveDamage[];
}

/** Reads the headers of an archive. */
export async function indexFile(archive: string): Promise<ArchiveIndex> {
  return await withFile(archive, async (file) => {
    const files = new Map<string, PackedFile>();
    const damage: ArchiveDamage[] = [];
    const tell = (message: string, isCut = false) =>
      void damage.push({ message: `${archive}: ${message}`, isCut });
    const { size } = await file.stat();
    const walk = indexArchive(
      (offset, length) => readAt(file, offset, length),
      size,
      ({ message }) => tell(message),
    );
    let start = 0;
    let step: IteratorResult<ArchiveEntry, ArchiveLimit>;
    for (step = await walk.next(); step.done !== true; step = await walk.next()) {
      const { value } = step;
      const end = value.offset + alignUp(value.size, ARCHIVE_BLOCK);
      if (files.has(value.name)) tell(`${value.name} is in it twice`);
      files.set(value.name, { ...value, archive, start, end });
      start = end;
    }
    const { closed, end } = step.value;
    if (!closed && size > end) tell(`it ends within a file, at ${end}`, true);
    return { files, damage };
  });
}

/** The archives of a batch; each is read when it is first asked for. */
export interface BatchArchives {
  /** Their paths. */
  readonly paths: readonly string[];
  /** Where a file is packed; undefined when it is not. */
  find(name: string): Promise<PackedFile | undefined>;
  /** All files, archive by archive. */
  files(): AsyncGenerator<PackedFile>;
  /** What is wrong with the archives themselves. */
  damage(): Promise<readonly ArchiveDamage[]>;
}

/**
 * The archives of a batch.
 *
 * @param folder The batch's folder.
 * @param names Their names.
 * @param tolerant Whether `find` and `files` pass over damage, for those who ask for it.
 */
export function openArchives(
  folder: string,
  names: readonly string[],
  tolerant: boolean,
): BatchArchives {
  const archives = names.map((name) => joinPath(folder, name));
  const known = new Map<string, Promise<ArchiveIndex>>();
  const indexOf = async (archive: string): Promise<ArchiveIndex> => {
    if (!known.has(archive)) known.set(archive, indexFile(archive));
    const index = await known.get(archive)!;
    const broken = index.damage.find(({ isCut }) => !isCut);
    if (broken === undefined || tolerant) return index;
    throw fileError("ERR_IO", archive, `Cannot read ${broken.message}`);
  };
  return {
    paths: archives,
    find: async (name) => {
      const archive = archiveOf(name);
      if (!names.includes(archive)) return undefined;
      return (await indexOf(joinPath(folder, archive))).files.get(name);
    },
    files: async function* () {
      for (const archive of archives) yield* (await indexOf(archive)).files.values();
    },
    damage: async () => {
      const all = await Promise.all(archives.map((archive) => indexOf(archive)));
      return all.flatMap(({ damage }) => damage);
    },
  };
}
