import { inspect } from "../../toolkit/inspect.ts";
import { usageError } from "../errors.ts";
import { hmacKeyOf, noteTableOffset, tableOffsetOf } from "../inputs.ts";
import { renderInspection } from "../render/inspection.ts";
import type { Command } from "../run.ts";

/** Shows what an image holds, whatever it is. */
export const inspectCommand: Command = async (args, io) => {
  const offset = args.number("offset") ?? 0;
  const options = {
    ...tableOffsetOf(args),
    ...await hmacKeyOf(args, io),
    showSecrets: args.has("show-secrets"),
  };
  const whole = await io.read(args.positionals[0]!);
  if (offset > 0 && offset >= whole.length) {
    throw usageError(`--offset ${offset} is past the file's ${whole.length} bytes`, "offset");
  }
  const file = whole.subarray(offset);
  const report = await inspect(file, options);
  io.print(
    args.has("json") ? JSON.stringify(report, null, 2) : renderInspection(report, io.columns),
  );
  if (report.format !== "unknown") return 0;
  if (report.partitionTable === undefined) noteTableOffset(file, args, io);
  return 1;
};
