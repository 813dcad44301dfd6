import { encodeUtf8 } from "../../bytes/text.ts";
import {
  formatManifestCsv,
  formatManifestCsvHeader,
  formatManifestNdjson,
  type ManifestRow,
} from "../../provision/manifest.ts";
import { joinPath } from "../io.ts";

/** Sizes of the two manifests in bytes. */
export interface ManifestSizes {
  readonly ndjson: number;
  readonly csv: number;
}

/** The manifests of a batch, which grow by whole rows. */
export interface ManifestFiles {
  /**
   * Writes rows behind those that the journal knows; on return they are on the disk.
   *
   * @param sizes What the journal knows: rows of a commit that failed are written over.
   * @returns What it is to know from now on.
   */
  append(rows: readonly ManifestRow[], sizes: ManifestSizes): ManifestSizes;
  close(): void;
}

const NAMES = { ndjson: "manifest.ndjson", csv: "manifest.csv" } as const;

/**
 * Opens the manifests and brings them to the state that the journal knows: what is behind it is cut
 * off, and what is not there is written again.
 *
 * @param folder The batch's folder.
 * @param sizes What the journal knows; undefined when there is nothing yet.
 * @param columns Columns of the device list that go into the manifest.
 * @param rows All rows that the journal has, for files that are too short.
 */
export function openManifests(
  folder: string,
  sizes: ManifestSizes | undefined,
  columns: readonly string[],
  rows: () => Iterable<ManifestRow>,
): ManifestFiles & { readonly sizes: ManifestSizes } {
  const isWhole = sizes !== undefined &&
    sizeOf(folder, "ndjson") >= sizes.ndjson && sizeOf(folder, "csv") >= sizes.csv;
  const known = isWhole ? sizes : rewriteManifests(folder, columns, rows());
  const files = { ndjson: openAt(folder, "ndjson", known), csv: openAt(folder, "csv", known) };
  return {
    sizes: known,
    append: (added, from) => {
      const current = { ...from };
      const texts = {
        ndjson: added.map(formatManifestNdjson).join(""),
        csv: added.map((row) => formatManifestCsv(row, columns)).join(""),
      };
      for (const name of ["ndjson", "csv"] as const) {
        const bytes = encodeUtf8(texts[name]);
        files[name].truncateSync(current[name]);
        files[name].seekSync(current[name], Deno.SeekMode.Start);
        writeAll(files[name], bytes);
        files[name].syncDataSync();
        current[name] += bytes.length;
      }
      return current;
    },
    close: () => {
      files.ndjson.close();
      files.csv.close();
    },
  };
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
    writeAll(files[name], bytes);
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
  return sizes;
}

/** Writes all of the bytes. */
export function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
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
