import type { provision } from "../../toolkit/provision.ts";
import { type Arguments, type Command, refuseIdle } from "../command.ts";
import { fileError } from "../errors.ts";
import {
  CA_CERT,
  CA_DIR,
  CHIP,
  DAYS,
  FORCE,
  FORCE_KEY,
  IMAGE_FLAGS,
  JSON_FLAG,
  KEY_FLAGS,
  OUT_DIR,
  PASSWORD_FILE,
  SAN,
  SUBJECT,
  TABLE,
  USAGE,
} from "../flags.ts";
import type { OpenCa } from "../input/ca.ts";
import { daysOf, sansOf, usageOf } from "../input/certificates.ts";
import { readFlag } from "../input/files.ts";
import { buildOptionsOf, dataOf } from "../input/images.ts";
import { deviceKeyOptions, keyPlanOf, noteSlowKey, readHmacKey } from "../input/keys.ts";
import { type Io, joinPath, textFile } from "../io.ts";
import { forceOf, noteIssuer, outputFolder, printJson } from "../output/out.ts";
import type { EfuseFiles } from "../output/efuse_files.ts";
import { printableLine } from "../render/text.ts";

/** Provisions one device: key, certificate and a verified image in a folder. */
export const command: Command = {
  flags: [
    { name: "id", value: "NAME", help: "the device's name; its subject is CN=NAME" },
    { ...SUBJECT, default: "CN=NAME" },
    CA_DIR,
    CA_CERT,
    CHIP,
    ...KEY_FLAGS,
    DAYS,
    SAN,
    USAGE,
    ...IMAGE_FLAGS,
    TABLE,
    PASSWORD_FILE,
    OUT_DIR,
    FORCE,
    FORCE_KEY,
    JSON_FLAG,
  ],
  exit1: "it failed, or the image would be bad and is not written",
  examples: [
    {
      permissions: "--allow-read=ca,device-1 --allow-write=ca,device-1",
      line: "provision --id device-1 --chip esp32c3 -o device-1",
    },
  ],
  async run(args, io) {
    const { readCertificate } = await import("../../crypto/x509/certificate.ts");
    const { provision } = await import("../../toolkit/provision.ts");
    const { openCa } = await import("../input/ca.ts");
    const { efuseFiles } = await import("../output/efuse_files.ts");
    const { destinationOf, noteNextSteps } = await import("../output/next_steps.ts");
    const { showingFindings } = await import("../output/images.ts");
    const id = args.need("id");
    const out = outputFolder(args);
    const paths = {
      image: joinPath(out, "esp_secure_cert.bin"),
      certificate: joinPath(out, "device.pem"),
      key: joinPath(out, "device.key.pem"),
    };
    const device = await deviceOptions(id, args, io);
    const hmacKey = await readHmacKey(args, io);
    const ca = await openCa(args.get("ca") ?? "ca", args, io);
    if (ca.files.length > 0) {
      const hint = "make a CA first, with the ca command";
      refuseIdle(args, ["password-file"], `is for the key of a CA, and ${ca.path} has none`, hint);
    }
    noteSlowKey(device.key ?? {}, io);
    const options = { ...device, hmacKey: hmacKey?.bytes, issuer: ca.issuer };
    const made = await showingFindings(() => provision(options), io);
    const destination = await destinationOf(made.image, args, io);
    const given = { hmacKey, privateKeyFile: paths.key };
    const [efuse] = efuseFiles(made.efuseKeys, options.chip, given, paths.image);
    if (efuse === undefined && forceOf(args)) await refuseStalePlan(out, io);
    const provisioned: Provisioned = { id, made, paths, ca, efuse };
    await writeDevice(provisioned, args, io);
    noteIssuer(readCertificate(ca.issuer.certificate), made.certificate, io);
    await report(provisioned, args, io);
    noteNextSteps(paths.image, efuse === undefined ? [] : [efuse], destination, args, io);
    return 0;
  },
};

/** A device that is made and not yet written. */
interface Provisioned {
  readonly id: string;
  readonly made: Awaited<ReturnType<typeof provision>>;
  readonly paths: { readonly image: string; readonly certificate: string; readonly key: string };
  readonly ca: OpenCa;
  readonly efuse?: EfuseFiles;
}

async function deviceOptions(
  id: string,
  args: Arguments,
  io: Io,
): Promise<Omit<Parameters<typeof provision>[0], "issuer">> {
  const { escapeNameValue } = await import("../../crypto/x509/names.ts");
  const keyPlan = await keyPlanOf(args);
  return {
    ...buildOptionsOf(args),
    ...keyPlan,
    subject: args.get("subject") ?? `CN=${escapeNameValue(id)}`,
    sans: sansOf(args),
    days: daysOf(args),
    usage: usageOf(args),
    data: await dataOf(args, io),
    key: await deviceKeyOptions(keyPlan.keyMode, args),
    caCert: await readFlag("ca-cert", args, io),
  };
}

/** Someone would burn the key of another image. */
async function refuseStalePlan(out: string, io: Io): Promise<void> {
  const path = joinPath(out, "efuse_plan.json");
  if (await io.readIfExists(path) === undefined) return;
  const message = `${path} belongs to another image, and this one needs no eFuse key`;
  throw fileError("ERR_FILE_EXISTS", path, message, "write to another folder");
}

async function writeDevice(
  { made, paths, ca, efuse }: Provisioned,
  args: Arguments,
  io: Io,
): Promise<void> {
  const { exportPrivateKey } = await import("../../crypto/keys/keys.ts");
  const ifTaken = "write to another folder for another device, " +
    "or give --force-key to replace it: the key that is there is lost then";
  const files = [
    ...ca.files,
    ...efuse?.files ?? [],
    { path: paths.key, bytes: exportPrivateKey(made.key), secret: true, keep: true, ifTaken },
    textFile(paths.certificate, made.certificate.pem),
    { path: paths.image, bytes: made.image, secret: true, keep: false },
  ];
  await io.write(files, forceOf(args), { makeFolders: true });
}

async function report(
  { id, made, paths, ca, efuse }: Provisioned,
  args: Arguments,
  io: Io,
): Promise<void> {
  const { reportCertificate } = await import("../../toolkit/inspect.ts");
  const { planJson } = await import("../output/efuse_files.ts");
  const { imageReport } = await import("../output/images.ts");
  const { renderCertificate } = await import("../render/entries.ts");
  const certificate = reportCertificate(made.certificate);
  const [newKey, ...moreKeys] = efuse?.newKeyPaths ?? [];
  const files = {
    ...paths,
    efusePlan: efuse?.planPath,
    hmacKey: moreKeys.length === 0 ? newKey : undefined,
    keyHalves: moreKeys.length === 0 ? undefined : efuse?.newKeyPaths,
  };
  if (args.has("json")) {
    printJson({
      id,
      files,
      image: imageReport(made, paths.image),
      certificate,
      ca: { path: ca.path, created: ca.files.length > 0 },
      efuse: efuse && planJson(efuse),
    }, io);
  } else {
    io.print([
      `provisioned ${printableLine(id)}`,
      ...renderCertificate(certificate).map((line) => `  ${line}`),
      ...Object.values(files).flat().filter((path) => path !== undefined).map((path) =>
        `  wrote    ${path}`
      ),
    ].join("\n"));
  }
}
