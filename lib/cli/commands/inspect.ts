import type { Inspection } from "../../toolkit/inspect.ts";
import { type Command, refuseIdle } from "../command.ts";
import { CHIP, FLASH_KEY_FLAGS, HMAC_KEY, JSON_FLAG, PLACE_FLAGS } from "../flags.ts";
import { flashReader } from "../input/flash.ts";
import { imageFilesOf, noteUnfound, placeOf } from "../input/images.ts";
import { chipOf, readHmacKey } from "../input/keys.ts";
import { printJson } from "../output/out.ts";

/** Shows what an image or another file holds. */
export const command: Command = {
  positionals: [{
    name: "IMAGE",
    repeats: true,
    help:
      "images or folders of them: image, dump of flash (raw, Intel HEX or UF2), partition table,\ncertificate, key or signing request; - is stdin",
  }],
  flags: [
    HMAC_KEY,
    ...PLACE_FLAGS,
    CHIP,
    ...FLASH_KEY_FLAGS,
    { name: "show-secrets", help: "print private keys too" },
    JSON_FLAG,
  ],
  exit1: "the file cannot be read, is not an image, or is a partition table that ESP-IDF refuses",
  examples: [{
    permissions: "--allow-read=esp_secure_cert.bin",
    line: "inspect esp_secure_cert.bin",
  }, {
    permissions: "--allow-read=dumps",
    line: "inspect dumps --json",
  }],
  async run(args, io) {
    const read = flashReader(args, io);
    const files = await imageFilesOf(args, io);
    const options = {
      tableOffset: placeOf(args).tableOffset,
      chip: chipOf(args),
      hmacKey: (await readHmacKey(args, io))?.bytes,
      showSecrets: args.has("show-secrets"),
    };
    if (files !== undefined) {
      if (!args.has("json")) refuseIdle(args, ["show-secrets"], "is for one image, or --json");
      const { reportMany } = await import("../many/many.ts");
      return await reportMany({ files, read, task: { kind: "inspect", ...options } }, args, io);
    }
    const { inspect } = await import("../../toolkit/inspect.ts");
    const { renderInspection } = await import("../render/inspection.ts");
    const { bytes: file, offset, encoding } = await read(args.positionals[0]!);
    const found = await inspect(file, { ...options, offset });
    const report = { ...found, encoding: encoding ?? found.encoding };
    if (args.has("json")) printJson(report, io);
    else io.print(renderInspection(report, io.columns));
    if (report.format === "partition_table") return isRefused(report) ? 1 : 0;
    if (report.format !== "unknown") return 0;
    if (report.partitionTable === undefined) await noteUnfound(file, args, io);
    return 1;
  },
};

/** A table that ESP-IDF's tool, which makes tables, does not take. */
function isRefused({ partitionTable }: Inspection): boolean {
  return partitionTable?.findings.some(({ severity }) => severity === "error") ?? false;
}
