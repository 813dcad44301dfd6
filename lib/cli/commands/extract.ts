import type { Command } from "../command.ts";
import { FORCE, FORCE_KEY, JSON_FLAG, OUT_DIR, PLACE_FLAGS } from "../flags.ts";
import { placeOf, readImageFile } from "../input/images.ts";
import { joinPath } from "../io.ts";
import { forceOf, outputFolder, printResult } from "../output/out.ts";

/** Takes an image apart into a folder, with a CSV that builds the same image again. */
export const command: Command = {
  positionals: [{ name: "IMAGE", help: "image, or dump of flash that holds one; - is stdin" }],
  flags: [...PLACE_FLAGS, OUT_DIR, FORCE, FORCE_KEY, JSON_FLAG],
  exit1: "it failed, or a checksum in the image is wrong",
  examples: [{
    permissions: "--allow-read=esp_secure_cert.bin,extracted --allow-write=extracted",
    line: "extract esp_secure_cert.bin -o extracted",
  }],
  async run(args, io) {
    const out = outputFolder(args);
    const { extract } = await import("../../toolkit/extract.ts");
    const extracted = await extract(
      await readImageFile(args.positionals[0]!, args, io),
      placeOf(args),
    );
    const files = extracted.map(({ name, ...file }) => ({ ...file, path: joinPath(out, name) }));
    const paths = files.map(({ path }) => path);
    await io.write(files, forceOf(args), { makeFolders: true });
    const text = `extracted ${files.length} files; build it again with: build --csv ${paths[0]}`;
    printResult(out, { csv: paths[0], files: paths }, text, args, io);
    return 0;
  },
};
