import { equalBytes } from "../../bytes/pack.ts";
import { decodeKeyParts } from "../../crypto/keys/encoding.ts";
import { exportPrivateKey } from "../../crypto/keys/keys.ts";
import { efuseOutput } from "../../toolkit/build.ts";
import type { EfuseKey } from "../../toolkit/plan/planner.ts";
import type { ConfigureArguments } from "./arguments.ts";
import { CliError } from "../errors.ts";
import { type Io, joinPath } from "../io.ts";
import { formatWords } from "./flash.ts";
import { DATA_FOLDER } from "./paths.ts";

/**
 * Keeps the keys that are to be burned in files of their own.
 *
 * @returns How to burn them: lines to be printed when the image is written.
 */
export async function keepEfuseKeys(
  keys: readonly EfuseKey[],
  given: ConfigureArguments,
  io: Io,
): Promise<string[]> {
  const lines: string[] = [];
  for (const key of keys) {
    const file = await keepKey(key, io);
    lines.push(`Burn KEY${key.efuseKeyId} before the device needs its key:`);
    lines.push(`  ${burnLine(key, file, given)}`);
  }
  if (keys.length > 0) {
    io.note("note: nothing is burned by this command, and no eFuse is read");
    if (given.keepDsData) io.note("note: new eFuse keys are kept with or without that flag");
  }
  return lines;
}

async function keepKey(key: EfuseKey, io: Io): Promise<string> {
  if (key.privateKey !== undefined) {
    const parts = decodeKeyParts(key.privateKey.pkcs8);
    if (parts.type === "ec") await keep("ecdsa_key", "bin", parts.scalar, io);
    return await keep("ecdsa_key", "pem", await exportPrivateKey(key.privateKey), io);
  }
  if (key.file !== undefined) return key.file;
  const path = await keep("hmac_key", "bin", key.hmacKey!, io);
  const what = key.isNew ? `a new HMAC key for KEY${key.efuseKeyId} is` : "the raw HMAC key is";
  io.note(`note: ${what} in ${path}: keep it until it is burned`);
  return path;
}

/** Writes a key under a free name, unless a file of these names holds this very key already. */
async function keep(stem: string, ending: string, bytes: Uint8Array, io: Io): Promise<string> {
  for (let count = 1;; count++) {
    const path = joinPath(DATA_FOLDER, `${stem}${count === 1 ? "" : `_${count}`}.${ending}`);
    const there = await io.readIfExists(path);
    if (there !== undefined && equalBytes(there, bytes)) return path;
    if (there !== undefined) continue;
    try {
      await io.write([{ path, bytes, secret: true, keep: true }], false, { makeFolders: true });
      return path;
    } catch (error) {
      if (!(error instanceof CliError) || error.code !== "ERR_FILE_EXISTS") throw error;
    }
  }
}

function burnLine(key: EfuseKey, keyFile: string, { chip, port }: ConfigureArguments): string {
  const words = efuseOutput(key, chip, keyFile).plan.command;
  const [block, file, purpose] = words.slice(-3) as [string, string, string];
  const line = ["--chip", chip, "-p", port ?? "<PORT>", "burn_key", block, file, purpose];
  return `espefuse.py ${formatWords(line)}`;
}
