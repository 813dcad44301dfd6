import {
  certificateProblems,
  type ExportDevice,
  exportDevice,
  type Exporter,
  type ExportPart,
  type ExportService,
  storedCaNotes,
} from "../../batch/export/exporter.ts";
import { EXPORT_SERVICES } from "../../batch/export/services.ts";
import { MANIFEST, MANIFEST_CSV, paths } from "../../batch/files.ts";
import type { ManifestRow } from "../../batch/manifest.ts";
import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { printableLine } from "../../bytes/text.ts";
import { type Certificate, readCertificate } from "../../crypto/x509/certificate.ts";
import { checkImage } from "../../verify/verify.ts";
import { type Arguments, refuseIdle } from "../command.ts";
import {
  type Found,
  identityOf,
  look,
  nameBeside,
  openMoves,
  removeFolders,
} from "../disk/paths.ts";
import { areKey, MOST_KEY_FILE } from "../disk/write.ts";
import { fileError, usageError } from "../errors.ts";
import { readPlainSync } from "../input/limited.ts";
import { explain, type Io, joinPath } from "../io.ts";
import { outputFolder, printResult } from "../output/out.ts";
import { counted } from "../terminal/progress_line.ts";
import { checkRows, checkWithoutJournal, devicesIn, remedy, unfinished } from "./check/manifest.ts";
import { type BatchFolder, openBatch } from "./folder/batch.ts";
import { type GrowingText, openGrowing } from "./folder/write.ts";
import { type BatchJournal, withJournal } from "./journal/read.ts";
import { listOf } from "./report.ts";
import { openSignal, STOPPING } from "./signal.ts";

/** Lines of what is wrong that are shown. */
const LINES = 50;

/** Writes what a cloud service takes: checked device by device first, then written in parts. */
export async function bulkExport(args: Arguments, io: Io): Promise<number> {
  const to = args.need("to");
  const service = EXPORT_SERVICES.find(({ name }) => name === to)!;
  const out = outputFolder(args);
  refuseOtherFlags(service, args);
  const batch = await openBatch(args.positionals[0]!);
  const ca = service.ca === "needed" || args.has("ca") ? await io.read(args.need("ca")) : undefined;
  const issuer = ca && readCertificate(ca);
  const exporterOf = (columns: readonly string[]) =>
    service.exporter({ ca, columns, settings: settingsOf(service, args) });
  const checked = await withJournal(batch.path, async (journal, [damage]) => {
    if (damage !== undefined) {
      throw fileError("ERR_IO", batch.path, `Cannot export: ${damage.message}`);
    }
    refuseUnfinished(batch, journal, args, io);
    return await checkForExport(batch, journal, exporterOf([]), issuer, io);
  });
  const { devices, columns, skipped, wrong } = checked;
  if (wrong.size > 0) throw refused(to, wrong);
  if (devices === 0) {
    const { path } = batch;
    throw fileError("ERR_IO", path, `Cannot export: ${path} has no device that is verified`);
  }
  const { parts, notes = [] }: Exporter = exporterOf(columns);
  const warnings = storedCaNotes(service, await storedCas(batch));
  const exported = counted(readDevices(batch), io, ["written", "devices"], devices);
  const inputs = [
    ...[MANIFEST, MANIFEST_CSV].map((name) => joinPath(batch.path, name)),
    ...args.all("ca"),
  ];
  const writing = { force: args.has("force"), inputs };
  const files = await writeExport(out, parts(exported), writing, io);
  for (const warning of warnings) io.note(`warning: ${warning}`);
  for (const note of notes) io.note(`note: ${note}`);
  if (skipped.length > 0) io.note(`left out, because they failed: ${listOf(skipped)}`);
  const text = `${countOf(devices, "device")} for ${to}: ${files.join(", ")}`;
  printResult(out, { to, devices, skipped, files, warnings, notes }, text, args, io);
  return 0;
}

/** Flags of other services, which would have no effect. */
function refuseOtherFlags(service: ExportService, args: Arguments): void {
  const flagsOf = ({ ca, settings }: ExportService) => [
    ...ca === "none" ? [] : ["ca"],
    ...settings.map(({ name }) => name),
  ];
  const own = flagsOf(service);
  const others = EXPORT_SERVICES.flatMap(flagsOf).filter((flag) => !own.includes(flag));
  refuseIdle(args, others, `does not go with --to ${service.name}`);
}

/** What the flags of a service say, checked before the first device is read. */
function settingsOf(
  { settings }: ExportService,
  args: Arguments,
): Record<string, string | undefined> {
  return Object.fromEntries(settings.map(({ name, problemOf }) => {
    const value = args.get(name);
    const problem = value === undefined ? undefined : problemOf(value);
    if (problem !== undefined) throw usageError(`--${name}: ${problem}`, name);
    return [name, value];
  }));
}

