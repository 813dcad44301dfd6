import { TLV_TYPES } from "../../format/names.ts";
import { append } from "../../toolkit/append.ts";
import type { DataEntry } from "../../toolkit/plan/credentials.ts";
import { usageError } from "../errors.ts";
import { buildJudged, imageReport } from "../images.ts";
import { dataOf, passwordOf } from "../inputs.ts";
import { outOf, tell, writeOut } from "../outputs.ts";
import { formatSize } from "../render/inspection.ts";
import type { Command } from "../run.ts";

/** Adds entries to an image, or puts others in their place, and writes it when it is no worse. */
export const appendCommand: Command = async (args, io) => {
  const what = ["data", "replace", "integrity", "drop-signatures"];
  if (!what.some((name) => args.has(name))) {
    throw usageError(`append needs ${what.map((name) => `--${name}`).join(" or ")}`, "data");
  }
  const out = outOf(args, { secret: true, binary: true }, io);
  const image = await io.read(args.positionals[0]!);
  const entries = await dataOf(args, io);
  const replace = await dataOf(args, io, "replace");
  const size = args.number("size");
  const options = {
    entries,
    replace,
    ...await passwordOf(args, io, [...entries, ...replace].find(isKey)?.data),
    integrity: args.has("integrity"),
    dropSignatures: args.has("drop-signatures"),
    verify: !args.has("no-verify"),
    ...size === undefined ? {} : { size },
  };
  const result = await buildJudged(() => append(image, options), io);
  await writeOut(out, { bytes: result.image, secret: true }, args, io);
  const text = `image of ${formatSize(result.image.length)}: ${out}`;
  tell(out, { image: imageReport(result, out) }, text, args, io);
  return 0;
};

function isKey({ type }: DataEntry): boolean {
  return type === TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV;
}
