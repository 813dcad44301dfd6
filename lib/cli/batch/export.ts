import { SecureCertError } from "../../bytes/errors.ts";
import { type Certificate, readCertificate } from "../../crypto/x509/certificate.ts";
import { createDuplicateFinder } from "../../batch/check/device.ts";
import { exportAws } from "../../batch/export/aws.ts";
import { exportAzure } from "../../batch/export/azure.ts";
import { exportCsv } from "../../batch/export/csv.ts";
import {
  certificateProblems,
  type ExportDevice,
  exportDevice,
  type Exporter,
} from "../../batch/export/device.ts";
import { exportRainmaker } from "../../batch/export/rainmaker.ts";
import type { Arguments } from "../arguments.ts";
import { writeExport } from "./export_files.ts";
import { type BatchFolder, openBatch } from "./folder/batch.ts";
import {
  type BatchJournal,
  devicesIn,
  manifestJudge,
  remedy,
  unfinished,
  withJournal,
} from "./check/journal.ts";
import { collectColumns, judgeAlone } from "./folder/manifest.ts";
import { countOf, listOf } from "./check/report.ts";
import { fileError, usageError } from "../errors.ts";
import { type Io, joinPath } from "../io.ts";
import { outputFolder, printResult } from "../output/out.ts";
import { counted } from "../terminal/progress_line.ts";

type Service = "aws" | "azure" | "rainmaker" | "csv";

/** Lines of what is wrong that are shown. */
const LINES = 50;
const ONLY_FOR: Readonly<Record<string, readonly Service[]>> = {
  ca: ["aws", "azure"],
  policy: ["aws"],
  group: ["azure"],
};

/** Writes what a cloud service takes: checked device by device first, then written in parts. */
export async function bulkExport(args: Arguments, io: Io): Promise<number> {
  const to = args.need("to") as Service;
  const out = outputFolder(args);
  for (const [flag, services] of Object.entries(ONLY_FOR)) {
    if (args.has(flag) && !services.includes(to)) {
      throw usageError(`--${flag} does not go with --to ${to}`, flag);
    }
  }
  const batch = await openBatch(args.positionals[0]!);
  const target = await targetOf(to, args, io);
  const judged = await withJournal(batch.path, async (journal, [damage]) => {
    if (damage !== undefined) {
      throw fileError("ERR_IO", batch.path, `Cannot export: ${damage.message}`);
    }
    refuseUnfinished(batch, journal, args, io);
    return await judgeBatch(batch, journal, target, io);
  });
  const { devices, columns, skipped, wrong } = judged;
  if (wrong.size > 0) throw refused(to, wrong);
  if (devices === 0) {
    const { path } = batch;
    throw fileError("ERR_IO", path, `Cannot export: ${path} has no device that is verified`);
  }
  const { parts, notes = [] } = target.make(columns);
  const exported = counted(readDevices(batch), io, ["written", "devices"], devices);
  const files = await writeExport(out, parts(exported), args.has("force"), io);
  for (const note of notes) io.note(`note: ${note}`);
  if (skipped.length > 0) io.note(`left out, for they failed: ${listOf(skipped)}`);
  if (to === "aws" && !args.has("policy")) {
    io.note(
      "the template attaches no policy, so the things may do nothing; name one with --policy",
    );
  }
  const text = `${countOf(devices, "device")} for ${to}: ${files.join(", ")}`;
  printResult(out, { to, devices, skipped, files }, text, args, io);
  return 0;
}

/** Where a batch goes. */
interface Target {
  /** An exporter for further columns. */
  readonly make: (columns: readonly string[]) => Exporter;
  /** The CA that the service is told of. */
  readonly issuer?: Certificate;
}

