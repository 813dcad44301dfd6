import { encodeUtf8 } from "../../../bytes/text.ts";
import {
  formatManifestCsv,
  formatManifestCsvHeader,
  formatManifestNdjson,
  type ManifestRow,
} from "../../../batch/manifest.ts";
import { type CliError, fileError } from "../../errors.ts";
import { explain, joinPath } from "../../io.ts";

/** Sizes of the two manifests in bytes. */
export interface ManifestSizes {
  readonly ndjson: number;
  readonly csv: number;
}

/** Rows on their way into the manifests. */
export interface ManifestPart {
  /** Sizes before them and behind them. */
  readonly from: ManifestSizes;
  readonly to: ManifestSizes;
  readonly bytes: Readonly<Record<keyof ManifestSizes, Uint8Array>>;
}

/** The manifests of a batch, which grow by whole rows that the journal knows already. */
export interface ManifestFiles {
  /** Prepares rows, and says where the manifests will end. */
  format(rows: readonly ManifestRow[], from: ManifestSizes): ManifestPart;
  /** Writes rows; on return they are on the disk. */
  append(part: ManifestPart): void;
  close(): void;
}

const NAMES = { ndjson: "manifest.ndjson", csv: "manifest.csv" } as const;

/**
 * Opens the manifests and brings them to the state that the journal knows: what is not there is
 * written again. A manifest has never more than the journal, unless the journal was lost.
 *
 * @param folder The batch's folder.
 * @param sizes What the journal knows; undefined when there is nothing yet, null when they are to be
 * written again.
 * @param columns Columns of the device list that go into the manifest.
 * @param rows All rows that the journal has, for files that are too short.
 * @throws {CliError} `ERR_IO` when the manifest has rows that the journal does not know.
 */
export function openManifests(
  folder: string,
  sizes: ManifestSizes | undefined | null,
  columns: readonly string[],
  rows: () => Iterable<ManifestRow>,
): ManifestFiles & { readonly sizes: ManifestSizes } {
  const [ndjson, csv] = [sizeOf(folder, "ndjson"), sizeOf(folder, "csv")];
  if (sizes !== null && ndjson > (sizes?.ndjson ?? 0)) throw lostJournal(folder);
  const isWhole = sizes && ndjson === sizes.ndjson && csv >= sizes.csv;
  const known = isWhole ? sizes : rewriteManifests(folder, columns, rows());
  const files = { ndjson: openAt(folder, "ndjson", known), csv: openAt(folder, "csv", known) };
  return {
    sizes: known,
    format: (added, from) => {
      const bytes = {
        ndjson: encodeUtf8(added.map(formatManifestNdjson).join("")),
        csv: encodeUtf8(added.map((row) => formatManifestCsv(row, columns)).join("")),
      };
      const to = { ndjson: from.ndjson + bytes.ndjson.length, csv: from.csv + bytes.csv.length };
      return { from, to, bytes };
    },
    append: ({ from, bytes }) => {
      for (const name of ["ndjson", "csv"] as const) {
        files[name].seekSync(from[name], Deno.SeekMode.Start);
        writeAll(files[name], bytes[name], joinPath(folder, NAMES[name]));
        files[name].syncDataSync();
      }
    },
    close: () => {
      files.ndjson.close();
      files.csv.close();
    },
  };
}

/** To go on would make second keys for devices that have theirs. */
function lostJournal(folder: string): CliError {
  const message = `${joinPath(folder, NAMES.ndjson)} has devices that the journal does not know`;
  const hint = "the journal is older than it, or journal.sqlite-wal was lost: take both from a " +
    "backup, or give another folder";
  return fileError("ERR_IO", folder, message, hint);
}

/** Writes both manifests anew, beside the old ones and then in their place. */
export function rewriteManifests(
  folder: string,
  columns: readonly string[],
  rows: Iterable<ManifestRow>,
): ManifestSizes {
  const parts = {
    ndjson: joinPath(folder, ".manifest.ndjson"),
    csv: joinPath(folder, ".manifest.csv"),
  };
  const options = { write: true, create: true, truncate: true } as const;
  const files = {
    ndjson: Deno.openSync(parts.ndjson, options),
    csv: Deno.openSync(parts.csv, options),
  };
  const sizes = { ndjson: 0, csv: 0 };
  const put = (name: "ndjson" | "csv", text: string) => {
    const bytes = encodeUtf8(text);
    writeAll(files[name], bytes, parts[name]);
    sizes[name] += bytes.length;
  };
  try {
    put("csv", formatManifestCsvHeader(columns));
    for (const row of rows) {
      put("ndjson", formatManifestNdjson(row));
      put("csv", formatManifestCsv(row, columns));
    }
    for (const file of Object.values(files)) file.syncDataSync();
  } finally {
    for (const file of Object.values(files)) file.close();
  }
  for (const name of ["ndjson", "csv"] as const) {
    Deno.renameSync(parts[name], joinPath(folder, NAMES[name]));
  }
  if (Deno.build.os !== "windows") {
    using names = Deno.openSync(folder, { read: true });
    names.syncSync();
  }
  return sizes;
}

/**
 * Writes all of the bytes at the file's position.
 *
 * @throws {CliError} `ERR_IO` with the path when the system refuses.
 */
function writeAll(file: Deno.FsFile, bytes: Uint8Array, path: string): void {
  try {
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
  } catch (error) {
    throw explain("write", path, error);
  }
}

function openAt(folder: string, name: keyof typeof NAMES, sizes: ManifestSizes): Deno.FsFile {
  const file = Deno.openSync(joinPath(folder, NAMES[name]), { read: true, write: true });
  file.truncateSync(sizes[name]);
  return file;
}

function sizeOf(folder: string, name: keyof typeof NAMES): number {
  try {
    return Deno.statSync(joinPath(folder, NAMES[name])).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return -1;
    throw error;
  }
}
