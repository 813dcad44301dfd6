// deno run --allow-read=factory --allow-write=factory --allow-run=openssl examples/sign_with_external_process.ts
//
// Signs an image with a key that this program never sees. Here openssl plays the HSM: a Signer is a
// public key and a function. Run provision_device.ts first.

import { type Signer, signPartition, verifySignatures } from "../mod.ts";

const KEY = "factory/signing.key.pem";

/** Runs openssl and returns its output, or undefined if openssl is not installed. */
async function openssl(
  args: readonly string[],
  input: Uint8Array = new Uint8Array(),
): Promise<Uint8Array | undefined> {
  try {
    const command = new Deno.Command("openssl", {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    });
    const child = command.spawn();
    const writer = child.stdin.getWriter();
    await writer.write(input);
    await writer.close();
    const { success, stdout, stderr } = await child.output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return stdout;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A signer whose P-256 key only openssl reads. */
export async function opensslSigner(key: string): Promise<Signer | undefined> {
  const publicKey = await openssl(["pkey", "-in", key, "-pubout"]);
  if (publicKey === undefined) return undefined;
  return {
    publicKey,
    sign: async (message) => (await openssl(["dgst", "-sha256", "-sign", key], message))!,
  };
}

if (import.meta.main) {
  const kind = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
  const made = await openssl(["genpkey", ...kind, "-out", KEY]);
  const signer = made && await opensslSigner(KEY);
  if (signer === undefined) {
    console.log("openssl, which plays the HSM here, is not installed; nothing was signed");
  } else {
    const image = await Deno.readFile("factory/device-1/esp_secure_cert.bin");
    const signed = await signPartition(image, [signer]);
    await Deno.writeFile("factory/device-1/signed.bin", signed, { mode: 0o600 });
    for (const { algorithm, ok, keyDigest } of await verifySignatures(signed)) {
      console.log(`${algorithm} ${ok ? "good" : "bad"}, for the eFuse: ${keyDigest?.toHex()}`);
    }
  }
}
