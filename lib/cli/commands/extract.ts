import type { Command } from "../command.ts";
import { FORCE, FORCE_KEY, JSON_FLAG, OUT_DIR, PLACE_FLAGS } from "../flags.ts";
import { placeOf, readImageFile } from "../input/images.ts";
import { type Io, joinPath } from "../io.ts";
import { forceOf, outputFolder, printResult } from "../output/out.ts";
import { countOf } from "../render/text.ts";

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
    const files = extracted.map(({ name, bytes, secret }) => ({
      path: joinPath(out, name),
      bytes,
      secret,
    }));
    const paths = files.map(({ path }) => path);
    await io.write(files, forceOf(args), { makeFolders: true });
    const { refused = [] } = extracted[0]!;
    noteRefused(paths[0]!, refused, io);
    const { rebuildLine } = await import("../render/next_steps.ts");
    const line = rebuildLine(paths[0]!, refused.length > 0);
    const text = `extracted ${countOf(files.length, "file")}; build it again with: ${line}`;
    printResult(out, { csv: paths[0], files: paths }, text, args, io);
    return 0;
  },
};

/** That the CSV will not be built as it is, and why. */
function noteRefused(
  csv: string,
  refused: readonly { message: string; line?: number; column?: number }[],
  io: Io,
): void {
  if (refused.length === 0) return;
  const list = refused.map(({ line, column, message }) => `  line ${line}:${column}: ${message}`);
  io.note(
    [`warning: build --csv refuses ${csv}, unless --no-verify is given:`, ...list].join("\n"),
  );
}
