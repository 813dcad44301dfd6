import { keyName } from "../../crypto/keys/encoding.ts";
import { exportPrivateKey, generateKey } from "../../crypto/keys/keys.ts";
import { formatPem } from "../../bytes/pem.ts";
import { encodeUtf8 } from "../../bytes/text.ts";
import type { Arguments } from "../arguments.ts";
import { keyOptions, noteSlowKey } from "../inputs.ts";
import type { OutputFile } from "../io.ts";
import { outOf, tell, writeOut } from "../outputs.ts";
import type { Command } from "../run.ts";

/** Makes a private key. */
export const keygen: Command = async (args, io) => {
  const options = keyOptions(args);
  const form = (args.get("form") ?? "pem") as "pem" | "der";
  const encoding = (args.get("encoding") ?? "pkcs8") as "pkcs8" | "traditional";
  const out = outOf(args, { secret: true, binary: form === "der" }, io);
  noteSlowKey(options, io);
  const key = await generateKey(options);
  const bytes = await exportPrivateKey(key, { encoding, form });
  const publicPem = formatPem("PUBLIC KEY", key.publicKey);
  await writeOut(out, { bytes, secret: true }, args, io, publicFiles(publicPem, args));
  const name = keyName(key);
  const json = { key: name, out, publicKey: publicPem };
  tell(out, json, `${name} private key: ${out}`, args, io);
  return 0;
};

function publicFiles(pem: string, args: Arguments): OutputFile[] {
  const path = args.get("public");
  return path === undefined ? [] : [{ path, bytes: encodeUtf8(pem) }];
}
