import { equalBytes } from "../../bytes/pack.ts";
import { decodeKeyParts } from "../../crypto/keys/encoding.ts";
import type { PrivateKey } from "../../crypto/keys/keys.ts";
import { efuseOutput } from "../../toolkit/build.ts";
import type { EfuseKey } from "../../toolkit/plan/planner.ts";
import type { ConfigureArguments } from "./arguments.ts";
import { CliError } from "../errors.ts";
import { type Io, joinPath } from "../io.ts";
import type { Burn } from "../render/next_steps.ts";
import { DATA_FOLDER } from "./paths.ts";

/**
 * Keeps the keys that are to be burned in files of their own.
 *
 * @returns How to burn them.
 */
export async function keepEfuseKeys(
  keys: readonly EfuseKey[],
  given: ConfigureArguments,
  io: Io,
): Promise<readonly Burn[]> {
  const burns: Burn[] = [];
  for (const key of keys) {
    const file = await keepKey(key, given, io);
    burns.push({ efuse: efuseOutput(key, given.chip, file) });
  }
  if (keys.length > 0) {
    io.note("note: nothing is burned by this command, and no eFuse is read");
    if (given.keepDsData) io.note("note: new eFuse keys are kept with or without that flag");
  }
  return burns;
}

/** Gives the path of the key file that the burn command is made from. */
async function keepKey(key: EfuseKey, given: ConfigureArguments, io: Io): Promise<string> {
  if (key.privateKey !== undefined) return await keepPrivateKey(key, key.privateKey, given, io);
  if (key.file !== undefined) return key.file;
  const path = await keep("hmac_key.bin", (path) => [{ path, bytes: key.hmacKey! }], io);
  const what = key.isNew ? `a new HMAC key for KEY${key.efuseKeyId} is` : "the raw HMAC key is";
  io.note(`note: ${what} in ${path}: keep it until it is burned`);
  return path;
}

/** The scalar, as that tool keeps it, and what espefuse takes: a PEM, or the halves of a P-384 key. */
async function keepPrivateKey(
  key: EfuseKey,
  { pkcs8 }: PrivateKey,
  { chip }: ConfigureArguments,
  io: Io,
): Promise<string> {
  const parts = decodeKeyParts(pkcs8);
  return await keep("ecdsa_key.pem", (path) => [
    ...parts.type === "ec" ? [{ path: path.replace(/pem$/, "bin"), bytes: parts.scalar }] : [],
    ...efuseOutput(key, chip, path).keyFiles,
  ], io);
}

/**
 * Writes the files of a key under free names, unless the files of these names hold this very key
 * already; gives the path that they were made from.
 */
async function keep(
  name: string,
  filesOf: (path: string) => readonly { readonly path: string; readonly bytes: Uint8Array }[],
  io: Io,
): Promise<string> {
  for (let count = 1;; count++) {
    const path = joinPath(DATA_FOLDER, count === 1 ? name : name.replace(".", `_${count}.`));
    const files = filesOf(path);
    const there = await Promise.all(files.map(({ path }) => io.readIfExists(path)));
    const isFit = files.every(({ bytes }, at) =>
      there[at] === undefined || equalBytes(there[at], bytes)
    );
    if (!isFit) continue;
    const missing = files.filter((_, at) => there[at] === undefined);
    if (missing.length === 0) return path;
    try {
      const secrets = missing.map((file) => ({ ...file, secret: true, keep: true }));
      await io.write(secrets, false, { makeFolders: true });
      return path;
    } catch (error) {
      if (!(error instanceof CliError) || error.code !== "ERR_FILE_EXISTS") throw error;
    }
  }
}
