import type { Issuer } from "../../crypto/x509/issue.ts";
import { type Arguments, type Command, refuseIdle } from "../command.ts";
import { usageError } from "../errors.ts";
import {
  DAYS,
  FORCE,
  FORCE_KEY,
  JSON_FLAG,
  KEY_FLAGS,
  OUT_DIR,
  PASSWORD_FILE,
  SUBJECT,
} from "../flags.ts";
import { daysOf, readCertificateFile } from "../input/certificates.ts";
import { keyOptions, noteSlowKey, readKey } from "../input/keys.ts";
import { type Io, joinPath, textFile } from "../io.ts";
import { printableLine } from "../render/text.ts";
import { forceOf, outputFolder, printResult } from "../output/out.ts";

/** Flags that say which kind of key to make. */
const KIND_OF_KEY = KEY_FLAGS.map(({ name }) => name);

/** Makes a self-signed or intermediate CA: ca.pem and ca.key.pem. */
export const command: Command = {
  flags: [
    SUBJECT,
    DAYS,
    ...KEY_FLAGS,
    { name: "key", value: "FILE", help: "use this private key instead of making one" },
    { name: "issuer", value: "FILE", help: "certificate of the CA above" },
    { name: "issuer-key", value: "FILE", help: "its private key" },
    {
      name: "path-length",
      value: "N",
      help: "how many CAs may follow below",
      default: "0 under an issuer, no limit for a root",
    },
    PASSWORD_FILE,
    OUT_DIR,
    FORCE,
    FORCE_KEY,
    JSON_FLAG,
  ],
  examples: [
    {
      permissions: "--allow-read=ca --allow-write=ca",
      line: 'ca --subject "CN=Example Root CA,O=Example" -o ca',
    },
  ],
  async run(args, io) {
    const subject = args.need("subject");
    const out = outputFolder(args);
    const days = daysOf(args);
    const options = keyOptions(args);
    const pathLength = args.number("path-length");
    const issuer = await readIssuer(args, io);
    const given = args.get("key");
    if (given !== undefined) refuseIdle(args, KIND_OF_KEY, "is for a new key, and --key names one");
    if (given === undefined && issuer === undefined) {
      refuseIdle(args, ["password-file"], "goes with --key or --issuer-key");
    }
    if (given === undefined) noteSlowKey(options, io);
    const { exportPrivateKey, generateKey } = await import("../../crypto/keys/keys.ts");
    const { createCa } = await import("../../crypto/x509/issue.ts");
    const { reportCertificate } = await import("../../toolkit/inspect.ts");
    const key = given === undefined ? await generateKey(options) : await readKey(given, args, io);
    const certificate = await createCa({ subject, key, days, issuer, pathLength });
    const files = { certificate: joinPath(out, "ca.pem"), key: joinPath(out, "ca.key.pem") };
    // A key that was given keeps its encoding and its password.
    const keyBytes = given === undefined ? exportPrivateKey(key) : await io.read(given);
    await io.write(
      [
        { path: files.key, bytes: keyBytes, secret: true, keep: true },
        textFile(files.certificate, certificate.pem),
      ],
      forceOf(args),
      { makeFolders: true },
    );
    const json = { certificate: reportCertificate(certificate), files };
    printResult(
      out,
      json,
      `CA "${printableLine(subject)}": ${files.certificate}, ${files.key}`,
      args,
      io,
    );
    return 0;
  },
};

async function readIssuer(args: Arguments, io: Io): Promise<Issuer | undefined> {
  const [certificate, key] = [args.get("issuer"), args.get("issuer-key")];
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate === undefined || key === undefined) {
    const missing = certificate === undefined ? "issuer" : "issuer-key";
    throw usageError(`--issuer and --issuer-key go together; --${missing} is missing`, missing);
  }
  return {
    certificate: await readCertificateFile(certificate, io),
    key: await readKey(key, args, io),
  };
}
