import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { isPem } from "../../bytes/pem.ts";
import { decodeUtf8 } from "../../bytes/text.ts";
import { importPrivateKey } from "../../crypto/keys/keys.ts";
import { type ImageFormat, TLV_TYPES } from "../../format/names.ts";
import { partitionSizeOf } from "../../image/encode.ts";
import { encodeCsvImage } from "../../toolkit/build.ts";
import { type CsvPlan, hmacKeyOf, planFromCsv } from "../../toolkit/plan/csv.ts";
import { formatProblems, type PlannedEntry } from "../../toolkit/plan/entry.ts";
import { type Plan, planEntries } from "../../toolkit/plan/planner.ts";
import type { Finding, FindingCode } from "../../findings/findings.ts";
import { verify } from "../../verify/verify.ts";
import type { ConfigureArguments } from "./arguments.ts";
import { csvLoad, readText } from "../input/files.ts";
import type { Io } from "../io.ts";
import { noteFindings } from "../output/images.ts";
import { keepEfuseKeys } from "./efuse_keys.ts";
import { type Burn, nextSteps } from "../render/next_steps.ts";
import { printEntries } from "./lines.ts";
import { IMAGE_PATH } from "./paths.ts";
import { signImage } from "./sign.ts";

const FORMATS: Readonly<Record<ConfigureArguments["type"], ImageFormat>> = {
  cust_flash_tlv: "tlv",
  cust_flash: "cust_flash",
  nvs: "nvs",
};
/** KEYn that the tool's help names as the default. */
const DEFAULT_KEY_ID = 1;
/** Findings about the credentials, which that tool puts into an image as they come. */
const CREDENTIAL_CODES: ReadonlySet<FindingCode> = new Set<FindingCode>([
  "KEY_MISMATCH",
  "CERT_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_WEAK",
]);

/**
 * Builds an image from flags and a CSV; gives the path of the file to flash.
 *
 * @param found Takes what was found in the image.
 */
export async function buildConfigured(
  given: ConfigureArguments,
  io: Io,
  found: Finding[],
): Promise<string> {
  const csv = await readPlan(given, io);
  const entries = [...await flagEntries(given, io), ...csv.entries];
  const { chip, password } = given;
  const planned = await planEntries(entries, {
    chip,
    password,
    makeHmacKeys: true,
    allowWeak: true,
    allowRefused: !given.verify,
    random: io.random,
  });
  refuse(csv, planned, given, io);
  const format = FORMATS[given.type];
  const { image, isRestored } = await encodeCsvImage(planned.entries, csv, { format });
  found.push(...await checkImage(image, given.verify && !isRestored, io));
  const signed = given.secureSign ? await signImage(image, given, io) : undefined;
  const efuses = await keepEfuseKeys(planned.efuseKeys, given, io);
  const file = { path: IMAGE_PATH, bytes: image, secret: true, keep: false };
  await io.write([file], "files", { makeFolders: true });
  printEntries(image, entries.length, format, io);
  io.print(`Partition generated: ${IMAGE_PATH}`);
  const path = signed === undefined ? IMAGE_PATH : await signed.write();
  noteSteps(path, { format, efuses }, given, io);
  return path;
}

/** The steps of every command, in the spelling that scripts around that tool know. */
function noteSteps(
  image: string,
  { format, efuses }: { readonly format: ImageFormat; readonly efuses: readonly Burn[] },
  { chip, port = "<PORT>", offset }: ConfigureArguments,
  io: Io,
): void {
  const place = { offset: Number(offset), size: partitionSizeOf({ format }) };
  const dialect = { version: 4, port } as const;
  io.note(nextSteps({ image, layout: { format }, chip, efuses, place, dialect }, io));
}

async function readPlan({ csv }: ConfigureArguments, io: Io): Promise<CsvPlan> {
  if (csv === undefined) return { entries: [], image: {}, problems: [] };
  return await planFromCsv(await readText(csv, io), csvLoad(csv, io));
}

