import { openBatch } from "../batch_folder.ts";
import { bold, green, red, yellow } from "../colors.ts";
import type { Command } from "../run.ts";

/** Says how far a batch is, from its manifest. */
export const bulkStatus: Command = async (args, io) => {
  const batch = await openBatch(args.positionals[0]!);
  const keyModes: Record<string, number> = {};
  const failed: string[] = [];
  let verified = 0;
  for await (const { id, status, keyMode } of batch.rows()) {
    if (status === "failed") {
      failed.push(id);
      continue;
    }
    verified++;
    keyModes[keyMode] = (keyModes[keyMode] ?? 0) + 1;
  }
  const devices = verified + failed.length;
  const packed = batch.archives.length > 0;
  if (args.has("json")) {
    const json = { folder: batch.path, devices, verified, failed, keyModes, packed };
    io.print(JSON.stringify(json, null, 2));
    return 0;
  }
  const modes = Object.entries(keyModes).map(([name, count]) => `${count} ${name}`);
  io.print([
    bold(`${batch.path}: ${devices} devices${packed ? ", packed" : ""}`),
    `  ${green("verified")}  ${verified}${modes.length === 0 ? "" : ` (${modes.join(", ")})`}`,
    ...failed.length === 0 ? [] : [`  ${red("failed")}    ${failed.length}`],
    ...failed.map((id) => `    ${yellow(id)}`),
  ].join("\n"));
  return 0;
};
