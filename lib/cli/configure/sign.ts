import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { withoutMarker } from "../../format/partition.ts";
import { naming } from "../input/files.ts";
import type { Io, OutputFile } from "../io.ts";
import { type ConfigureArguments, SIGNED_PATH, type SigningScheme } from "./arguments.ts";

/** Signs an image in a file; gives the path of the signed one. */
export async function signFile(path: string, given: ConfigureArguments, io: Io): Promise<string> {
  const signed = await signImage(withoutMarker(await io.read(path)), given, io);
  await io.write([signed], "files", { makeFolders: true });
  printSigned(signed, io);
  return signed.path;
}

/** Prints that a signed image was written. */
export function printSigned({ path }: OutputFile, io: Io): void {
  io.print(`Signed partition created: ${path}`);
}

/** Signs an image with the keys of the flags; gives the file that is to be written. */
export async function signImage(
  image: Uint8Array,
  { signingKeyFiles, signingScheme, password }: ConfigureArguments,
  io: Io,
): Promise<OutputFile> {
  if (signingKeyFiles.length > 3) {
    const message = `Cannot sign image: ${
      countOf(signingKeyFiles.length, "key")
    }, the firmware reads 3`;
    throw new SecureCertError("ERR_PLAN", message);
  }
  const keys: PrivateKey[] = [];
  for (const path of signingKeyFiles) {
    const bytes = await io.read(path);
    keys.push(await naming(path, () => importPrivateKey(bytes, { password })));
  }
  for (const [at, key] of keys.entries()) checkScheme(key, signingKeyFiles[at]!, signingScheme);
  const bytes = await signWith(image, keys);
  return { path: SIGNED_PATH, bytes, secret: true, keep: false };
}

function checkScheme(key: PrivateKey, path: string, wanted: SigningScheme | undefined): void {
  const scheme = key.type === "rsa" ? `rsa${key.bits}` : `ecdsa${key.curve?.replace("P-", "")}`;
  if (wanted === undefined || scheme === wanted) return;
  const message = `Cannot sign image: ${path} is a key for ${scheme}, not ${wanted}`;
  throw new SecureCertError("ERR_KEY", message);
}

/** Loaded when needed: few runs sign. */
async function signWith(image: Uint8Array, keys: readonly PrivateKey[]): Promise<Uint8Array> {
  const { signPartition } = await import("../../toolkit/sign.ts");
  return await signPartition(image, keys, { integrity: true });
}
