import type { CertificateInput } from "../../crypto/x509/certificate.ts";
import type { Issuer } from "../../crypto/x509/issue.ts";
import { type Arguments, type Command, refuseIdle } from "../command.ts";
import { usageError } from "../errors.ts";
import {
  ANSWER_TIMEOUT,
  CA_COMMAND,
  DAYS,
  FORCE,
  JSON_FLAG,
  OUT_FILE,
  PASSWORD_FILE,
  SAN,
  SUBJECT,
  USAGE,
} from "../flags.ts";
import { daysOf, readCertificateFile, sansOf, usageOf } from "../input/certificates.ts";
import { readFlag } from "../input/files.ts";
import { readKey, readPublicKey } from "../input/keys.ts";
import { type Io, textFile } from "../io.ts";
import { noteIssuer, outputPath, printResult, writeOutput } from "../output/out.ts";

/** Flags that say whose certificate it is; one of them is given. */
const CERTIFIED = ["csr", "key", "public-key"];

/** Issues a device certificate from a signing request, or for a key or its public half. */
export const command: Command = {
  flags: [
    { name: "csr", value: "FILE", help: "signing request to answer" },
    { name: "key", value: "FILE", help: "or: the device's private key" },
    {
      name: "public-key",
      value: "FILE",
      help: "or: its public key, PEM or DER, where no request can be signed",
    },
    SUBJECT,
    { name: "ca", value: "FILE", help: "certificate of the CA" },
    { name: "ca-key", value: "FILE", help: "private key of the CA" },
    {
      ...CA_COMMAND,
      help: CA_COMMAND.help.replace(/; ca.*/, "").replace("a program", "or: a program"),
    },
    ANSWER_TIMEOUT,
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
    {
      permissions: "--allow-read=device.pub.pem,ca --allow-write=derived.pem",
      line: "issue --public-key device.pub.pem --subject CN=device-1 --ca ca/ca.pem " +
        "--ca-key ca/ca.key.pem -o derived.pem",
    },
  ],
  async run(args, io) {
    const ca = args.need("ca");
    if (!args.has("ca-command")) args.need("ca-key");
    else if (args.has("ca-key")) {
      throw usageError("the CA signs with --ca-key or with --ca-command, not with both", "ca-key");
    }
    if (!args.has("ca-command")) refuseIdle(args, ["answer-timeout"], "goes with --ca-command");
    else if (!args.has("key")) refuseIdle(args, ["password-file"], "goes with --key or --ca-key");
    if (CERTIFIED.filter((flag) => args.has(flag)).length !== 1) {
      const message = "issue needs --csr, or --key or --public-key with --subject";
      throw usageError(message, "csr", "run issue --help");
    }
    const subject = args.has("csr") ? args.get("subject") : args.need("subject");
    const days = daysOf(args);
    const out = outputPath(args, { standard: "-" }, io);
    const { readCertificate } = await import("../../crypto/x509/certificate.ts");
    const { issueCertificate } = await import("../../crypto/x509/issue.ts");
    const { reportCertificate } = await import("../../toolkit/inspect.ts");
    const certificate = await readCertificateFile(ca, io);
    const key = await certifiedKey(args, io);
    const sans = sansOf(args);
    const request = await readFlag("csr", args, io);
    const issued = await withIssuer(certificate, args, io, (issuer) =>
      issueCertificate({
        issuer,
        request,
        publicKey: key,
        subject,
        sans: sans.length === 0 ? undefined : sans,
        days,
        usage: usageOf(args),
        allowWeak: args.has("allow-weak"),
      }));
    await writeOutput(out, textFile(out, issued.pem), args, io);
    noteIssuer(readCertificate(certificate), issued, io);
    const text = `certificate "${issued.subject}" issued by "${issued.issuer}": ${out}`;
    printResult(out, { certificate: reportCertificate(issued), out }, text, args, io);
    return 0;
  },
};

/** The key of --key or --public-key; a request brings its own. */
async function certifiedKey(
  args: Arguments,
  io: Io,
): Promise<{ readonly publicKey: Uint8Array } | undefined> {
  const path = args.get("key");
  if (path !== undefined) return await readKey(path, args, io);
  const publicPath = args.get("public-key");
  return publicPath === undefined ? undefined : await readPublicKey(publicPath, io);
}

/** Does something with the CA: with its key, or with the program that signs for it. */
async function withIssuer<T>(
  certificate: CertificateInput,
  args: Arguments,
  io: Io,
  act: (issuer: Issuer) => Promise<T>,
): Promise<T> {
  const line = args.get("ca-command");
  if (line === undefined) {
    return await act({ certificate, key: await readKey(args.need("ca-key"), args, io) });
  }
  const { openCaPrograms, programIssuer } = await import("../programs/ca.ts");
  const { answerSeconds } = await import("../programs/pool.ts");
  const programs = await openCaPrograms(certificate, { line, seconds: answerSeconds(args) });
  try {
    const result = await act(programIssuer(certificate, programs.ask));
    await programs.close();
    return result;
  } catch (error) {
    await programs.close().catch(() => {});
    throw error;
  }
}
