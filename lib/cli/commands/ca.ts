import { createCa, type Issuer } from "../../crypto/x509/issue.ts";
import { readCertificate } from "../../crypto/x509/certificate.ts";
import { exportPrivateKey, generateKey } from "../../crypto/keys/keys.ts";
import { reportCertificate } from "../../toolkit/inspect.ts";
import type { Arguments } from "../arguments.ts";
import { usageError } from "../errors.ts";
import {
  daysOf,
  keyOptions,
  noteSlowKey,
  pemBytes,
  readCertificateFile,
  readKey,
} from "../inputs.ts";
import { type Io, joinPath } from "../io.ts";
import { folderOf, tell } from "../outputs.ts";
import type { Command } from "../run.ts";

/** Makes a self-signed or intermediate CA: ca.pem and ca.key.pem. */
export const ca: Command = async (args, io) => {
  const subject = args.need("subject");
  const out = folderOf(args);
  const options = keyOptions(args);
  const pathLength = args.number("path-length");
  const issuer = await readIssuerFlags(args, io);
  const given = args.get("key");
  if (given === undefined) noteSlowKey(options, io);
  const key = given === undefined ? await generateKey(options) : await readKey(given, args, io);
  const certificate = await createCa({
    subject,
    key,
    ...daysOf(args),
    ...issuer === undefined ? {} : { issuer },
    ...pathLength === undefined ? {} : { pathLength },
  });
  const paths = { certificate: joinPath(out, "ca.pem"), key: joinPath(out, "ca.key.pem") };
  await io.makeDir(out);
  await io.write([
    // A key that was given keeps its encoding and its password.
    {
      path: paths.key,
      bytes: given === undefined ? await exportPrivateKey(key) : await io.read(given),
      secret: true,
    },
    { path: paths.certificate, bytes: pemBytes("CERTIFICATE", certificate) },
  ], args.has("force"));
  const json = { certificate: reportCertificate(readCertificate(certificate)), files: paths };
  tell(out, json, `CA "${subject}": ${paths.certificate}, ${paths.key}`, args, io);
  return 0;
};

async function readIssuerFlags(args: Arguments, io: Io): Promise<Issuer | undefined> {
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
