import { inspect } from "../../provision/inspect.ts";
import { readKeyBytes } from "../inputs.ts";
import { renderInspection } from "../render.ts";
import type { Command } from "../run.ts";

/** Shows what an image holds, whatever it is. */
export const inspectCommand: Command = async (args, io) => {
  const offset = args.number("offset") ?? 0;
  const file = await io.read(args.positionals[0]!);
  const report = await inspect(file.subarray(offset), {
    showSecrets: args.has("show-secrets"),
    ...await readKeyBytes("hmac-key", "hmacKey", args, io),
  });
  io.print(
    args.has("json") ? JSON.stringify(report, null, 2) : renderInspection(report, io.columns),
  );
  return report.format === "unknown" ? 1 : 0;
};
