import { EXPORT_SERVICES } from "../../batch/export/services.ts";
import type { Command, Flag } from "../command.ts";
import { BATCH_FOLDER, FORCE, ISSUED_BY, JSON_FLAG, OUT_DIR } from "../flags.ts";

const TITLES = EXPORT_SERVICES.map(({ title }) => title);
const WITH_CA = EXPORT_SERVICES.filter(({ ca }) => ca !== "none").map(({ name }) => name);
const SETTINGS = EXPORT_SERVICES.flatMap((service) =>
  service.settings.map(({ name, value, help, default: standard }): Flag => ({
    name,
    value,
    help: `${service.name}: ${help}`,
    default: standard,
  }))
);

/** Writes what a cloud service takes: checked device by device first, then written in parts. */
export const command: Command = {
  positionals: [BATCH_FOLDER],
  flags: [
    {
      name: "to",
      value: "SERVICE",
      choices: EXPORT_SERVICES.map(({ name }) => name),
      help: `${TITLES.slice(0, -1).join(", ")}, or ${TITLES.at(-1)}`,
    },
    { ...ISSUED_BY, help: `${WITH_CA.join(", ")}: CA that issued the device certificates` },
    ...SETTINGS,
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
    const { bulkExport } = await import("../batch/export.ts");
    return await bulkExport(args, io);
  },
};
