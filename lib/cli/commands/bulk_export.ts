import { encodeUtf8 } from "../../bytes/text.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import { exportAws } from "../../provision/export_aws.ts";
import { exportAzure } from "../../provision/export_azure.ts";
import { exportCsv } from "../../provision/export_csv.ts";
import {
  type ExportDevice,
  exportDevice,
  type Exporter,
  type ExportPart,
} from "../../provision/export_device.ts";
import { exportRainmaker } from "../../provision/export_rainmaker.ts";
import type { Arguments } from "../arguments.ts";
import { type BatchFolder, openBatch } from "../batch_folder.ts";
import { exists } from "../batch_read.ts";
import { collectColumns, writeFully } from "../batch_manifest.ts";
import { fileError, isCliError, usageError } from "../errors.ts";
import { explain, type Io, joinPath } from "../io.ts";
import { folderOf, tell } from "../outputs.ts";
import type { Command } from "../run.ts";

type Service = "aws" | "azure" | "rainmaker" | "csv";

const ONLY_FOR: Readonly<Record<string, readonly Service[]>> = {
  ca: ["aws", "azure"],
  policy: ["aws"],
  group: ["azure"],
};
const PART = 1 << 16;

/** Writes what a cloud service takes: checked device by device first, then written in parts. */
export const bulkExport: Command = async (args, io) => {
  const to = args.need("to") as Service;
  const out = folderOf(args);
  for (const [flag, services] of Object.entries(ONLY_FOR)) {
    if (args.has(flag) && !services.includes(to)) {
      throw usageError(`--${flag} does not go with --to ${to}`, flag);
    }
  }
  const batch = await openBatch(args.positionals[0]!);
  const columns = new Set<string>();
  const wrong: string[] = [];
  const skipped: string[] = [];
  let devices = 0;
  const make = await exporterOf(to, args, io);
  const { problemsOf } = make([]);
  for await (const row of batch.rows()) {
    collectColumns(row, columns);
    if (row.status !== "failed") {
      const problems = problemsOf(await readDevice(batch, row));
      wrong.push(...problems.map((problem) => `${row.id}: ${problem}`));
      devices++;
    } else skipped.push(row.id);
  }
  if (wrong.length > 0) throw refused(to, wrong);
  await io.makeDir(out);
  const files = await writeFiles(out, make([...columns]).parts(readDevices(batch)), args);
  if (skipped.length > 0) io.note(`left out, for they failed: ${skipped.join(", ")}`);
  if (to === "aws" && !args.has("policy")) {
    io.note(
      "the template attaches no policy, so the things may do nothing; name one with --policy",
    );
  }
  const text = `${devices} devices for ${to}: ${files.join(", ")}`;
  tell(out, { to, devices, skipped, files }, text, args, io);
  return 0;
};

/** An exporter for further columns; the flags are checked before the first device is read. */
async function exporterOf(
  to: Service,
  args: Arguments,
  io: Io,
): Promise<(columns: readonly string[]) => Exporter> {
  const policy = args.get("policy");
  const group = args.get("group");
  switch (to) {
    case "aws": {
      const options = { ca: await io.read(args.need("ca")), ...policy && { policy } };
      return () => exportAws(options);
    }
    case "azure": {
      const options = { ca: await io.read(args.need("ca")), ...group && { group } };
      return () => naming("group", () => exportAzure(options));
    }
    case "rainmaker":
      return (columns) => exportRainmaker({ columns });
    case "csv":
      return (columns) => exportCsv({ columns });
    default:
      return to satisfies never;
  }
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

/** Writes the files beside their places; they are renamed when all of them are whole. */
async function writeFiles(
  folder: string,
  parts: AsyncIterable<ExportPart>,
  args: Arguments,
): Promise<string[]> {
  const open = new Map<string, { readonly file: Deno.FsFile; waiting: string }>();
  let path = folder;
  try {
    for await (const { file, text } of parts) {
      path = joinPath(folder, file);
      if (!open.has(path)) open.set(path, { file: await openNew(path, args), waiting: "" });
      const target = open.get(path)!;
      target.waiting += text;
      if (target.waiting.length < PART) continue;
      await writeFully(target.file, encodeUtf8(target.waiting));
      target.waiting = "";
    }
    for (const { file, waiting } of open.values()) await writeFully(file, encodeUtf8(waiting));
    for (const name of open.keys()) await Deno.rename(`${name}.tmp`, name);
    return [...open.keys()];
  } catch (error) {
    for (const name of open.keys()) await Deno.remove(`${name}.tmp`).catch(() => {});
    throw isCliError(error) || error instanceof SecureCertError
      ? error
      : explain("write", path, error);
  } finally {
    for (const { file } of open.values()) file.close();
  }
}

async function openNew(path: string, args: Arguments): Promise<Deno.FsFile> {
  if (!args.has("force") && await exists(path)) {
    throw fileError("ERR_FILE_EXISTS", path, `${path} exists`, "give --force to replace it");
  }
  return await Deno.open(`${path}.tmp`, { write: true, create: true, truncate: true });
}

function refused(to: Service, wrong: readonly string[]): SecureCertError {
  const list = wrong.map((line) => `\n  ${line}`).join("");
  return new SecureCertError(
    "ERR_PLAN",
    `Cannot export: ${to} would refuse ${wrong.length} devices${list}`,
  );
}
