import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, equalBytes } from "../../bytes/pack.ts";
import { isPem } from "../../bytes/pem.ts";
import { decodeUtf8, formatHex } from "../../bytes/text.ts";
import { decodeKeyParts } from "../../crypto/keys/encoding.ts";
import { importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import type { Finding, FindingCode } from "../../findings/findings.ts";
import { type ImageFormat, TLV_TYPES } from "../../format/names.ts";
import { DEFAULT_PARTITION_SIZE, walkPartition } from "../../format/partition.ts";
import { partitionSizeOf } from "../../image/encode.ts";
import { efuseOutput, encodeCsvImage } from "../../toolkit/build.ts";
import {
  type CsvPlan,
  formatProblems,
  hmacKeyOf,
  planFromCsv,
  type PlannedEntry,
} from "../../toolkit/plan/entry.ts";
import { type EfuseKey, type Plan, planEntries } from "../../toolkit/plan/planner.ts";
import { verify } from "../../verify/verify.ts";
import { csvLoad, readText } from "../input/files.ts";
import { type Io, joinPath, type OutputFile } from "../io.ts";
import { noteFindings } from "../output/images.ts";
import { type Burn, nextSteps } from "../render/next_steps.ts";
import { type ConfigureArguments, DATA_FOLDER, IMAGE_PATH } from "./arguments.ts";
import { printSigned, signImage } from "./sign.ts";

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
  const keys = await keysToBurn(planned.efuseKeys, given, io);
  const file = { path: IMAGE_PATH, bytes: image, secret: true, keep: false };
  const files = [...keys.files, file, ...signed === undefined ? [] : [signed]];
  await io.write(files, "files", { makeFolders: true });
  for (const note of keys.notes) io.note(note);
  printEntries(image, entries.length, format, io);
  io.print(`Partition generated: ${IMAGE_PATH}`);
  if (signed !== undefined) printSigned(signed, io);
  const path = signed?.path ?? IMAGE_PATH;
  noteSteps(path, { format, efuses: keys.burns }, given, io);
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

/** Keys that are to be burned. */
interface KeysToBurn {
  /** Files of their own, in which they are kept. */
  readonly files: readonly OutputFile[];
  /** How to burn them. */
  readonly burns: readonly Burn[];
  /** What a person must know, once the files are written. */
  readonly notes: readonly string[];
}

/** Gives the keys that are to be burned files of their own, under names that are free. */
async function keysToBurn(
  keys: readonly EfuseKey[],
  given: ConfigureArguments,
  io: Io,
): Promise<KeysToBurn> {
  const kept: Kept = { files: new Map(), notes: [] };
  const burns: Burn[] = [];
  for (const key of keys) {
    const file = await keepKey(key, given, kept, io);
    burns.push({ efuse: efuseOutput(key, given.chip, file) });
  }
  if (keys.length > 0) {
    kept.notes.push("note: nothing is burned by this command, and no eFuse is read");
    if (given.keepDsData) {
      kept.notes.push("note: new eFuse keys are kept with or without that flag");
    }
  }
  return { files: [...kept.files.values()], burns, notes: kept.notes };
}

/** What is kept of the keys so far: files by their paths, and notes. */
interface Kept {
  readonly files: Map<string, OutputFile>;
  readonly notes: string[];
}

/** Gives the path of the key file that the burn command is made from. */
async function keepKey(
  key: EfuseKey,
  given: ConfigureArguments,
  kept: Kept,
  io: Io,
): Promise<string> {
  if (key.privateKey !== undefined) {
    return await keepPrivateKey(key, key.privateKey, given, kept, io);
  }
  if (key.file !== undefined) return key.file;
  const path = await keep("hmac_key.bin", (path) => [{ path, bytes: key.hmacKey! }], kept, io);
  const what = key.isNew ? `a new HMAC key for KEY${key.efuseKeyId} is` : "the raw HMAC key is";
  kept.notes.push(`note: ${what} in ${path}: keep it until it is burned`);
  return path;
}

/** The scalar, as that tool keeps it, and what espefuse takes: a PEM, or the halves of a P-384 key. */
async function keepPrivateKey(
  key: EfuseKey,
  { pkcs8 }: PrivateKey,
  { chip }: ConfigureArguments,
  kept: Kept,
  io: Io,
): Promise<string> {
  const parts = decodeKeyParts(pkcs8);
  const filesOf = (path: string) => [
    ...parts.type === "ec" ? [{ path: path.replace(/pem$/, "bin"), bytes: parts.scalar }] : [],
    ...efuseOutput(key, chip, path).keyFiles,
  ];
  return await keep("ecdsa_key.pem", filesOf, kept, io);
}

/**
 * Keeps the files of a key under free names, unless the files of these names hold this very key
 * already; gives the path that they were made from.
 */
async function keep(
  name: string,
  filesOf: (path: string) => readonly { readonly path: string; readonly bytes: Uint8Array }[],
  { files: kept }: Kept,
  io: Io,
): Promise<string> {
  for (let count = 1;; count++) {
    const path = joinPath(DATA_FOLDER, count === 1 ? name : name.replace(".", `_${count}.`));
    const files = filesOf(path);
    const there = await Promise.all(
      files.map(({ path }) => kept.get(path)?.bytes ?? io.readIfExists(path)),
    );
    const isFit = files.every(({ bytes }, at) =>
      there[at] === undefined || equalBytes(there[at], bytes)
    );
    if (!isFit) continue;
    for (const [at, file] of files.entries()) {
      if (there[at] === undefined) kept.set(file.path, { ...file, secret: true, keep: true });
    }
    return path;
  }
}

/** The lines that scripts around Espressif's tool look for. */
function printEntries(
  image: Uint8Array,
  count: number,
  format: ImageFormat,
  io: Io,
): void {
  const done = `Successfully processed ${count} out of ${count} entries`;
  if (format !== "tlv") return io.print(done);
  const { entries, used } = walkPartition(image);
  const last = entries.at(-1);
  const isClosed = last?.value.type === TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV;
  for (const { value: { type, subtype }, size } of isClosed ? entries.slice(0, -1) : entries) {
    io.print(`Added TLV entry: type=${type}, subtype=${subtype}, length=${size}`);
  }
  io.print(done);
  if (isClosed) {
    const { value: { type, subtype, data }, size } = last;
    io.print(`Added TLV entry: type=${type}, subtype=${subtype}, length=${size}`);
    io.print(`Added integrity TLV (subtype ${subtype}) with SHA256: ${formatHex(data)}`);
  }
  io.print(`Total TLV entries: ${entries.length}`);
  io.print(`Total partition size used: ${used} / ${DEFAULT_PARTITION_SIZE} bytes`);
}
