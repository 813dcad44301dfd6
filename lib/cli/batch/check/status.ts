import { countOf } from "../../../bytes/errors.ts";
import { BULK_STATES } from "../../../batch/ports.ts";
import { printableLine, shownWord } from "../../../bytes/text.ts";
import type { Arguments } from "../../command.ts";
import { type CliError, fileError } from "../../errors.ts";
import { type Io, joinPath } from "../../io.ts";
import { printJson } from "../../output/out.ts";
import { bold, green, red, yellow } from "../../render/text.ts";
import { openBatch } from "../folder/batch.ts";
import { JOURNAL } from "../folder/folder.ts";
import { type BatchJournal, openJournal } from "../journal/read.ts";
import { listOf } from "../report.ts";
import { remedy } from "./manifest.ts";

const INSTEAD = "this is only what the manifest says; take the journal and its -wal from a backup";

/**
 * Says how far a batch is: from its journal, and its manifest. Where the journal cannot be read, it says
 * that, and what the manifest has.
 *
 * @returns The exit code, 1 for a journal that cannot be read.
 * @throws {CliError} `ERR_FILE_NOT_FOUND` for a folder without a journal.
 */
export async function bulkStatus(args: Arguments, io: Io): Promise<number> {
  const batch = await openBatch(args.positionals[0]!);
  const { journal, damage } = await openJournal(batch.path, true);
  if (journal === undefined && damage === undefined) throw noJournal(batch.path);
  journal?.close();
  const notes = damage === undefined ? [] : [`${damage}; ${INSTEAD}`];
  for (const note of notes) io.note(note);
  const code = damage === undefined ? 0 : 1;
  const counts = new Map<string, number>();
  const listed: { id: string; reason: string }[] = [];
  let verified = 0;
  for await (const { id, status, keyMode } of batch.rows()) {
    if (status === "failed") listed.push({ id, reason: "" });
    else {
      verified++;
      const name = shownWord(keyMode);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  const keyModes = Object.fromEntries(counts);
  const failed = journal?.failures ?? listed;
  const states = journal?.states ?? statesOf(verified, failed.length);
  const devices = Object.values(states).reduce((sum, count) => sum + count, 0);
  const done = damage === undefined && devices === states.verified + states.failed;
  if (args.has("json")) {
    printJson({ folder: batch.path, devices, done, states, failed, keyModes, notes }, io);
    return code;
  }
  const modes = listOf([...counts].map(([name, count]) => `${count} ${name}`));
  const lines = BULK_STATES.filter((state) => states[state] > 0).map((state) => {
    const paint = state === "verified" ? green : state === "failed" ? red : yellow;
    const note = state === "verified" && modes !== "" ? ` (${modes})` : "";
    return `  ${paint(state.padEnd(10))}${states[state]}${note}`;
  });
  io.print([
    bold(`${batch.path}: ${countOf(devices, "device")}`),
    ...lines,
    ...failed.map(({ id, reason }) =>
      `    ${yellow(printableLine(id))}${reason === "" ? "" : `: ${printableLine(reason)}`}`
    ),
    ...done || damage !== undefined ? [] : [`not done; ${remedy(states)}`],
  ].join("\n"));
  return code;
}

function noJournal(folder: string): CliError {
  const path = joinPath(folder, JOURNAL);
  const message = `Cannot read ${path}: no such file`;
  const hint = "a merged batch has none, and bulk verify checks it; otherwise it was lost";
  return fileError("ERR_FILE_NOT_FOUND", path, message, hint);
}

function statesOf(verified: number, failed: number): BatchJournal["states"] {
  return { pending: 0, "key made": 0, certified: 0, built: 0, verified, failed };
}