/** A part of a batch may be wanted before the rest is done, but never by mistake. */
function refuseUnfinished(
  { path }: BatchFolder,
  journal: BatchJournal | undefined,
  args: Arguments,
  io: Io,
): void {
  const open = journal === undefined ? "" : unfinished(journal);
  if (journal === undefined || open === "") return;
  if (args.has("partial")) return io.note(`warning: left out, because not done: ${open}`);
  const partly = journal.states.verified === 0
    ? ""
    : ", or give --partial for the devices that are done";
  const hint = remedy(journal.states) + partly;
  throw fileError("ERR_IO", path, `Cannot export: ${path} is not done: ${open}`, hint);
}

function refused(to: string, wrong: ReadonlyMap<string, readonly string[]>): SecureCertError {
  const ids = new Set([...wrong.values()].flat());
  const lines = [...wrong].map(([message, ids]) =>
    `\n  ${ids.length === 0 ? "" : `${listOf(ids)}: `}${printableLine(message)}`
  );
  const shown = lines.slice(0, LINES);
  if (shown.length < lines.length) shown.push(`\n  and ${lines.length - shown.length} more`);
  const what = ids.size === 0
    ? "the batch is incomplete"
    : `${countOf(ids.size, "device")} not fit for ${to}`;
  return new SecureCertError("ERR_PLAN", `Cannot export: ${what}${shown.join("")}`);
}

/** What a batch has for an export. */
interface CheckedBatch {
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
async function checkForExport(
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
async function* readDevices(batch: BatchFolder): AsyncGenerator<ExportDevice> {
  for await (const row of batch.rows()) {
    if (row.status !== "failed") yield await readDevice(batch, row);
  }
}

/** What the devices of a batch store as their CA, all of them the same, by the first that is verified. */
async function storedCas(batch: BatchFolder): Promise<readonly Certificate[]> {
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

/**
 * Writes the files of an export beside their places; they go there when all of them are whole. When
 * that fails, or Ctrl-C ends it, nothing is left.
 *
 * @param force Whether to replace files that are there, other than keys and what was read.
 * @returns Their paths.
 */
async function writeExport(
  folder: string,
  parts: AsyncIterable<ExportPart>,
  { force, inputs }: { readonly force: boolean; readonly inputs: readonly string[] },
  io: Io,
): Promise<string[]> {
  const read = new Set(await Promise.all(inputs.map(identityOf)));
  const made = await io.makeDir(folder);
  const stop = openSignal(io, STOPPING);
  const open = new Map<string, GrowingText>();
  const moves = openMoves();
  try {
    for await (const { file, text } of parts) {
      stop.signal.throwIfAborted();
      const growing = open.get(file) ?? await openNew(joinPath(folder, file), force, read);
      open.set(file, growing);
      await growing.add(text);
    }
    for (const growing of open.values()) await growing.end();
    for (const growing of open.values()) await growing.place(moves);
    moves.end();
    return [...open.values()].map(({ path }) => path);
  } catch (error) {
    moves.undo();
    for (const growing of open.values()) await growing.discard();
    removeFolders(made);
    if (stop.signal.aborted) throw fileError("ERR_IO", folder, `stopped; nothing is in ${folder}`);
    throw error;
  } finally {
    stop.close();
  }
}

async function openNew(
  path: string,
  force: boolean,
  read: ReadonlySet<string | undefined>,
): Promise<GrowingText> {
  const found = await look(path);
  if (found === undefined) return await openGrowing(path, nameBeside(path));
  if (read.has(found.identity)) {
    throw usageError(`${path} is an input of this command`, "out", "give another folder");
  }
  if (found.kind === "folder") throw explain("write", path, new Deno.errors.IsADirectory());
  if (found.kind === "link") {
    const message = `${path} is a symbolic link, and nothing is written through one`;
    throw fileError("ERR_FILE_EXISTS", path, message, "remove it");
  }
  if (!force) {
    throw fileError("ERR_FILE_EXISTS", path, `${path} exists`, "give --force to replace it");
  }
  if (found.kind === "file" && holdsKey(path, found)) {
    const message = `${path} exists and holds a key`;
    throw fileError("ERR_FILE_EXISTS", path, message, "write to another folder");
  }
  return await openGrowing(path, nameBeside(path));
}

/** Whether a file that may be read is a key. */
function holdsKey(path: string, { size, mayRead }: Found): boolean {
  return mayRead && size <= MOST_KEY_FILE && areKey(readPlainSync(path));
}
