import { SecureCertError } from "../../bytes/errors.ts";
import type { ImageFormat } from "../../format/names.ts";
import { convert } from "../../toolkit/convert.ts";
import { imageReport, noteFindings } from "../images.ts";
import { hmacKeyOf } from "../inputs.ts";
import { outOf, tell, writeOut } from "../outputs.ts";
import { formatSize } from "../render/inspection.ts";
import type { Command } from "../run.ts";

/** Writes an image in another layout. */
export const convertCommand: Command = async (args, io) => {
  const to = args.need("to") as ImageFormat;
  const out = outOf(args, { secret: true, binary: true }, io);
  const size = args.number("size");
  const image = await io.read(args.positionals[0]!);
  const result = await convert(image, {
    to,
    fill: args.has("fill"),
    integrity: !args.has("no-integrity"),
    ...size === undefined ? {} : { size },
    ...await hmacKeyOf(args, io),
  });
  noteFindings(result.verdict, io);
  if (!result.verdict.ok && !args.has("no-verify")) {
    throw new SecureCertError("ERR_VERIFY", `Cannot convert image: it is judged bad as ${to}`);
  }
  await writeOut(out, { bytes: result.image, secret: true }, args, io);
  const text = `${result.from} to ${to}, ${formatSize(result.image.length)}: ${out}`;
  tell(out, { from: result.from, to, image: imageReport(result, out) }, text, args, io);
  return 0;
};
