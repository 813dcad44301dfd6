import type { BuildResult } from "../../toolkit/build.ts";
import { type Arguments, type Command, refuseIdle } from "../command.ts";
import { fileError } from "../errors.ts";
import {
  CHIP,
  FORCE,
  FORCE_KEY,
  IMAGE_FLAGS,
  JSON_FLAG,
  OUT_FILE,
  PASSWORD_FILE,
  TABLE,
} from "../flags.ts";
import { csvLoad, readFlag, readText } from "../input/files.ts";
import { buildOptionsOf, dataOf, isPrivateKey } from "../input/images.ts";
import {
  chipOf,
  isPlainPem,
  keyPlanOf,
  passwordOf,
  readHmacKey,
  readRawKey,
} from "../input/keys.ts";
import type { Io } from "../io.ts";
import type { GivenKeys } from "../output/efuse_files.ts";
import { outputPath, printResult, writeOutput } from "../output/out.ts";
import { formatSize } from "../render/text.ts";

/** Flags that a build from a CSV does not take, and where the CSV has what they would say. */
const NOT_WITH_CSV: Readonly<Record<string, string>> = {
  "device-cert": "a row of the CSV names the file",
  "ca-cert": "a row of the CSV names the file",
  "private-key": "a row of the CSV names the file",
  "salt": "a row of the CSV names the file",
  "key-mode": "the column priv_key_type says it",
  "efuse-key-id": "the column efuse_id says it",
};

/** Builds an image from files or from a configuration CSV, and writes it when it is good. */
export const command: Command = {
  flags: [
    {
      name: "csv",
      value: "FILE",
      help: "build from a configuration CSV; the files it names are looked for beside it,\n" +
        "then in the working folder; its rows say what --device-cert, --ca-cert,\n" +
        "--private-key, --salt, --key-mode and --efuse-key-id would",
    },
    { name: "device-cert", value: "FILE", help: "device certificate, PEM (a bundle too) or DER" },
    {
      name: "ca-cert",
      value: "FILE",
      help:
        "CA that the device stores and trusts, PEM (a bundle too) or DER;\nthat of its server, when a cloud issued its certificate",
    },
    { name: "private-key", value: "FILE", help: "private key in any encoding" },
    {
      name: "salt",
      value: "FILE",
      help: "hmac-derived: salt with which the certificate's key was derived,\nraw or as hex",
    },
    {
      name: "ca",
      value: "FILE",
      help: "CA that issued the device certificate, when it is not --ca-cert",
    },
    CHIP,
    ...IMAGE_FLAGS,
    TABLE,
    PASSWORD_FILE,
    OUT_FILE,
    FORCE,
    FORCE_KEY,
    JSON_FLAG,
  ],
  exit1: "it failed, or the image would be bad and is not written",
  examples: [
    {
      permissions:
        "--allow-read=device.pem,ca.pem,device.key.pem --allow-write=esp_secure_cert.bin",
      line:
        "build --device-cert device.pem --ca-cert ca.pem --private-key device.key.pem -o esp_secure_cert.bin",
    },
  ],
  async run(args, io) {
    const isCsv = args.has("csv");
    for (const [name, instead] of isCsv ? Object.entries(NOT_WITH_CSV) : []) {
      refuseIdle(args, [name], "does not go with --csv", instead);
    }
    const out = outputPath(args, { secret: true, binary: true }, io);
    const { efuseFiles, newDerivedKey, planJson, usesHmacKey } = await import(
      "../output/efuse_files.ts"
    );
    const { imageReport, showingFindings } = await import("../output/images.ts");
    const { destinationOf, noteNextSteps } = await import("../output/next_steps.ts");
    const { make, given } = isCsv ? await planCsvBuild(args, io) : await planBuild(args, io);
    const isFirst = isDerivedFirst(args);
    const result = await showingFindings(make, io, isFirst ? ["NO_DEVICE_CERT", "NO_CA_CERT"] : []);
    if (isCsv && !usesHmacKey(result.image)) {
      refuseIdle(args, ["hmac-key"], "is for rows with an eFuse key, and the CSV has none");
    }
    const destination = await destinationOf(result.image, args, io);
    const efuses = efuseFiles(result.efuseKeys, chipOf(args), given, out);
    const derived = isFirst ? newDerivedKey(result, efuses[0], args, out) : undefined;
    const ifTaken = derived?.ifTaken;
    const files = [...efuses.flatMap(({ files }) => files), ...derived?.files ?? []]
      .map((file) => ({ ...file, ifTaken: joinHints(ifTaken, file.ifTaken) }));
    const made = { bytes: result.image, secret: true, mayStay: true, ifTaken };
    await writeOutput(out, made, args, io, files);
    const paths = files.map(({ path }) => path);
    const json = {
      image: imageReport(result, out),
      files: paths.length === 0 ? undefined : paths,
      // The rows of a CSV may need several.
      efuse: isCsv ? efuses.map(planJson) : efuses.map(planJson)[0],
    };
    const restored = result.isRestored ? ", the very one that was extracted" : "";
    const wrote = paths.map((path) => `\nwrote ${path}`).join("");
    const text = `image of ${formatSize(result.image.length)}: ${out}${restored}${wrote}`;
    printResult(out, json, text, args, io);
    noteNextSteps(out, efuses, { ...destination, uncertified: derived?.key }, args, io);
    return 0;
  },
};

