import { SecureCertError } from "../../bytes/errors.ts";
import type { ImageFormat } from "../../format/names.ts";
import type { Command } from "../command.ts";
import {
  FORCE,
  FORMAT,
  HMAC_KEY,
  JSON_FLAG,
  OUT_FILE,
  PLACE_FLAGS,
  WRITING_FLAGS,
} from "../flags.ts";
import { buildOptionsOf, placeOf, readImageFile } from "../input/images.ts";
import { readHmacKey } from "../input/keys.ts";
import { outputPath, printResult, writeOutput } from "../output/out.ts";
import { formatSize } from "../render/text.ts";

/** Writes an image in another layout. */
export const command: Command = {
  positionals: [{ name: "IMAGE", help: "image, or dump of flash that holds one; - is stdin" }],
  flags: [
    { name: "to", value: "FORMAT", choices: FORMAT.choices, help: "layout wanted" },
    { ...HMAC_KEY, help: "opens an HMAC-encrypted private key" },
    ...WRITING_FLAGS,
    ...PLACE_FLAGS,
    OUT_FILE,
    FORCE,
    JSON_FLAG,
  ],
  exit1: "it failed, or the layout cannot carry all that the image holds",
  examples: [{
    permissions: "--allow-read=esp_secure_cert.bin --allow-write=nvs.bin",
    line: "convert esp_secure_cert.bin --to nvs -o nvs.bin",
  }],
  async run(args, io) {
    const to = args.need("to") as ImageFormat;
    const out = outputPath(args, { secret: true, binary: true }, io);
    const { convert } = await import("../../toolkit/convert.ts");
    const { imageReport, noteFindings } = await import("../output/images.ts");
    const { size, fill, integrity, verify } = buildOptionsOf(args);
    const hmacKey = (await readHmacKey(args, io))?.bytes;
    const image = await readImageFile(args.positionals[0]!, args, io);
    const options = { to, size, fill, integrity, hmacKey, verify, ...placeOf(args) };
    const result = await convert(image, options);
    noteFindings(result.verdict.findings, io);
    if (!result.verdict.ok && verify) {
      throw new SecureCertError("ERR_VERIFY", `Cannot convert image: it is bad as ${to}`);
    }
    await writeOutput(out, { bytes: result.image, secret: true }, args, io);
    const text = `${result.from} to ${to}, ${formatSize(result.image.length)}: ${out}`;
    const json = { from: result.from, to, image: imageReport(result, out) };
    printResult(out, json, text, args, io);
    return 0;
  },
};