/** CA, device certificate, private key: the order of that tool. */
async function flagEntries(given: ConfigureArguments, io: Io): Promise<PlannedEntry[]> {
  const { ESP_SECURE_CERT_CA_CERT_TLV: ca, ESP_SECURE_CERT_DEV_CERT_TLV: dev } = TLV_TYPES;
  const entries: PlannedEntry[] = [];
  const add = async (type: number, path: string | undefined) => {
    if (path !== undefined) entries.push({ type, data: await io.read(path) });
  };
  await add(ca, given.caCert);
  await add(dev, given.deviceCert);
  if (given.privateKey !== undefined) entries.push(await keyEntry(given.privateKey, given, io));
  return entries;
}

async function keyEntry(path: string, given: ConfigureArguments, io: Io): Promise<PlannedEntry> {
  const type = TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV;
  const data = await io.read(path);
  const { password, algorithm } = given;
  if (!given.configureDs) return await plainKey({ type, data }, data, given);
  const key = await importPrivateKey(data, { password });
  const kind = algorithm?.name ?? (key.type === "rsa" ? "RSA" : "ECDSA");
  if (given.efuseKeyId === undefined) {
    io.note(`note: --efuse_key_id is not given: KEY${DEFAULT_KEY_ID} is taken`);
  }
  // A path that leads nowhere is an error, whatever the key would need it for.
  const hmacKey = given.efuseKeyFile === undefined ? undefined : await io.read(given.efuseKeyFile);
  return {
    type,
    data: key,
    keyMode: kind === "RSA" ? "rsa-ds" : "ecdsa-peripheral",
    efuseKeyId: given.efuseKeyId ?? DEFAULT_KEY_ID,
    algorithm: algorithm?.name,
    keySize: algorithm?.bits,
    ...kind === "RSA" && hmacKey ? hmacKeyOf(hmacKey, given.efuseKeyFile!) : {},
  };
}

/** The nvs layout stores PEM as it came, when it came unprotected. */
async function plainKey(
  entry: PlannedEntry,
  data: Uint8Array,
  given: ConfigureArguments,
): Promise<PlannedEntry> {
  const { password, type } = given;
  const text = decodeUtf8(data) ?? "";
  if (type !== "nvs" || !isPem(text) || /ENCRYPTED/.test(text)) return entry;
  await importPrivateKey(data, { password });
  return { ...entry, stored: { raw: true, nul: true } };
}

function refuse(
  csv: CsvPlan,
  planned: Plan,
  given: ConfigureArguments,
  io: Io,
): void {
  const problems = [...csv.problems, ...planned.problems];
  if (problems.length > 0) {
    const message = `Cannot build image:\n  ${formatProblems(problems)}`;
    const line = problems.find(({ line }) => line !== undefined)?.line;
    throw new SecureCertError("ERR_PLAN", message, { line }, { problems });
  }
  if (planned.mismatches.length === 0) return;
  const list = formatProblems(planned.mismatches);
  if (given.verify) throw new SecureCertError("ERR_VERIFY", `Cannot build image: ${list}`);
  io.note(`warning: ${list}`);
}

/**
 * Checks what that tool never looked at. What would not work on the chip is refused, unless the user
 * overrides that or the image comes back as it was extracted; what is wrong with the credentials
 * themselves is shown, and left to the user.
 */
async function checkImage(image: Bytes, refuses: boolean, io: Io): Promise<readonly Finding[]> {
  const { findings } = await verify(image);
  const isFatal = ({ severity, code }: Finding) =>
    refuses && severity === "error" && !CREDENTIAL_CODES.has(code);
  const shown = findings.map((finding): Finding =>
    isFatal(finding) ? finding : { ...finding, severity: "warning" }
  );
  noteFindings(shown, io);
  const fatal = findings.find(isFatal);
  if (fatal === undefined) return shown;
  const message = `Cannot build image: ${fatal.message} (${fatal.code})`;
  throw new SecureCertError("ERR_VERIFY", message, fatal.place);
}
