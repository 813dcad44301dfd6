import { formatPem } from "../../bytes/pem.ts";
import type { PrivateKey } from "../../crypto/keys/keys.ts";
import { type Arguments, type Command, refuseIdle } from "../command.ts";
import { usageError } from "../errors.ts";
import {
  FORCE,
  JSON_FLAG,
  NEW_SIZE,
  OUT_FILE,
  PASSWORD_FILE,
  PLACE_FLAGS,
  TLV_IMAGE,
} from "../flags.ts";
import { readAll } from "../input/files.ts";
import { placeOf, readImageFile } from "../input/images.ts";
import { readKey } from "../input/keys.ts";
import type { Io } from "../io.ts";
import { outputPath, printJson, printResult, writeOutput } from "../output/out.ts";
import { formatSize } from "../render/text.ts";

const MOST_SIGNATURES = 3;

/** Signs an image, prints what is to be signed elsewhere, or puts in what was signed there. */
export const command: Command = {
  positionals: [TLV_IMAGE],
  flags: [
    {
      name: "key",
      value: "FILE",
      repeats: true,
      help: "private key: RSA-3072, P-192, P-256 or P-384; one to three of a kind",
    },
    PASSWORD_FILE,
    {
      name: "digest",
      help: "print what an external signer must sign, and how;\n-o takes the hash",
    },
    {
      name: "signature",
      value: "FILE",
      repeats: true,
      help: "put in what an external signer made; ECDSA in DER or r and s",
    },
    {
      name: "public-key",
      value: "FILE",
      repeats: true,
      help: "public key of the external signer; one for each --signature",
    },
    NEW_SIZE,
    ...PLACE_FLAGS,
    OUT_FILE,
    FORCE,
    JSON_FLAG,
  ],
  examples: [
    {
      permissions: "--allow-read=esp_secure_cert.bin,signing.key.pem --allow-write=signed.bin",
      line: "sign esp_secure_cert.bin --key signing.key.pem -o signed.bin",
    },
    {
      permissions: "--allow-read=esp_secure_cert.bin",
      line: "sign esp_secure_cert.bin --digest",
    },
  ],
  async run(args, io) {
    const task = taskOf(args);
    if (task !== "key") refuseIdle(args, ["password-file"], "goes with --key");
    if (task === "digest") {
      refuseIdle(args, ["size"], "is for the signed image, and --digest writes none");
    }
    if (task === "digest") return await printDigest(args, io);
    const out = outputPath(args, { secret: true, binary: true }, io);
    const signed = await sign(task, args, io);
    await writeOutput(out, { bytes: signed, secret: true }, args, io);
    const { verifySignatures } = await import("../../verify/signatures.ts");
    const signatures = (await verifySignatures(signed)).map((each) => {
      const { subtype, algorithm, signedLength, keyDigest } = each;
      return { subtype, algorithm, signedLength, keyDigest: keyDigest!.toHex() };
    });
    const lines = signatures.flatMap(({ subtype, algorithm, signedLength, keyDigest }) => [
      `signature ${subtype}: ${algorithm}, ${signedLength} bytes signed`,
      `  key digest for the eFuse: ${keyDigest}`,
    ]);
    const text = [`signed image of ${formatSize(signed.length)}: ${out}`, ...lines].join("\n");
    printResult(out, { image: { path: out, size: signed.length }, signatures }, text, args, io);
    return 0;
  },
};

function taskOf(args: Arguments): "digest" | "key" | "signature" {
  const tasks = (["digest", "key", "signature"] as const).filter((name) => args.has(name));
  const [task] = tasks;
  if (task === undefined || tasks.length > 1) {
    throw usageError("sign needs --key, --digest, or --signature with --public-key", "key");
  }
  const count = args.all(task).length;
  const keys = args.all("public-key").length;
  if (count > MOST_SIGNATURES) throw usageError(`--${task} is given more than three times`, task);
  const expected = { digest: Math.min(keys, 1), key: 0, signature: count }[task];
  if (keys === expected) return task;
  const wanted = {
    digest: "--digest takes one --public-key",
    key: "--public-key does not go with --key",
    signature: "each --signature needs its --public-key",
  };
  throw usageError(wanted[task], "public-key");
}

async function sign(task: "key" | "signature", args: Arguments, io: Io): Promise<Uint8Array> {
  const { attachSignatures, signPartition } = await import("../../toolkit/sign.ts");
  const image = await readImageFile(args.positionals[0]!, args, io);
  const options = { size: args.number("size"), ...placeOf(args) };
  if (task === "signature") {
    return await attachSignatures(image, await readSignatures(args, io), options);
  }
  return await signPartition(image, await readKeys(args, io), options);
}

async function readKeys(args: Arguments, io: Io): Promise<PrivateKey[]> {
  const keys = new Map<string, PrivateKey>();
  for (const path of args.all("key")) {
    const key = await readKey(path, args, io);
    const publicKey = formatPem("PUBLIC KEY", key.publicKey);
    if (keys.has(publicKey)) throw usageError(`${path} is the key of another --key`, "key");
    keys.set(publicKey, key);
  }
  return [...keys.values()];
}

async function readSignatures(
  args: Arguments,
  io: Io,
): Promise<{ signature: Uint8Array; publicKey: Uint8Array }[]> {
  const publicKeys = await readAll("public-key", args, io);
  const signatures = await readAll("signature", args, io);
  return signatures.map((signature, index) => ({ signature, publicKey: publicKeys[index]! }));
}

/** What an external signer must sign: as text for all kinds of key or one, or the hash for one. */
async function printDigest(args: Arguments, io: Io): Promise<number> {
  const out = args.has("out") ? outputPath(args, { binary: true }, io) : undefined;
  const [publicKey] = await readAll("public-key", args, io);
  if (out !== undefined && publicKey === undefined) {
    throw usageError("-o takes the hash for one kind of key: give --public-key", "public-key");
  }
  const { signingDigest } = await import("../../toolkit/sign.ts");
  const { message, schemes: wanted, keyDigest: digestOfKey } = await signingDigest(
    await readImageFile(args.positionals[0]!, args, io),
    { publicKey, ...placeOf(args) },
  );
  if (out !== undefined) {
    await writeOutput(out, { bytes: wanted[0]!.digest }, args, io);
    if (out === "-") return 0;
  }
  const signedLength = message.length;
  const schemes = wanted.map(({ algorithm, hash, digest, size }) => {
    const how = algorithm === "rsa3072"
      ? `RSASSA-PSS with ${hash}, MGF1 with ${hash}, a salt of ${digest.length} bytes; ${size} bytes`
      : `ECDSA with ${hash}; a DER sequence, or r and s of ${size} bytes each, big-endian`;
    return { algorithm, hash, digest: digest.toHex(), how };
  });
  const keyDigest = digestOfKey?.toHex();
  if (args.has("json")) {
    printJson({ digest: { signedLength, schemes, keyDigest } }, io);
    return 0;
  }
  io.print([
    `sign the first ${signedLength} bytes of the image with one of`,
    ...schemes.flatMap(({ algorithm, how, hash, digest }) => [
      "",
      `${algorithm}: ${how}`,
      `  ${hash} ${digest}`,
    ]),
    ...keyDigest === undefined ? [] : ["", `key digest for the eFuse: ${keyDigest}`],
  ].join("\n"));
  return 0;
}
