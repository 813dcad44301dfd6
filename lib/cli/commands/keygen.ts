import { formatPem } from "../../bytes/pem.ts";
import type { Command } from "../command.ts";
import { FORCE, FORCE_KEY, JSON_FLAG, KEY_FLAGS, OUT_FILE } from "../flags.ts";
import { keyOptions, noteSlowKey } from "../input/keys.ts";
import { textFile } from "../io.ts";
import { outputPath, printResult, writeOutput } from "../output/out.ts";

/** Makes a private key. */
export const command: Command = {
  flags: [
    ...KEY_FLAGS,
    {
      name: "encoding",
      value: "ENCODING",
      choices: ["pkcs8", "traditional"],
      help: "PKCS#8, or PKCS#1 and SEC1",
      default: "pkcs8",
    },
    {
      name: "form",
      value: "FORM",
      choices: ["pem", "der"],
      help: "PEM text or DER",
      default: "pem",
    },
    { name: "public", value: "FILE", help: "write the public key there too, as PEM" },
    OUT_FILE,
    FORCE,
    FORCE_KEY,
    JSON_FLAG,
  ],
  examples: [
    { permissions: "--allow-write=device.key.pem", line: "keygen -o device.key.pem" },
    {
      permissions: "--allow-write=rsa.key.pem",
      line: "keygen --type rsa --bits 2048 -o rsa.key.pem",
    },
  ],
  async run(args, io) {
    const options = keyOptions(args);
    const form = (args.get("form") ?? "pem") as "pem" | "der";
    const encoding = (args.get("encoding") ?? "pkcs8") as "pkcs8" | "traditional";
    const out = outputPath(args, { secret: true, binary: form === "der" }, io);
    noteSlowKey(options, io);
    const { exportPrivateKey, generateKey } = await import("../../crypto/keys/keys.ts");
    const { keyName } = await import("../../crypto/keys/encoding.ts");
    const key = await generateKey(options);
    const bytes = await exportPrivateKey(key, { encoding, form });
    const publicKey = formatPem("PUBLIC KEY", key.publicKey);
    const publicFiles = args.all("public").map((path) => textFile(path, publicKey));
    await writeOutput(out, { bytes, secret: true, keep: true }, args, io, publicFiles);
    const name = keyName(key);
    const json = { key: name, out, publicKey };
    printResult(out, json, `${name} private key: ${out}`, args, io);
    return 0;
  },
};