/** The flags are checked before the first device is read. */
async function targetOf(to: Service, args: Arguments, io: Io): Promise<Target> {
  switch (to) {
    case "aws": {
      const [ca, policy] = [await io.read(args.need("ca")), args.get("policy")];
      const options = { ca, ...policy !== undefined && { policy } };
      const make = () => naming("policy", () => exportAws(options));
      return { make, issuer: readCertificate(ca) };
    }
    case "azure": {
      const [ca, group] = [await io.read(args.need("ca")), args.get("group")];
      const options = { ca, ...group !== undefined && { group } };
      const make = () => naming("group", () => exportAzure(options));
      return { make, issuer: readCertificate(ca) };
    }
    case "rainmaker":
      return { make: (columns) => exportRainmaker({ columns }) };
    case "csv":
      return { make: (columns) => exportCsv({ columns }) };
    default:
      return to satisfies never;
  }
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
  if (args.has("partial")) return io.note(`warning: left out, for they are not done: ${open}`);
  const hint = `${remedy(journal.states)}, or give --partial for the devices that are done`;
  throw fileError("ERR_IO", path, `Cannot export: ${path} is not done: ${open}`, hint);
}

interface Judged {
  readonly devices: number;
  readonly columns: readonly string[];
  /** Devices that failed. */
  readonly skipped: readonly string[];
  /** What is wrong, and with which devices. */
  readonly wrong: ReadonlyMap<string, readonly string[]>;
}

async function judgeBatch(
  batch: BatchFolder,
  journal: BatchJournal | undefined,
  { make, issuer }: Target,
  io: Io,
): Promise<Judged> {
  const { problemsOf } = make([]);
  const manifest = manifestJudge(batch.path, journal, true);
  const findDuplicates = createDuplicateFinder();
  const [ids, columns] = [new Set<string>(), new Set<string>()];
  const skipped: string[] = [];
  const wrong = new Map<string, string[]>();
  const add = (id: string, message: string) => {
    const ids = wrong.get(message) ?? [];
    wrong.set(message, ids);
    ids.push(id);
  };
  let devices = 0;
  const rows = counted(batch.rows(), io, ["checked", "devices"], devicesIn(journal));
  for await (const row of rows) {
    collectColumns(row, columns);
    ids.add(row.id);
    const foreign = [...findDuplicates(row), ...manifest.row(row)];
    for (const { code, message } of foreign) add(row.id, `${code}: ${message}`);
    if (row.status === "failed") skipped.push(row.id);
    else if (foreign.length === 0) {
      const device = await readDevice(batch, row);
      const problems = [...problemsOf(device), ...await certificateProblems(device, issuer)];
      for (const message of problems) add(row.id, message);
      devices++;
    }
  }
  const alone = journal === undefined ? await judgeAlone(batch, ids, columns) : [];
  for (const { code, message } of [...manifest.end(), ...alone]) add("", `${code}: ${message}`);
  return { devices, columns: [...columns], skipped, wrong };
}

/** A value that a flag may not have, said of the flag. */
function naming<T>(flag: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof RangeError) throw usageError(`--${flag}: ${error.message}`, flag);
    throw error;
  }
}

async function readDevice(
  batch: BatchFolder,
  row: ExportDevice["row"],
): Promise<ExportDevice> {
  const name = `certificates/${row.id}.pem`;
  const certificate = await batch.read(name);
  if (certificate !== undefined) return exportDevice(row, certificate);
  const path = joinPath(batch.path, name);
  throw fileError("ERR_FILE_NOT_FOUND", path, `Cannot read ${path}: no such file`);
}

async function* readDevices(batch: BatchFolder): AsyncGenerator<ExportDevice> {
  for await (const row of batch.rows()) {
    if (row.status !== "failed") yield await readDevice(batch, row);
  }
}

function refused(to: Service, wrong: ReadonlyMap<string, readonly string[]>): SecureCertError {
  const ids = new Set([...wrong.values()].flat().filter((id) => id !== ""));
  const lines = [...wrong].map(([message, ids]) =>
    `\n  ${ids[0] === "" ? "" : `${listOf(ids)}: `}${message}`
  );
  const shown = lines.slice(0, LINES);
  if (shown.length < lines.length) shown.push(`\n  and ${lines.length - shown.length} more`);
  const what = ids.size === 0
    ? "the batch is not whole"
    : `${countOf(ids.size, "device")} not fit for ${to}`;
  return new SecureCertError("ERR_PLAN", `Cannot export: ${what}${shown.join("")}`);
}
