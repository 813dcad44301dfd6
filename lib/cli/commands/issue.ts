import type { Command } from "../command.ts";
import { usageError } from "../errors.ts";
import { DAYS, FORCE, JSON_FLAG, OUT_FILE, PASSWORD_FILE, SAN, SUBJECT, USAGE } from "../flags.ts";
import { daysOf, readCertificateFile, sansOf, usageOf } from "../input/certificates.ts";
import { readFlag } from "../input/files.ts";
import { readKey } from "../input/keys.ts";
import { textFile } from "../io.ts";
import { noteIssuer } from "../output/certificates.ts";
import { outputPath, printResult, writeOutput } from "../output/out.ts";

/** Issues a device certificate from a signing request or for a key. */
export const command: Command = {
  flags: [
    { name: "csr", value: "FILE", help: "signing request to answer" },
    { name: "key", value: "FILE", help: "or: the device's private key" },
    SUBJECT,
    { name: "ca", value: "FILE", help: "certificate of the CA" },
    { name: "ca-key", value: "FILE", help: "private key of the CA" },
    DAYS,
    SAN,
    USAGE,
    { name: "allow-weak", help: "certify RSA keys under 2048 bits" },
    PASSWORD_FILE,
    OUT_FILE,
    FORCE,
    JSON_FLAG,
  ],
  examples: [
    {
      permissions: "--allow-read=device.csr,ca --allow-write=device.pem",
      line: "issue --csr device.csr --ca ca/ca.pem --ca-key ca/ca.key.pem --days 365 -o device.pem",
    },
  ],
  async run(args, io) {
    const [ca, caKey] = [args.need("ca"), args.need("ca-key")];
    if (args.has("csr") === args.has("key")) {
      throw usageError("issue needs --csr, or --key with --subject", "csr", "run issue --help");
    }
    const subject = args.has("key") ? args.need("subject") : args.get("subject");
    const days = daysOf(args);
    const out = outputPath(args, { standard: "-" }, io);
    const { readCertificate } = await import("../../crypto/x509/certificate.ts");
    const { issueCertificate } = await import("../../crypto/x509/issue.ts");
    const { reportCertificate } = await import("../../toolkit/inspect.ts");
    const issuer = {
      certificate: await readCertificateFile(ca, io),
      key: await readKey(caKey, args, io),
    };
    const keyPath = args.get("key");
    const key = keyPath === undefined ? undefined : await readKey(keyPath, args, io);
    const sans = sansOf(args);
    const issued = await issueCertificate({
      issuer,
      request: await readFlag("csr", args, io),
      publicKey: key,
      subject,
      sans: sans.length === 0 ? undefined : sans,
      days,
      usage: usageOf(args),
      allowWeak: args.has("allow-weak"),
    });
    await writeOutput(out, textFile(out, issued.pem), args, io);
    noteIssuer(readCertificate(issuer.certificate), issued, io);
    const text = `certificate "${issued.subject}" issued by "${issued.issuer}": ${out}`;
    printResult(out, { certificate: reportCertificate(issued), out }, text, args, io);
    return 0;
  },
};
