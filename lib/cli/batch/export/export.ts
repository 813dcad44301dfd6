import {
  type Exporter,
  type ExportService,
  storedCaNotes,
} from "../../../batch/export/exporter.ts";
import { EXPORT_SERVICES } from "../../../batch/export/services.ts";
import { MANIFEST, MANIFEST_CSV } from "../../../batch/files.ts";
import { SecureCertError } from "../../../bytes/errors.ts";
import { printableLine } from "../../../bytes/text.ts";
import { readCertificate } from "../../../crypto/x509/certificate.ts";
import type { Arguments } from "../../arguments.ts";
import { fileError, usageError } from "../../errors.ts";
import { type Io, joinPath } from "../../io.ts";
import { outputFolder, printResult } from "../../output/out.ts";
import { counted } from "../../terminal/progress_line.ts";
import { remedy, unfinished } from "../check/unfinished.ts";
import { type BatchFolder, openBatch } from "../folder/batch.ts";
import { type BatchJournal, withJournal } from "../journal/read.ts";
import { countOf, listOf } from "../report.ts";
import { checkForExport, readDevices, storedCas } from "./check.ts";
import { writeExport } from "./files.ts";

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
  const other = EXPORT_SERVICES.flatMap(flagsOf).find((flag) =>
    args.has(flag) && !own.includes(flag)
  );
  if (other === undefined) return;
  throw usageError(`--${other} does not go with --to ${service.name}`, other);
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
  const hint = `${remedy(journal.states)}, or give --partial for the devices that are done`;
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
