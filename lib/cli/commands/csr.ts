import type { Command } from "../command.ts";
import { FORCE, JSON_FLAG, OUT_FILE, PASSWORD_FILE, SAN, SUBJECT } from "../flags.ts";
import { sansOf } from "../input/certificates.ts";
import { readKey } from "../input/keys.ts";
import { textFile } from "../io.ts";
import { printableLine } from "../render/text.ts";
import { outputPath, printResult, writeOutput } from "../output/out.ts";

/** Makes a certificate signing request. */
export const command: Command = {
  flags: [
    { name: "key", value: "FILE", help: "private key to be certified" },
    SUBJECT,
    SAN,
    PASSWORD_FILE,
    OUT_FILE,
    FORCE,
    JSON_FLAG,
  ],
  examples: [
    {
      permissions: "--allow-read=device.key.pem --allow-write=device.csr",
      line: 'csr --key device.key.pem --subject "CN=device-1" -o device.csr',
    },
  ],
  async run(args, io) {
    const path = args.need("key");
    const subject = args.need("subject");
    const out = outputPath(args, { standard: "-" }, io);
    const { createRequest } = await import("../../crypto/x509/request.ts");
    const key = await readKey(path, args, io);
    const request = await createRequest({ key, subject, sans: sansOf(args) });
    await writeOutput(out, textFile(out, request.pem), args, io);
    printResult(
      out,
      { subject, out },
      `signing request "${printableLine(subject)}": ${out}`,
      args,
      io,
    );
    return 0;
  },
};
