import { inspect } from "../../provision/inspect.ts";
import { noteTableOffset, readKeyBytes, tableOffsetOf } from "../inputs.ts";
import { renderInspection } from "../render.ts";
import type { Command } from "../run.ts";

/** Shows what an image holds, whatever it is. */
export const inspectCommand: Command = async (args, io) => {
  const offset = args.number("offset") ?? 0;
  const options = {
    ...tableOffsetOf(args),
    ...await readKeyBytes("hmac-key", "hmacKey", args, io),
    showSecrets: args.has("show-secrets"),
  };
  const file = (await io.read(args.positionals[0]!)).subarray(offset);
  const report = await inspect(file, options);
  io.print(
    args.has("json") ? JSON.stringify(report, null, 2) : renderInspection(report, io.columns),
  );
  if (report.format !== "unknown") return 0;
  if (report.partitionTable === undefined) noteTableOffset(file, args, io);
  return 1;
};
