import { encodeUtf8 } from "../../../bytes/text.ts";
import { MANIFEST, MANIFEST_CSV } from "../../../batch/files.ts";
import {
  formatManifestCsv,
  formatManifestCsvHeader,
  formatManifestNdjson,
  type ManifestRow,
} from "../../../batch/manifest.ts";
import { joinPath } from "../../io.ts";
import { type GrowingText, openGrowing, syncFolder } from "./write.ts";

/** Sizes of the two manifests in bytes. */
export interface ManifestSizes {
  readonly ndjson: number;
  readonly csv: number;
}

type Kind = keyof ManifestSizes;
const NAMES: Readonly<Record<Kind, string>> = { ndjson: MANIFEST, csv: MANIFEST_CSV };
/** Rows on their way into the manifests. */
export interface ManifestPart {
  /** Sizes before them and after them. */
  readonly from: ManifestSizes;
  readonly to: ManifestSizes;
  readonly bytes: Readonly<Record<Kind, Uint8Array>>;
}

/** The manifests of a batch, which grow by whole rows. */
export interface ManifestFiles {
  /** Prepares rows, and says where the manifests will end. */
  format(rows: readonly ManifestRow[], from: ManifestSizes): ManifestPart;
  /** Writes rows; on return they are on the disk. */
  append(part: ManifestPart): void;
  close(): void;
}

/** The sizes of the manifests of a batch; -1 for one that is not there. */
export function manifestSizes(folder: string): ManifestSizes {
  return {
    ndjson: sizeOf(joinPath(folder, MANIFEST)),
    csv: sizeOf(joinPath(folder, MANIFEST_CSV)),
  };
}

/**
 * Opens the manifests to append to them; what they have beyond their sizes is cut off.
 *
 * @param columns Columns of the device list that go into the manifest.
 */
export function openManifests(
  folder: string,
  sizes: ManifestSizes,
  columns: readonly string[],
): ManifestFiles {
  const open = (kind: Kind) => {
    const file = Deno.openSync(joinPath(folder, NAMES[kind]), { read: true, write: true });
    file.truncateSync(sizes[kind]);
    return file;
  };
  const files = { ndjson: open("ndjson"), csv: open("csv") };
  return {
    format: (rows, from) => {
      const bytes = {
        ndjson: encodeUtf8(rows.map(formatManifestNdjson).join("")),
        csv: encodeUtf8(rows.map((row) => formatManifestCsv(row, columns)).join("")),
      };
      const to = { ndjson: from.ndjson + bytes.ndjson.length, csv: from.csv + bytes.csv.length };
      return { from, to, bytes };
    },
    append: ({ from, bytes }) => {
      for (const kind of ["ndjson", "csv"] as const) {
        files[kind].seekSync(from[kind], Deno.SeekMode.Start);
        writeAll(files[kind], bytes[kind]);
        files[kind].syncDataSync();
      }
    },
    close: () => {
      files.ndjson.close();
      files.csv.close();
    },
  };
}

/**
 * Writes both manifests beside their places and then into them, so that neither is ever seen half.
 * `manifest.ndjson` comes last, and makes a batch of a folder.
 *
 * @param columns Columns of the device list that go into the manifest.
 * @returns Their sizes.
 */
export async function writeManifests(
  folder: string,
  rows: Iterable<ManifestRow> | AsyncIterable<ManifestRow>,
  columns: readonly string[],
): Promise<ManifestSizes> {
  const open = async (name: string) => {
    const beside = joinPath(folder, `.${name}`);
    // What an earlier run has left, or somebody has put there: a link may lead anywhere.
    await Deno.remove(beside).catch(() => {});
    return await openGrowing(joinPath(folder, name), beside);
  };
  const csv = await open(MANIFEST_CSV);
  let ndjson: GrowingText | undefined;
  try {
    ndjson = await open(MANIFEST);
    await csv.add(formatManifestCsvHeader(columns));
    for await (const row of rows) {
      await ndjson.add(formatManifestNdjson(row));
      await csv.add(formatManifestCsv(row, columns));
    }
    const sizes = { csv: await csv.end(), ndjson: await ndjson.end() };
    await csv.place();
    await ndjson.place();
    await syncFolder(folder);
    return sizes;
  } catch (error) {
    await csv.discard();
    await ndjson?.discard();
    throw error;
  }
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return -1;
    throw error;
  }
}
