import type { Issuer } from "../../crypto/x509/issue.ts";
import { readCertificate } from "../../crypto/x509/certificate.ts";
import { escapeNameValue } from "../../crypto/x509/names.ts";
import { exportPrivateKey, importPrivateKey } from "../../crypto/keys/keys.ts";
import { reportCertificate } from "../../toolkit/inspect.ts";
import {
  createDevelopmentCa,
  provision,
  type ProvisionOptions,
  type ProvisionResult,
} from "../../toolkit/provision.ts";
import type { Arguments } from "../arguments.ts";
import { burnNotes, newKeyFile, planFile, planJson } from "../efuse_files.ts";
import { fileError } from "../errors.ts";
import { buildJudged, buildOptionsOf, imageReport } from "../images.ts";
import {
  dataOf,
  daysOf,
  hasRawHmacKey,
  keyOptions,
  keyPlanOf,
  noteSlowKey,
  passwordOf,
  pemBytes,
  sansOf,
  usageOf,
} from "../inputs.ts";
import { type Io, joinPath, type OutputFile } from "../io.ts";
import { folderOf, noteIssuer } from "../outputs.ts";
import { nextSteps } from "../render/next_steps.ts";
import { renderCertificate } from "../render/entries.ts";
import type { Command } from "../run.ts";

/** Provisions one device: key, certificate and image into a folder, the image judged good. */
export const provisionCommand: Command = async (args, io) => {
  const id = args.need("id");
  const out = folderOf(args);
  const paths = outputPaths(out);
  const isRaw = await hasRawHmacKey(args, io);
  const options = { ...await deviceOptions(id, paths, isRaw, args, io), ...buildOptionsOf(args) };
  const ca = await openCa(args.get("ca") ?? "ca", args, io);
  noteSlowKey(options.key ?? {}, io);
  const made = await buildJudged(() => provision({ ...options, issuer: ca.issuer }), io);
  const { efuse } = made;
  if (ca.files.length > 0) await io.makeDir(ca.path);
  await io.makeDir(out);
  const force = args.has("force");
  if (efuse === undefined && force) await refuseStalePlan(paths, io);
  await io.write([
    ...ca.files,
    ...efuse === undefined ? [] : newKeyFile(efuse, isRaw, paths.hmacKey),
    ...efuse === undefined ? [] : [planFile(efuse, paths.efusePlan)],
    // For the ECDSA peripheral this file is the eFuse key, which is never overwritten.
    {
      path: paths.key,
      bytes: await exportPrivateKey(made.key),
      secret: true,
      keep: options.keyMode === "ecdsa-peripheral",
    },
    { path: paths.certificate, bytes: made.deviceCert },
    { path: paths.image, bytes: made.image, secret: true },
  ], force);
  noteIssuer(readCertificate(ca.issuer.certificate), readCertificate(made.deviceCert), io);
  report({ id, made, paths, ca, isRaw }, args, io);
  return 0;
};

/** Somebody would burn the key of another image. */
async function refuseStalePlan({ efusePlan }: OutputPaths, io: Io): Promise<void> {
  if (await io.readIfExists(efusePlan) === undefined) return;
  const message = `${efusePlan} belongs to another image, and this one needs no eFuse key`;
  throw fileError("ERR_FILE_EXISTS", efusePlan, message, "write to another folder");
}

async function deviceOptions(
  id: string,
  paths: OutputPaths,
  isRaw: boolean,
  args: Arguments,
  io: Io,
): Promise<Omit<ProvisionOptions, "issuer">> {
  const keyPlan = await keyPlanOf(args, io);
  const isDs = keyPlan.keyMode === "rsa-ds";
  const wantsKey = ["type", "curve", "bits"].some((flag) => args.has(flag));
  const isEcdsa = keyPlan.keyMode === "ecdsa-peripheral";
  return {
    ...keyPlan,
    subject: args.get("subject") ?? `CN=${escapeNameValue(id)}`,
    sans: sansOf(args),
    ...daysOf(args),
    ...usageOf(args),
    data: await dataOf(args, io),
    key: wantsKey ? keyOptions(args, isDs ? "rsa" : "ec") : isDs ? { type: "rsa" } : {},
    efuseKeyFile: isEcdsa ? paths.key : isRaw ? args.need("hmac-key") : paths.hmacKey,
  };
}

interface Provisioned {
  readonly id: string;
  readonly made: ProvisionResult;
  readonly paths: OutputPaths;
  readonly ca: OpenCa;
  /** Whether the HMAC key lies in a file that espefuse can burn. */
  readonly isRaw: boolean;
}

function report(
  { id, made, paths, ca, isRaw }: Provisioned,
  args: Arguments,
  io: Io,
): void {
  const { efuse } = made;
  const certificate = reportCertificate(readCertificate(made.deviceCert));
  const { image, certificate: pem, key, efusePlan, hmacKey } = paths;
  const isNewKey = efuse?.hmacKey !== undefined && !isRaw;
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
    io.print(
      JSON.stringify(efuse === undefined ? json : { ...json, efuse: planJson(efuse) }, null, 2),
    );
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
    const options = await passwordOf(args, io, key, keyPath);
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
