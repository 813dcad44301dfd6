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
  positionals: [{
    name: "IMAGE",
    help: "image, or dump of flash that holds one; - is stdin",
    repeats: true,
  }],
  flags: [
    { name: "to", value: "FORMAT", choices: FORMAT.choices, help: "layout wanted" },
    { ...HMAC_KEY, help: "opens an HMAC-encrypted private key" },
    ...WRITING_FLAGS,
    ...PLACE_FLAGS,
    { ...OUT_FILE, help: "where to write; - is stdout; a folder for several images" },
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
    const isOne = args.positionals.length === 1;
    const path = isOne ? outputPath(args, { secret: true, binary: true }, io) : "";
    const { convert } = await import("../../toolkit/convert.ts");
    const { imageReport, noteFindings } = await import("../output/images.ts");
    const { size, fill, integrity, verify } = buildOptionsOf(args, to);
    const hmacKey = (await readHmacKey(args, io))?.bytes;
    const options = { to, size, fill, integrity, hmacKey, verify, ...placeOf(args) };
    const make = async (file: string, out: string) => {
      const result = await convert(await readImageFile(file, args, io), options);
      noteFindings(result.verdict.findings, io);
      if (!result.verdict.ok && verify) {
        throw new SecureCertError("ERR_VERIFY", `Cannot convert image: it is bad as ${to}`);
      }
      const text = `${result.from} to ${to}, ${formatSize(result.image.length)}: ${out}`;
      const json = { from: result.from, to, image: imageReport(result, out) };
      return { image: result.image, json, text };
    };
    if (!isOne) {
      const { writeSeveral } = await import("../output/images.ts");
      return await writeSeveral(make, args, io);
    }
    const { image, json, text } = await make(args.positionals[0]!, path);
    await writeOutput(path, { bytes: image, secret: true }, args, io);
    printResult(path, json, text, args, io);
    return 0;
  },
};
