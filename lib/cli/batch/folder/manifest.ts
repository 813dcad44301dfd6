import { encodeUtf8 } from "../../../bytes/text.ts";
import { readCsv } from "../../../bytes/csv.ts";
import { type BatchProblem, problem } from "../../../batch/check/device.ts";
import {
  extraColumns,
  formatManifestCsv,
  formatManifestCsvHeader,
  formatManifestNdjson,
  type ManifestRow,
} from "../../../batch/manifest.ts";
import { type BatchFolder, MANIFEST, MANIFEST_CSV } from "./batch.ts";
import { deviceOf } from "./names.ts";
import { isFile, readText } from "./read.ts";
import { explain, joinPath } from "../../io.ts";

const PART = 1 << 16;

/**
 * Whether `manifest.csv` holds the rows of `manifest.ndjson` in their order.
 *
 * @param expected The columns of the device list that it should have, in any order.
 */
export async function judgeManifestCsv(
  batch: BatchFolder,
  expected: Iterable<string>,
): Promise<BatchProblem[]> {
  const wrong = (message: string) => [problem("BAD_MANIFEST", null, message)];
  const path = joinPath(batch.path, MANIFEST_CSV);
  if (!await isFile(path)) return wrong(`${MANIFEST_CSV} is not there`);
  const columns = extraColumns(await csvColumns(path));
  const missing = [...expected].filter((name) => !columns.includes(name));
  if (missing.length > 0) return wrong(`${MANIFEST_CSV} lacks the columns ${missing.join(", ")}`);
  // A line that is no row is told of elsewhere.
  if (await isSameText(csvParts(batch.rows(() => {}), columns), readText(path))) return [];
  return wrong(`${MANIFEST_CSV} does not hold the rows of ${MANIFEST}`);
}

/**
 * What tells of a manifest cut short where no journal does: `manifest.csv`, and files of devices that
 * it lacks.
 *
 * @param ids The devices of the manifest.
 * @param columns The columns of the device list that its rows have.
 */
export async function judgeAlone(
  batch: BatchFolder,
  ids: ReadonlySet<string>,
  columns: Iterable<string>,
): Promise<BatchProblem[]> {
  const problems = await judgeManifestCsv(batch, columns);
  for await (const name of batch.files()) {
    const id = /^(images|certificates)\//.test(name) ? deviceOf(name) : undefined;
    if (id === undefined || ids.has(id)) continue;
    const message = `${name} belongs to no device of the manifest of ${batch.path}`;
    problems.push(problem("STRAY_FILE", null, message));
  }
  return problems;
}

/** The columns that the rows have beyond those of every manifest, in order of first sight. */
export function collectColumns(row: ManifestRow, columns: Set<string>): void {
  for (const name of extraColumns(Object.keys(row))) columns.add(name);
}

/** Writes the two manifests; each appears at its place when it is whole. */
export async function writeManifests(
  folder: string,
  rows: () => AsyncIterable<ManifestRow>,
  columns: readonly string[],
): Promise<void> {
  const csv = joinPath(folder, MANIFEST_CSV);
  const ndjson = joinPath(folder, MANIFEST);
  await writeParts(csv, csvParts(rows(), columns));
  await writeParts(ndjson, ndjsonParts(rows()));
}

/** Writes a text in parts beside its place and renames it there, so that it is never seen half. */
async function writeParts(path: string, parts: AsyncIterable<string>): Promise<void> {
  const beside = `${path}.tmp`;
  try {
    const file = await Deno.open(beside, { write: true, create: true, truncate: true });
    try {
      for await (const part of inParts(parts)) await writeFully(file, encodeUtf8(part));
      await file.syncData();
    } finally {
      file.close();
    }
    await Deno.rename(beside, path);
  } catch (error) {
    await Deno.remove(beside).catch(() => {});
    if (!(error instanceof Error) || "code" in error && "place" in error) throw error;
    throw explain("write", path, error);
  }
}

/** Writes all of the bytes at the file's place. */
export async function writeFully(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

async function* csvParts(
  rows: AsyncIterable<ManifestRow>,
  columns: readonly string[],
): AsyncGenerator<string> {
  yield formatManifestCsvHeader(columns);
  for await (const row of rows) yield formatManifestCsv(row, columns);
}

async function* ndjsonParts(rows: AsyncIterable<ManifestRow>): AsyncGenerator<string> {
  for await (const row of rows) yield formatManifestNdjson(row);
}

/** Small parts joined, for a disk takes few large ones sooner. */
async function* inParts(parts: AsyncIterable<string>): AsyncGenerator<string> {
  let joined = "";
  for await (const part of parts) {
    joined += part;
    if (joined.length < PART) continue;
    yield joined;
    joined = "";
  }
  yield joined;
}

/** The names in the header, which the first part of the file holds. */
async function csvColumns(path: string): Promise<string[]> {
  for await (const part of readText(path)) {
    return readCsv(part).records[0]?.map(({ text }) => text) ?? [];
  }
  return [];
}

async function isSameText(a: AsyncIterable<string>, b: AsyncIterable<string>): Promise<boolean> {
  const [left, right] = [a[Symbol.asyncIterator](), b[Symbol.asyncIterator]()];
  let [have, want] = ["", ""];
  for (;;) {
    const [next, other] = [
      have === "" ? await left.next() : undefined,
      want === "" ? await right.next() : undefined,
    ];
    have += next?.value ?? "";
    want += other?.value ?? "";
    const length = Math.min(have.length, want.length);
    if (have.slice(0, length) !== want.slice(0, length)) break;
    const isOver = (next?.done ?? true) && (other?.done ?? true);
    if (length === 0 && isOver) break;
    [have, want] = [have.slice(length), want.slice(length)];
  }
  await right.return?.();
  await left.return?.();
  return have === "" && want === "";
}
