import { issueCertificate } from "../../crypto/x509/issue.ts";
import { readCertificate } from "../../crypto/x509/certificate.ts";
import { reportCertificate } from "../../toolkit/inspect.ts";
import { usageError } from "../errors.ts";
import {
  daysOf,
  pemBytes,
  readCertificateFile,
  readFlag,
  readKey,
  sansOf,
  usageOf,
} from "../inputs.ts";
import { noteIssuer, outOf, tell, writeOut } from "../outputs.ts";
import type { Command } from "../run.ts";

/** Issues a device certificate from a signing request or for a key. */
export const issue: Command = async (args, io) => {
  const [ca, caKey] = [args.need("ca"), args.need("ca-key")];
  if (args.has("csr") === args.has("key")) {
    throw usageError("issue needs --csr, or --key with --subject", "csr", "run issue --help");
  }
  const subject = args.has("key") ? args.need("subject") : args.get("subject");
  const out = outOf(args, { standard: "-" }, io);
  const issuer = {
    certificate: await readCertificateFile(ca, io),
    key: await readKey(caKey, args, io),
  };
  const key = args.get("key");
  const publicKey = key === undefined ? undefined : (await readKey(key, args, io)).publicKey;
  const sans = sansOf(args);
  const certificate = await issueCertificate({
    issuer,
    ...await readFlag("csr", "request", args, io),
    ...publicKey === undefined ? {} : { publicKey },
    ...subject === undefined ? {} : { subject },
    ...sans.length === 0 ? {} : { sans },
    ...daysOf(args),
    ...usageOf(args),
  });
  await writeOut(out, { bytes: pemBytes("CERTIFICATE", certificate) }, args, io);
  noteIssuer(readCertificate(issuer.certificate), readCertificate(certificate), io);
  const report = reportCertificate(readCertificate(certificate));
  const text = `certificate "${report.subject}" issued by "${report.issuer}": ${out}`;
  tell(out, { certificate: report, out }, text, args, io);
  return 0;
};
