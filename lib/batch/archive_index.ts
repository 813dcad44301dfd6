import { SecureCertError } from "../bytes/errors.ts";
import { alignUp } from "../bytes/pack.ts";
import { ARCHIVE_BLOCK, type ArchiveEntry, badHeader, decodeHeader, pathOf } from "./archive.ts";

/** What {@linkcode indexArchive} gives at its end. */
export interface ArchiveLimit {
  /** Bytes up to the end of the last whole entry: where to cut or to append. */
  readonly end: number;
  /** Whether {@linkcode ARCHIVE_END} follows; it is missing while the archive still grows. */
  readonly closed: boolean;
}

/** Reads up to `length` bytes from `offset`; fewer at the end of the archive alone. */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

/** Bytes that are looked through at a time. */
const SEARCH_PART = 1 << 16;

/**
 * The entries of an archive that is too large for memory: of each file only its header is read.
 *
 * @param readAt Reads from the archive.
 * @param size Length of the archive in bytes.
 * @param onDamage Is told of each damaged part; what follows it is found again. @default throws
 * @returns Each whole entry; at the end where the last of them ends. An archive that was cut within
 * an entry ends before it.
 * @throws {SecureCertError} `ERR_MAGIC`, `ERR_CHECKSUM` or `ERR_STRAY_BYTES` as
 * {@linkcode readArchive}, unless there is `onDamage`.
 */
export async function* indexArchive(
  readAt: ReadAt,
  size: number,
  onDamage?: (error: SecureCertError) => void,
): AsyncGenerator<ArchiveEntry, ArchiveLimit> {
  let [end, at] = [0, 0];
  let name: string | undefined;
  let isLost = false;
  while (at + ARCHIVE_BLOCK <= size) {
    const step = await stepAt(readAt, at, size);
    if (step === undefined) return { end, closed: true };
    if ("error" in step) {
      if (onDamage === undefined) throw step.error;
      if (!isLost) onDamage(step.error);
      [isLost, name, at] = [true, undefined, step.next];
      continue;
    }
    const { next, path, entry } = step;
    if (next > size) break;
    [isLost, at] = [false, next];
    if (entry !== undefined) {
      yield { ...entry, name: name ?? entry.name };
      end = next;
    }
    name = path;
  }
  return { end, closed: false };
}

type Step =
  | { readonly entry?: ArchiveEntry; readonly path?: string | undefined; readonly next: number }
  | { readonly error: SecureCertError; readonly next: number };

/** The header at an offset, or what is wrong there; undefined where zeros end the archive. */
async function stepAt(readAt: ReadAt, at: number, size: number): Promise<Step | undefined> {
  try {
    const header = decodeHeader(await readAt(at, ARCHIVE_BLOCK), at);
    if (header === undefined) {
      const next = await findData(readAt, at + ARCHIVE_BLOCK, size);
      if (next === undefined) return undefined;
      return { error: badHeader("ERR_STRAY_BYTES", "no header before more data", at), next };
    }
    const { isExtended, ...entry } = header;
    const next = entry.offset + alignUp(entry.size, ARCHIVE_BLOCK);
    if (!isExtended || next > size) return { entry, next };
    return { path: pathOf(await readAt(entry.offset, entry.size), at), next };
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return { error, next: at + ARCHIVE_BLOCK };
  }
}

/** The block of the first byte that is not zero. */
async function findData(readAt: ReadAt, from: number, size: number): Promise<number | undefined> {
  for (let at = from; at < size; at += SEARCH_PART) {
    const found = (await readAt(at, Math.min(SEARCH_PART, size - at))).findIndex((byte) =>
      byte !== 0
    );
    if (found >= 0) return at + found - found % ARCHIVE_BLOCK;
  }
  return undefined;
}
