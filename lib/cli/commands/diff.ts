import type { Command } from "../command.ts";
import { JSON_FLAG, OPENING_KEY, PLACE_FLAGS } from "../flags.ts";
import { placeOf } from "../input/images.ts";
import { readHmacKey } from "../input/keys.ts";
import { printJson } from "../output/out.ts";

/** Compares two images entry by entry: exit code 1 when they differ. */
export const command: Command = {
  positionals: [
    { name: "A", help: "image, dump of flash, or erased flash; - is stdin" },
    { name: "B", help: "the other one" },
  ],
  flags: [OPENING_KEY, ...PLACE_FLAGS, JSON_FLAG],
  exit1: "they differ, or one of them is not an image",
  examples: [{
    permissions: "--allow-read=esp_secure_cert.bin,dump.bin",
    line: "diff esp_secure_cert.bin dump.bin",
  }],
  async run(args, io) {
    const { diff } = await import("../../toolkit/diff.ts");
    const { renderDiff } = await import("../render/diff.ts");
    const [a, b] = args.positionals as [string, string];
    const result = await diff(await io.read(a), await io.read(b), {
      ...placeOf(args),
      hmacKey: (await readHmacKey(args, io))?.bytes,
    });
    if (args.has("json")) printJson(result, io);
    else io.print(renderDiff(result));
    return result.same ? 0 : 1;
  },
};
