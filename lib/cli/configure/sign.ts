import { SecureCertError } from "../../bytes/errors.ts";
import { importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { withoutMarker } from "../../format/partition.ts";
import { naming } from "../input/files.ts";
import type { Io } from "../io.ts";
import { type ConfigureArguments, SIGNED_PATH, type SigningScheme } from "./arguments.ts";

/** A signed image that is not yet written. */
interface SignedImage {
  readonly bytes: Uint8Array;
  /** Writes it, says so, and gives its path. */
  write(): Promise<string>;
}

/** Signs an image in a file; gives the path of the signed one. */
export async function signFile(path: string, given: ConfigureArguments, io: Io): Promise<string> {
  const signed = await signImage(withoutMarker(await io.read(path)), given, io);
  return await signed.write();
}

/** Signs an image with the keys of the flags. */
export async function signImage(
  image: Uint8Array,
  { signingKeyFiles, signingScheme, password }: ConfigureArguments,
  io: Io,
): Promise<SignedImage> {
  if (signingKeyFiles.length > 3) {
    const message = `Cannot sign image: ${signingKeyFiles.length} keys, the firmware reads 3`;
    throw new SecureCertError("ERR_PLAN", message);
  }
  const keys: PrivateKey[] = [];
  for (const path of signingKeyFiles) {
    const bytes = await io.read(path);
    keys.push(await naming(path, () => importPrivateKey(bytes, { password })));
  }
  for (const [at, key] of keys.entries()) checkScheme(key, signingKeyFiles[at]!, signingScheme);
  const bytes = await signWith(image, keys);
  const write = async () => {
    const file = { path: SIGNED_PATH, bytes, secret: true, keep: false };
    await io.write([file], "files", { makeFolders: true });
    io.print(`Signed partition created: ${SIGNED_PATH}`);
    return SIGNED_PATH;
  };
  return { bytes, write };
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
