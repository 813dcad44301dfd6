import { isPem } from "../../bytes/pem.ts";
import { decodeUtf8 } from "../../bytes/text.ts";
import { exportPrivateKey, importPrivateKey, isProtectedKey } from "../../crypto/keys/keys.ts";
import { build, type BuildResult } from "../../toolkit/build.ts";
import type { Arguments } from "../arguments.ts";
import { burnNotes, newKeyFile, planFile, planJson, publicKeyFile } from "../efuse_files.ts";
import { buildJudged, buildOptionsOf, imageReport } from "../images.ts";
import { dataOf, hasRawHmacKey, keyPlanOf, readFlag, readKeyBytes } from "../inputs.ts";
import { besidePath, type Io, type OutputFile } from "../io.ts";
import { outOf, tell, writeOut } from "../outputs.ts";
import { formatSize } from "../render/inspection.ts";
import type { Command } from "../run.ts";
import { buildCsvCommand } from "./build_csv.ts";

const NEW_KEY = "hmac_key.bin";
const ECDSA_KEY = "ecdsa_key.pem";

/** Builds an image from files, and writes it when it is judged good. */
export const buildCommand: Command = async (args, io) => {
  if (args.has("csv")) return await buildCsvCommand(args, io);
  const out = outOf(args, { secret: true, binary: true }, io);
  const isRaw = await hasRawHmacKey(args, io);
  const options = { ...buildOptionsOf(args), ...await readFlag("ca", "ca", args, io) };
  const privateKey = await readFlag("private-key", "privateKey", args, io);
  const plan = {
    ...await readFlag("device-cert", "deviceCert", args, io),
    ...await readFlag("ca-cert", "caCert", args, io),
    ...await readKeyBytes("salt", "salt", args, io),
    ...await keyPlanOf(args, io, privateKey.privateKey, args.get("private-key")),
    ...privateKey,
    data: await dataOf(args, io),
    efuseKeyFile: keyFileOf(privateKey.privateKey, args, out, isRaw),
  };
  const result = await buildJudged(() => build(plan, options), io);
  const files = [
    ...await peripheralKeyFile(plan, args, out),
    ...efuseFiles(result, isRaw, args, out),
  ];
  await writeOut(out, { bytes: result.image, secret: true }, args, io, files);
  report(result, files, out, args, io);
  return 0;
};

function report(
  result: BuildResult,
  files: readonly OutputFile[],
  out: string,
  args: Arguments,
  io: Io,
): void {
  const { efuse } = result;
  const paths = files.map(({ path }) => path);
  const wrote = paths.map((path) => `\nwrote ${path}`).join("");
  const text = `image of ${formatSize(result.image.length)}: ${out}${wrote}`;
  const json = { image: imageReport(result, out), ...paths.length === 0 ? {} : { files: paths } };
  tell(out, efuse === undefined ? json : { ...json, efuse: planJson(efuse) }, text, args, io);
  if (efuse !== undefined) io.note(burnNotes(efuse, besidePath(out, "efuse_plan.json")));
}

/** What stands beside the image: the eFuse plan, a new HMAC key, the public half of a derived key. */
function efuseFiles(
  result: BuildResult,
  isRaw: boolean,
  args: Arguments,
  out: string,
): OutputFile[] {
  const { efuse } = result;
  if (efuse === undefined) return [];
  const isNewKey = args.get("key-mode") === "hmac-derived" && !args.has("device-cert");
  return [
    ...newKeyFile(efuse, isRaw, besidePath(out, NEW_KEY)),
    planFile(efuse, besidePath(out, "efuse_plan.json")),
    ...isNewKey ? publicKeyFile(result, besidePath(out, "device.pub.pem")) : [],
  ];
}

/** The file that the plan's command burns: the one given when it is raw, else one that is written. */
function keyFileOf(
  key: Uint8Array | undefined,
  args: Arguments,
  out: string,
  isRaw: boolean,
): string {
  if (args.get("key-mode") === "ecdsa-peripheral") {
    const isReady = key === undefined || isPlainPem(key);
    return isReady ? args.get("private-key") ?? "device.key.pem" : besidePath(out, ECDSA_KEY);
  }
  return isRaw ? args.need("hmac-key") : besidePath(out, NEW_KEY);
}

/** espefuse reads a PEM file without a password; another key is written as one, for the plan's command. */
async function peripheralKeyFile(
  { privateKey, password }: { readonly privateKey?: Uint8Array; readonly password?: string },
  args: Arguments,
  out: string,
): Promise<OutputFile[]> {
  const isNeeded = args.get("key-mode") === "ecdsa-peripheral";
  if (!isNeeded || privateKey === undefined || isPlainPem(privateKey)) return [];
  const key = await importPrivateKey(privateKey, password === undefined ? {} : { password });
  const bytes = await exportPrivateKey(key);
  return [{ path: besidePath(out, ECDSA_KEY), bytes, secret: true, keep: true }];
}

function isPlainPem(key: Uint8Array): boolean {
  return isPem(decodeUtf8(key) ?? "") && !isProtectedKey(key);
}
