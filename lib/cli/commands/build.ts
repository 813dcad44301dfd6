import { build } from "../../provision/build.ts";
import { buildJudged, buildOptionsOf, imageReport } from "../images.ts";
import { dataOf, passwordOf, readFlag } from "../inputs.ts";
import { outOf, tell, writeOut } from "../outputs.ts";
import { formatSize } from "../render.ts";
import type { Command } from "../run.ts";

/** Builds an image from files, and writes it when it is judged good. */
export const buildCommand: Command = async (args, io) => {
  const out = outOf(args, { secret: true, binary: true }, io);
  const options = { ...buildOptionsOf(args), ...await readFlag("ca", "ca", args, io) };
  const plan = {
    ...await readFlag("device-cert", "deviceCert", args, io),
    ...await readFlag("ca-cert", "caCert", args, io),
    ...await readFlag("private-key", "privateKey", args, io),
    ...await passwordOf(args, io),
    data: await dataOf(args, io),
  };
  const result = await buildJudged(() => build(plan, options), io);
  await writeOut(out, { bytes: result.image, secret: true }, args, io);
  const text = `image of ${formatSize(result.image.length)}: ${out}`;
  tell(out, { image: imageReport(result, out) }, text, args, io);
  return 0;
};