/** Whether a key is derived that is still to be certified: the first of two builds. */
function isDerivedFirst(args: Arguments): boolean {
  return args.get("key-mode") === "hmac-derived" && !args.has("device-cert");
}

/** One hint of two, either of which may be missing. */
function joinHints(...hints: readonly (string | undefined)[]): string | undefined {
  return hints.filter((hint) => hint !== undefined).join("; ") || undefined;
}

/** A build that can be started, and the files that hold eFuse keys already. */
interface PlannedBuild {
  readonly make: () => Promise<BuildResult & { readonly isRestored?: boolean }>;
  readonly given: GivenKeys;
}

async function planBuild(args: Arguments, io: Io): Promise<PlannedBuild> {
  const { build } = await import("../../toolkit/build.ts");
  const keyPlan = await keyPlanOf(args);
  const hmacKey = await readHmacKey(args, io);
  const privateKey = await readFlag("private-key", args, io);
  if (privateKey?.length === 0) {
    throw fileError("ERR_IO", args.need("private-key"), "The file of --private-key is empty");
  }
  const keyPath = args.get("private-key");
  const data = await dataOf(args, io);
  if (keyPath === undefined && !data.some(isPrivateKey)) {
    refuseIdle(args, ["password-file"], "goes with --private-key");
  }
  if (!args.has("device-cert")) refuseIdle(args, ["ca"], "goes with --device-cert");
  const plan = {
    ...keyPlan,
    hmacKey: hmacKey?.bytes,
    deviceCert: await readFlag("device-cert", args, io),
    caCert: await readFlag("ca-cert", args, io),
    privateKey,
    password: await passwordOf(args, io, privateKey, keyPath),
    salt: (await readRawKey("salt", args, io))?.bytes,
    data,
  };
  const options = { ...buildOptionsOf(args), ca: await readFlag("ca", args, io) };
  const isReady = privateKey === undefined || await isPlainPem(privateKey);
  const privateKeyFile = isReady ? keyPath ?? "device.key.pem" : undefined;
  return { make: () => build(plan, options), given: { hmacKey, privateKeyFile } };
}

async function planCsvBuild(args: Arguments, io: Io): Promise<PlannedBuild> {
  const { buildFromCsv } = await import("../../toolkit/build.ts");
  const path = args.need("csv");
  const hmacKey = await readHmacKey(args, io);
  const options = {
    ...buildOptionsOf(args),
    chip: chipOf(args),
    hmacKey: hmacKey?.bytes,
    password: await passwordOf(args, io),
    ca: await readFlag("ca", args, io),
    random: io.random,
    makeHmacKeys: true,
    load: csvLoad(path, io),
    entries: await dataOf(args, io),
  };
  const text = await readText(path, io);
  return { make: () => buildFromCsv(text, options), given: { hmacKey } };
}
