import type { Issuer } from "../../crypto/certificate.ts";
import { readCertificate } from "../../crypto/certificate_info.ts";
import { exportPrivateKey, importPrivateKey } from "../../crypto/keys.ts";
import { reportCertificate } from "../../provision/inspect.ts";
import {
  createDevelopmentCa,
  provision,
  type ProvisionOptions,
  type ProvisionResult,
} from "../../provision/provision.ts";
import type { Arguments } from "../arguments.ts";
import { burnNotes, newKeyFile, planFile } from "../efuse_files.ts";
import { fileError } from "../errors.ts";
import { buildJudged, buildOptionsOf, imageReport } from "../images.ts";
import {
  dataOf,
  daysOf,
  keyOptions,
  keyPlanOf,
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
  const paths = outputPaths(out);
  const options = { ...await deviceOptions(id, paths, args, io), ...buildOptionsOf(args) };
  const ca = await openCa(args.get("ca") ?? "ca", args, io);
  noteSlowKey(options.key ?? {}, io);
  const made = await buildJudged(() => provision({ ...options, issuer: ca.issuer }), io);
  const { efuse } = made;
  await io.makeDir(out);
  const force = args.has("force");
  await io.write([
    ...ca.files,
    ...efuse === undefined ? [] : newKeyFile(efuse, args.has("hmac-key"), paths.hmacKey),
    ...efuse === undefined ? [] : [planFile(efuse, paths.efusePlan)],
    { path: paths.key, bytes: await exportPrivateKey(made.key), secret: true },
    { path: paths.certificate, bytes: made.deviceCert },
    { path: paths.image, bytes: made.image, secret: true },
  ], force);
  report(id, made, paths, ca, args, io);
  return 0;
};

async function deviceOptions(
  id: string,
  paths: OutputPaths,
  args: Arguments,
  io: Io,
): Promise<Omit<ProvisionOptions, "issuer">> {
  const keyPlan = await keyPlanOf(args, io);
  const isDs = keyPlan.keyMode === "rsa-ds";
  const wantsKey = ["type", "curve", "bits"].some((flag) => args.has(flag));
  const isEcdsa = keyPlan.keyMode === "ecdsa-peripheral";
  return {
    ...keyPlan,
    subject: args.get("subject") ?? `CN=${escapeName(id)}`,
    sans: sansOf(args),
    ...daysOf(args),
    ...usageOf(args),
    data: await dataOf(args, io),
    key: wantsKey ? keyOptions(args, isDs ? "rsa" : "ec") : isDs ? { type: "rsa" } : {},
    efuseKeyFile: isEcdsa ? paths.key : args.get("hmac-key") ?? paths.hmacKey,
  };
}

function report(
  id: string,
  made: ProvisionResult,
  paths: OutputPaths,
  ca: OpenCa,
  args: Arguments,
  io: Io,
): void {
  const { efuse } = made;
  const certificate = reportCertificate(readCertificate(made.deviceCert));
  const { image, certificate: pem, key, efusePlan, hmacKey } = paths;
  const isNewKey = efuse?.hmacKey !== undefined && !args.has("hmac-key");
  const files = {
    image,
    certificate: pem,
    key,
    ...efuse && { efusePlan },
    ...isNewKey && { hmacKey },
  };
  if (args.has("json")) {
    const caReport = { path: ca.path, created: ca.files.length > 0 };
    const json = { id, files, image: imageReport(made, image), certificate, ca: caReport };
    io.print(JSON.stringify(efuse === undefined ? json : { ...json, efuse: efuse.plan }, null, 2));
  } else {
    const wrote = Object.values(files).map((path) => `  wrote    ${path}`);
    io.print(
      [`provisioned ${id}`, ...renderCertificate(certificate).map((line) => `  ${line}`), ...wrote]
        .join("\n"),
    );
  }
  if (efuse !== undefined) io.note(burnNotes(efuse, efusePlan));
  if (!args.has("json")) io.note(nextSteps(image, buildOptionsOf(args), args.get("chip")));
}

/** A CA, from its folder or just made. */
export interface OpenCa {
  readonly path: string;
  readonly issuer: Issuer;
  /** The files of a CA that was made just now, not yet written. */
  readonly files: readonly OutputFile[];
}

/** The CA of a folder; a development CA when the folder is empty. */
export async function openCa(path: string, args: Arguments, io: Io): Promise<OpenCa> {
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

interface OutputPaths {
  readonly image: string;
  readonly certificate: string;
  readonly key: string;
  readonly efusePlan: string;
  readonly hmacKey: string;
}

function outputPaths(out: string): OutputPaths {
  return {
    image: joinPath(out, "esp_secure_cert.bin"),
    certificate: joinPath(out, "device.pem"),
    key: joinPath(out, "device.key.pem"),
    efusePlan: joinPath(out, "efuse_plan.json"),
    hmacKey: joinPath(out, "hmac_key.bin"),
  };
}

/** A device's name inside a distinguished name. */
function escapeName(id: string): string {
  return id.replace(/[,+"\\<>;=#]/g, "\\$&");
}
