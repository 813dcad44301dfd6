import {
  certificateProblems,
  type ExportDevice,
  exportDevice,
  type Exporter,
} from "../../../batch/export/exporter.ts";
import { paths } from "../../../batch/files.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import type { Certificate } from "../../../crypto/x509/certificate.ts";
import { checkImage } from "../../../verify/verify.ts";
import { fileError } from "../../errors.ts";
import { type Io, joinPath } from "../../io.ts";
import { counted } from "../../terminal/progress_line.ts";
import { checkWithoutJournal } from "../check/manifest.ts";
import { checkRows } from "../check/rows.ts";
import { devicesIn } from "../check/unfinished.ts";
import type { BatchFolder } from "../folder/batch.ts";
import type { BatchJournal } from "../journal/read.ts";

/** What a batch has for an export. */
export interface CheckedBatch {
  readonly devices: number;
  /** Columns of the device list that the rows have. */
  readonly columns: readonly string[];
  /** Devices that failed. */
  readonly skipped: readonly string[];
  /** What is wrong, and with which devices; with none where it is the batch as a whole. */
  readonly wrong: ReadonlyMap<string, readonly string[]>;
}

/**
 * Checks every device for an export.
 *
 * @param exporter What has rules for them.
 * @param issuer The CA that must have issued the certificates, where the service is given one.
 */
export async function checkForExport(
  batch: BatchFolder,
  journal: BatchJournal | undefined,
  { problemsOf }: Exporter,
  issuer: Certificate | undefined,
  io: Io,
): Promise<CheckedBatch> {
  const check = checkRows(batch, journal, { partial: true });
  const skipped: string[] = [];
  const wrong = new Map<string, string[]>();
  const add = (message: string, ...ids: string[]) =>
    void wrong.set(message, [...wrong.get(message) ?? [], ...ids]);
  let devices = 0;
  const rows = counted(batch.rows(), io, ["checked", "devices"], devicesIn(journal));
  for await (const row of rows) {
    const foreign = check.row(row);
    for (const { code, message } of foreign) add(`${code}: ${message}`, row.id);
    if (row.status === "failed") skipped.push(row.id);
    else if (foreign.length === 0) {
      const device = await readDevice(batch, row);
      const problems = [...problemsOf(device), ...await certificateProblems(device, issuer)];
      for (const message of problems) add(message, row.id);
      devices++;
    }
  }
  const { fileNames, columns } = check;
  const unrecorded = journal === undefined
    ? await checkWithoutJournal(batch, fileNames, columns)
    : [];
  for (const { code, message } of [...check.end(), ...unrecorded]) add(`${code}: ${message}`);
  return { devices, columns: [...columns], skipped, wrong };
}

/** The devices of a batch that are verified. */
export async function* readDevices(batch: BatchFolder): AsyncGenerator<ExportDevice> {
  for await (const row of batch.rows()) {
    if (row.status !== "failed") yield await readDevice(batch, row);
  }
}

/** What the devices of a batch store as their CA, all of them the same, by the first that is verified. */
export async function storedCas(batch: BatchFolder): Promise<readonly Certificate[]> {
  for await (const { id, status } of batch.rows()) {
    const image = status === "failed" ? undefined : await batch.read(paths.image(id));
    if (image !== undefined) return (await checkImage(image, {})).credentials.caCerts;
  }
  return [];
}

async function readDevice(batch: BatchFolder, row: ManifestRow): Promise<ExportDevice> {
  const name = paths.certificate(row.id);
  const certificate = await batch.read(name);
  if (certificate !== undefined) return exportDevice(row, certificate);
  const path = joinPath(batch.path, name);
  throw fileError("ERR_FILE_NOT_FOUND", path, `Cannot read ${path}: no such file`);
}
