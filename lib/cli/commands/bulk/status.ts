import type { Command } from "../../command.ts";
import { BATCH_FOLDER, JSON_FLAG } from "../../flags.ts";

/** Says how far a batch is. */
export const command: Command = {
  positionals: [BATCH_FOLDER],
  flags: [JSON_FLAG],
  exit1: "the folder or its journal is missing, damaged or cannot be read",
  examples: [{ permissions: "--allow-read=batch", line: "bulk status batch" }],
  async run(args, io) {
    const { bulkStatus } = await import("../../batch/check/status.ts");
    return await bulkStatus(args, io);
  },
};
