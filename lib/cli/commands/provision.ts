import type { Issuer } from "../../crypto/certificate.ts";
import { readCertificate } from "../../crypto/certificate_info.ts";
import { exportPrivateKey, importPrivateKey } from "../../crypto/keys.ts";
import { reportCertificate } from "../../provision/inspect.ts";
import { createDevelopmentCa, provision } from "../../provision/provision.ts";
import type { Arguments } from "../arguments.ts";
import { fileError } from "../errors.ts";
import { buildJudged, buildOptionsOf, imageReport } from "../images.ts";
import {
  dataOf,
  daysOf,
  keyOptions,
  noteSlowKey,
  passwordOf,
  pemBytes,
  sansOf,
  usageOf,
} from "../inputs.ts";
import { type Io, joinPath, type OutputFile } from "../io.ts";
import { nextSteps } from "../next_steps.ts";
import { renderCertificate } from "../render.ts";
import type { Command } from "../run.ts";

/** Provisions one device: key, certificate and image into a folder, the image judged good. */
export const provisionCommand: Command = async (args, io) => {
  const id = args.need("id");
  const out = args.need("out");
  const key = keyOptions(args);
  const subject = args.get("subject") ?? `CN=${escapeName(id)}`;
  const data = await dataOf(args, io);
  const ca = await openCa(args.get("ca") ?? "ca", args, io);
  noteSlowKey(key, io);
  const options = {
    ...buildOptionsOf(args),
    ...daysOf(args),
    ...usageOf(args),
    sans: sansOf(args),
  };
  const made = await buildJudged(
    () => provision({ ...options, issuer: ca.issuer, subject, key, data }),
    io,
  );
  const paths = outputPaths(out);
  await io.makeDir(out);
  await io.write([
    ...ca.files,
    { path: paths.key, bytes: await exportPrivateKey(made.key), secret: true },
    { path: paths.certificate, bytes: made.deviceCert },
    { path: paths.image, bytes: made.image, secret: true },
  ], args.has("force"));
  const certificate = reportCertificate(readCertificate(made.deviceCert));
  if (args.has("json")) {
    const image = imageReport(made, paths.image);
    const caReport = { path: ca.path, created: ca.files.length > 0 };
    io.print(JSON.stringify({ id, files: paths, image, certificate, ca: caReport }, null, 2));
    return 0;
  }
  io.print(
    [
      `provisioned ${id}`,
      ...renderCertificate(certificate).map((line) => `  ${line}`),
      ...Object.values(paths).map((path) => `  wrote    ${path}`),
    ].join("\n"),
  );
  io.note(nextSteps(paths.image, options.size, args.get("chip")));
  return 0;
};

interface OpenCa {
  readonly path: string;
  readonly issuer: Issuer;
  /** The files of a CA that was made just now, not yet written. */
  readonly files: readonly OutputFile[];
}

/** The CA of a folder; a development CA when the folder is empty. */
async function openCa(path: string, args: Arguments, io: Io): Promise<OpenCa> {
  const [certificatePath, keyPath] = [joinPath(path, "ca.pem"), joinPath(path, "ca.key.pem")];
  const certificate = await io.readIfExists(certificatePath);
  const key = await io.readIfExists(keyPath);
  if (certificate !== undefined && key !== undefined) {
    const options = await passwordOf(args, io);
    return { path, issuer: { certificate, key: await importPrivateKey(key, options) }, files: [] };
  }
  if (certificate !== undefined || key !== undefined) {
    const missing = certificate === undefined ? certificatePath : keyPath;
    throw fileError(
      "ERR_FILE_NOT_FOUND",
      missing,
      `Cannot use CA in ${path}: ${missing} is missing`,
    );
  }
  io.note(
    `making a development CA in ${path}: for the bench, not for products (see the ca command)`,
  );
  const issuer = await createDevelopmentCa();
  await io.makeDir(path);
  return {
    path,
    issuer,
    files: [
      { path: keyPath, bytes: await exportPrivateKey(issuer.key), secret: true },
      { path: certificatePath, bytes: pemBytes("CERTIFICATE", issuer.certificate) },
    ],
  };
}

function outputPaths(out: string): { image: string; certificate: string; key: string } {
  return {
    image: joinPath(out, "esp_secure_cert.bin"),
    certificate: joinPath(out, "device.pem"),
    key: joinPath(out, "device.key.pem"),
  };
}

/** A device's name inside a distinguished name. */
function escapeName(id: string): string {
  return id.replace(/[,+"\\<>;=#]/g, "\\$&");
}
