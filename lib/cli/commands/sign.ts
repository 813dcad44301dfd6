import { equalBytes } from "../../bytes/pack.ts";
import { formatHex } from "../../bytes/text.ts";
import type { PrivateKey } from "../../crypto/keys/keys.ts";
import {
  createSigner,
  PSS_SALT_LENGTH,
  publicKeyDigest,
  readSignatureKey,
} from "../../crypto/signature.ts";
import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from "../../format/signature_block.ts";
import { MAX_SIGNATURES } from "../../format/signature_block.ts";
import {
  attachSignatures,
  type SigningDigest,
  signingDigest,
  signPartition,
} from "../../toolkit/sign.ts";
import { verifySignatures } from "../../verify/signatures.ts";
import type { Arguments } from "../arguments.ts";
import { usageError } from "../errors.ts";
import { readAll, readKey } from "../inputs.ts";
import type { Io } from "../io.ts";
import { outOf, tell, writeOut } from "../outputs.ts";
import { formatSize } from "../render/inspection.ts";
import type { Command } from "../run.ts";

/** Signs an image, says what is to be signed elsewhere, or puts in what was signed there. */
export const sign: Command = async (args, io) => {
  const make = modeOf(args);
  if (make === "digest") return await printDigest(args, io);
  const out = outOf(args, { secret: true, binary: true }, io);
  const image = await io.read(args.positionals[0]!);
  const size = args.number("size");
  const options = size === undefined ? {} : { size };
  const signed = make === "key"
    ? await signPartition(image, (await readKeys(args, io)).map(createSigner), options)
    : await attachSignatures(image, await readSignatures(args, io), options);
  await writeOut(out, { bytes: signed, secret: true }, args, io);
  const signatures = (await verifySignatures(signed)).map((each) => {
    const { subtype, algorithm, signedLength, keyDigest } = each;
    return { subtype, algorithm, signedLength, keyDigest: formatHex(keyDigest!) };
  });
  const lines = signatures.flatMap(({ subtype, algorithm, signedLength, keyDigest }) => [
    `signature ${subtype}: ${algorithm}, ${signedLength} bytes signed`,
    `  key digest for the eFuse: ${keyDigest}`,
  ]);
  const text = [`signed image of ${formatSize(signed.length)}: ${out}`, ...lines].join("\n");
  tell(out, { image: { path: out, size: signed.length }, signatures }, text, args, io);
  return 0;
};

function modeOf(args: Arguments): "digest" | "key" | "signature" {
  const modes = (["digest", "key", "signature"] as const).filter((name) => args.has(name));
  if (modes.length !== 1) {
    throw usageError("sign needs --key, --digest, or --signature with --public-key", "key");
  }
  const [mode] = modes as ["digest" | "key" | "signature"];
  const count = args.all(mode).length;
  const keys = args.all("public-key").length;
  if (count > MAX_SIGNATURES) throw usageError(`--${mode} is given more than three times`, mode);
  const expected = { digest: Math.min(keys, 1), key: 0, signature: count }[mode];
  if (keys === expected) return mode;
  const wanted = {
    digest: "--digest takes one --public-key",
    key: "--public-key does not go with --key",
    signature: "each --signature needs its --public-key",
  };
  throw usageError(wanted[mode], "public-key");
}

async function readKeys(args: Arguments, io: Io): Promise<PrivateKey[]> {
  const keys: PrivateKey[] = [];
  for (const path of args.all("key")) {
    const key = await readKey(path, args, io);
    if (keys.some(({ publicKey }) => equalBytes(publicKey, key.publicKey))) {
      throw usageError(`${path} is the key of another --key`, "key");
    }
    keys.push(key);
  }
  return keys;
}

async function readSignatures(
  args: Arguments,
  io: Io,
): Promise<{ publicKey: Uint8Array; signature: Uint8Array }[]> {
  const publicKeys = await readAll("public-key", args, io);
  const signatures = await readAll("signature", args, io);
  return signatures.map((signature, index) => ({ signature, publicKey: publicKeys[index]! }));
}

async function printDigest(args: Arguments, io: Io): Promise<number> {
  const out = args.has("out") ? outOf(args, { binary: true }, io) : undefined;
  const [file] = await readAll("public-key", args, io);
  if (out !== undefined && file === undefined) {
    throw usageError("-o takes the hash for one kind of key: give --public-key", "public-key");
  }
  const digests = await signingDigest(await io.read(args.positionals[0]!));
  const key = file === undefined ? undefined : readSignatureKey(file);
  const keyDigest = key === undefined ? undefined : formatHex(await publicKeyDigest(key));
  const names = Object.keys(SIGNATURE_ALGORITHMS) as SignatureAlgorithm[];
  const schemes = names.filter((name) => (key?.algorithm ?? name) === name)
    .map((name) => schemeReport(name, digests));
  if (out !== undefined) {
    const bytes = digestFor(schemes[0]!.algorithm, digests);
    await writeOut(out, { bytes }, args, io);
    if (out === "-") return 0;
  }
  const signedLength = digests.message.length;
  if (args.has("json")) {
    const digest = { signedLength, schemes, ...keyDigest === undefined ? {} : { keyDigest } };
    io.print(JSON.stringify({ digest }, null, 2));
    return 0;
  }
  const lines = [`sign the first ${signedLength} bytes of the image with one of`];
  for (const { algorithm, how, hash, digest } of schemes) {
    lines.push("", `${algorithm}: ${how}`, `  ${hash} ${digest}`);
  }
  if (keyDigest !== undefined) lines.push("", `key digest for the eFuse: ${keyDigest}`);
  io.print(lines.join("\n"));
  return 0;
}

function schemeReport(
  algorithm: SignatureAlgorithm,
  digests: SigningDigest,
): { algorithm: SignatureAlgorithm; hash: string; digest: string; how: string } {
  const { hash, size } = SIGNATURE_ALGORITHMS[algorithm];
  const how = algorithm === "rsa3072"
    ? `RSASSA-PSS with ${hash}, MGF1 with ${hash}, a salt of ${PSS_SALT_LENGTH} bytes; ${size} bytes`
    : `ECDSA with ${hash}; a DER sequence, or r and s of ${size} bytes each, big-endian`;
  return { algorithm, hash, digest: formatHex(digestFor(algorithm, digests)), how };
}

function digestFor(algorithm: SignatureAlgorithm, digests: SigningDigest): Uint8Array {
  return SIGNATURE_ALGORITHMS[algorithm].hash === "SHA-384" ? digests.sha384 : digests.sha256;
}
