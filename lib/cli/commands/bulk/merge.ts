import type { Command } from "../../command.ts";
import { EXPECTED_DEVICES, FORCE, FORCE_KEY, JSON_FLAG, OUT_DIR } from "../../flags.ts";

/** Joins the folders of shards: checks all of them first, and writes nothing when one is wrong. */
export const command: Command = {
  positionals: [{ name: "DIR", help: "folder of a shard", repeats: true }],
  flags: [
    ...EXPECTED_DEVICES,
    { name: "keep-failed", help: "take failed devices over as such, instead of refusing" },
    { name: "copy", help: "copy the files; they are hard links where the disk can" },
    OUT_DIR,
    FORCE,
    FORCE_KEY,
    JSON_FLAG,
  ],
  exit1: "a device is missing, failed or there twice, or --out is in use; nothing is written then",
  examples: [{
    permissions: "--allow-read=batch,whole --allow-write=batch,whole",
    line: "bulk merge batch -o whole",
  }],
  async run(args, io) {
    const { bulkMerge } = await import("../../batch/merge/merge.ts");
    return await bulkMerge(args, io);
  },
};
