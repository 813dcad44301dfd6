import type { Curve } from "../../format/chip.ts";
import type { ChipName } from "../../format/chips.ts";
import { planEfuse } from "../../format/efuse.ts";
import type { EfuseKey } from "../../provision/entry_source.ts";
import { efuseFacts, type EfuseOutput } from "../../provision/plan_key.ts";
import { buildFromCsv } from "../../provision/build_csv.ts";
import type { Arguments } from "../arguments.ts";
import { burnNotes, planFile, planJson } from "../efuse_files.ts";
import { besidePath, type OutputFile } from "../io.ts";
import { csvLoad, readCsvFile } from "../csv_files.ts";
import { usageError } from "../errors.ts";
import { buildJudged, buildOptionsOf, imageReport } from "../images.ts";
import { dataOf, hmacKeyOf, passwordOf, readFlag } from "../inputs.ts";
import { NOT_WITH_CSV } from "../options_port.ts";
import { outOf, tell, writeOut } from "../outputs.ts";
import { formatSize } from "../render.ts";
import type { Command } from "../run.ts";
import { TLV_TYPES } from "../../format/names.ts";

/** Builds an image from a configuration CSV. */
export const buildCsvCommand: Command = async (args, io) => {
  const clash = NOT_WITH_CSV.find((name) => args.has(name));
  if (clash !== undefined) throw usageError(`--${clash} does not go with --csv`, clash);
  const out = outOf(args, { secret: true, binary: true }, io);
  const path = args.need("csv");
  const { format, size, fill, integrity, verify } = buildOptionsOf(args);
  const chip = args.get("chip") as ChipName | undefined;
  const data = await dataOf(args, io);
  const options = {
    ...await readFlag("ca", "ca", args, io),
    ...await passwordOf(args, io),
    ...await hmacKeyOf(args, io),
    ...chip && { chip },
    ...format && { format },
    ...size === undefined ? {} : { size },
    ...io.random && { random: io.random },
    fill: fill === true,
    integrity: integrity !== false,
    verify: verify !== false,
    load: csvLoad(path, io),
    sources: data.map(({ type, subtype = 0, data }) => ({
      type: typeof type === "number" ? type : TLV_TYPES[type],
      subtype,
      data,
    })),
  };
  const text = await readCsvFile(path, io);
  const result = await buildJudged(() => buildFromCsv(text, options), io);
  const plans = chip === undefined ? [] : efusePlans(result.efuseKeys, chip, args, out);
  const files = plans.map(({ file }) => file);
  await writeOut(out, { bytes: result.image, secret: true }, args, io, files);
  const restored = result.isRestored ? ", the very one that was extracted" : "";
  const line = `image of ${formatSize(result.image.length)}: ${out}${restored}`;
  tell(
    out,
    { image: imageReport(result, out), efuse: plans.map(({ efuse }) => planJson(efuse)) },
    line,
    args,
    io,
  );
  for (const { efuse, file } of plans) io.note(burnNotes(efuse, file.path));
  return 0;
};

interface FiledPlan {
  readonly efuse: EfuseOutput;
  readonly file: OutputFile;
}

/** What must be burned, a file for each eFuse key. */
function efusePlans(
  keys: readonly EfuseKey[],
  chip: ChipName,
  args: Arguments,
  out: string,
): FiledPlan[] {
  return keys.map(({ keyMode, efuseId: keyId, privateKey, hmacKey, file }) => {
    const curve = privateKey?.curve as Curve | undefined;
    const keyFile = file ?? args.get("hmac-key") ?? "KEY_FILE";
    const plan = planEfuse({ keyMode, keyId, keyFile, ...curve && { curve } }, efuseFacts(chip));
    const efuse: EfuseOutput = { plan, ...hmacKey && { hmacKey: new Uint8Array(hmacKey) } };
    const name = keys.length === 1 ? "efuse_plan.json" : `efuse_plan_KEY${keyId}.json`;
    return { efuse, file: planFile(efuse, besidePath(out, name)) };
  });
}
