import type { Command } from "../../command.ts";
import { BATCH_FOLDER, FORCE, ISSUED_BY, JSON_FLAG, OUT_DIR } from "../../flags.ts";

/** Writes what a cloud service takes: checked device by device first, then written in parts. */
export const command: Command = {
  positionals: [BATCH_FOLDER],
  flags: [
    {
      name: "to",
      value: "SERVICE",
      choices: ["aws", "azure", "rainmaker", "csv"],
      help: "AWS IoT, Azure DPS, ESP RainMaker, or plain CSV",
    },
    { ...ISSUED_BY, help: "aws, azure: CA that issued the device certificates" },
    { name: "policy", value: "NAME", help: "aws: policy to attach to every certificate" },
    {
      name: "group",
      value: "NAME",
      help: "azure: name of the enrolment group",
      default: "devices",
    },
    { name: "partial", help: "export what is done of a batch that is not" },
    OUT_DIR,
    FORCE,
    JSON_FLAG,
  ],
  exit1: "it failed, the batch is not done, or a device is not fit for it; nothing is written then",
  examples: [{
    permissions: "--allow-read=batch,ca,aws --allow-write=aws",
    line: "bulk export batch --to aws --ca ca/ca.pem -o aws",
  }],
  async run(args, io) {
    const { bulkExport } = await import("../../batch/export.ts");
    return await bulkExport(args, io);
  },
};
