import { equalBytes } from "../../bytes/pack.ts";
import { exportPrivateKey } from "../../crypto/keys/keys.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { buildFromCsv, type EfuseOutput, efuseOutput } from "../../toolkit/build.ts";
import type { EfuseKey } from "../../toolkit/plan/planner.ts";
import type { Arguments } from "../arguments.ts";
import { burnNotes, newKeyFile, planFile, planJson } from "../efuse_files.ts";
import { besidePath, type Io, type OutputFile } from "../io.ts";
import { csvLoad, readCsvFile } from "../csv_files.ts";
import { usageError } from "../errors.ts";
import { buildJudged, buildOptionsOf, imageReport } from "../images.ts";
import { dataOf, hasRawHmacKey, hmacKeyOf, passwordOf, readFlag } from "../inputs.ts";
import { NOT_WITH_CSV } from "../options_port.ts";
import { outOf, tell, writeOut } from "../outputs.ts";
import { formatSize } from "../render/inspection.ts";
import type { Command } from "../run.ts";

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
    makeHmacKeys: true,
    fill: fill === true,
    integrity: integrity !== false,
    verify: verify !== false,
    load: csvLoad(path, io),
    entries: data,
  };
  const text = await readCsvFile(path, io);
  const result = await buildJudged(() => buildFromCsv(text, options), io);
  const plans = chip === undefined
    ? []
    : await efusePlans(result.efuseKeys, chip, await givenKey(args, io), out);
  const files = plans.flatMap(({ files }) => files);
  await writeOut(out, { bytes: result.image, secret: true }, args, io, files);
  const restored = result.isRestored ? ", the very one that was extracted" : "";
  const wrote = files.map(({ path }) => `\nwrote ${path}`).join("");
  const line = `image of ${formatSize(result.image.length)}: ${out}${restored}${wrote}`;
  const json = {
    image: imageReport(result, out),
    ...files.length === 0 ? {} : { files: files.map(({ path }) => path) },
    efuse: plans.map(({ efuse }) => planJson(efuse)),
  };
  tell(out, json, line, args, io);
  for (const { efuse, planPath } of plans) io.note(burnNotes(efuse, planPath));
  return 0;
};

/** What must be burned for an eFuse key. */
interface FiledPlan {
  readonly efuse: EfuseOutput;
  readonly planPath: string;
  /** The plan, and the key where no file holds it as espefuse takes it. */
  readonly files: readonly OutputFile[];
}

/** The key of --hmac-key, and its file when that is raw. */
interface GivenKey {
  readonly hmacKey?: Uint8Array;
  readonly file?: string;
}

async function givenKey(args: Arguments, io: Io): Promise<GivenKey> {
  const key = await hmacKeyOf(args, io);
  return await hasRawHmacKey(args, io) ? { ...key, file: args.need("hmac-key") } : key;
}

/** What must be burned, a plan for each eFuse key. */
function efusePlans(
  keys: readonly EfuseKey[],
  chip: ChipName,
  given: GivenKey,
  out: string,
): Promise<FiledPlan[]> {
  return Promise.all(
    keys.map(async (key) => {
      const { keyMode, efuseKeyId, privateKey, hmacKey, file: named } = key;
      const suffix = keys.length === 1 ? "" : `_KEY${efuseKeyId}`;
      const isGiven = hmacKey && given.hmacKey && equalBytes(hmacKey, given.hmacKey);
      const there = named ?? (isGiven ? given.file : undefined);
      const made = hmacKey && besidePath(out, `hmac_key${suffix}.bin`);
      const ecdsaKey = besidePath(out, `ecdsa_key${suffix}.pem`);
      const keyFile = there ?? made ?? ecdsaKey;
      const efuse = efuseOutput(key, chip, keyFile);
      const planPath = besidePath(out, `efuse_plan${suffix}.json`);
      const keyFiles = keyMode === "ecdsa-peripheral" && privateKey !== undefined
        ? [{ path: ecdsaKey, bytes: await exportPrivateKey(privateKey), secret: true, keep: true }]
        : newKeyFile(efuse, there !== undefined, keyFile);
      return { efuse, planPath, files: [...keyFiles, planFile(efuse, planPath)] };
    }),
  );
}
