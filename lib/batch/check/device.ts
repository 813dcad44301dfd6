import { equalBytes } from "../../bytes/pack.ts";
import { formatPem, parsePem, pemText } from "../../bytes/pem.ts";
import { encodeUtf8, formatBase64, formatHex, shownWord } from "../../bytes/text.ts";
import { sha256 } from "../../crypto/deps.ts";
import type { PrivateKey } from "../../crypto/keys/encoding.ts";
import { HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac.ts";
import {
  type Certificate,
  CERTIFICATE_LABELS,
  type CertificateInput,
  type CertificateReader,
  readCertificate,
  readCertificates,
} from "../../crypto/x509/certificate.ts";
import { readRequest } from "../../crypto/x509/request.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { keyModeOf } from "../../image/contents/contents.ts";
import { type CheckedImage, checkImage, type VerifyOptions } from "../../verify/verify.ts";
import { paths } from "../files.ts";
import { formatLabel } from "../label.ts";
import type { ManifestRow } from "../manifest.ts";
import type { Awaitable } from "../ports.ts";
import {
  checkEfusePlan,
  checkSecrets,
  filesNeeded,
  filesNotNeeded,
  type KeptFiles,
} from "./files.ts";
import { attempt, type BatchProblem, problem } from "./problem.ts";

/** The files of a finished batch. */
export interface FinishedFiles {
  /** Name of the batch, for messages. */
  readonly name: string;
  /** A file's bytes, by its path such as `images/dev-1.bin`; undefined when it is not there. */
  read(path: string): Awaitable<Uint8Array | undefined>;
  /** Whether a file is there. */
  has(path: string): Awaitable<boolean>;
}

/** How {@linkcode checkDevice} checks. */
export interface DeviceCheckOptions {
  /** The CA that should have issued the device certificate, PEM (a bundle too) or DER. */
  readonly ca?: CertificateInput;
  /** The chip that is to read the image. @default `ownChip` */
  readonly chip?: ChipName;
  /** The chip of this device, by the device list or the profile. @default that of its eFuse plan */
  readonly ownChip?: ChipName;
  /** Report RSA keys of fewer than 2048 bits as a warning, not as an error. @default false */
  readonly allowWeak?: boolean;
  /** The time at which certificates should be valid. @default the system clock */
  readonly now?: () => Date;
  /** What reads certificates; one that remembers them takes a third of the time in a batch. */
  readonly certificatesOf?: (input: CertificateInput) => readonly Certificate[];
  /** What the batch has of the files that all of its devices have, or none. */
  readonly kept: KeptFiles;
  /** Whether the batch has signing requests, which are not needed any more. @default false */
  readonly hasRequests?: boolean;
}

/**
 * Whether the files of a device are those of its row, and its image good: image and certificate, keys,
 * eFuse plan, label and signing request.
 *
 * @param row Its row of the manifest.
 * @param files The files of its batch.
 * @param options As of `verify`, and what the batch has.
 * @returns Everything that is wrong.
 */
export async function checkDevice(
  row: ManifestRow,
  files: FinishedFiles,
  options: DeviceCheckOptions,
): Promise<BatchProblem[]> {
  const { id } = row;
  if (row.status === "failed") return [problem("FAILED_DEVICE", id, "listed as failed")];
  const { kept, hasRequests = false, ownChip, ...verifyOptions } = options;
  const needed = filesNeeded(row, kept);
  const wanted = [paths.image(id), paths.certificate(id), paths.label(id), ...needed];
  const names = [...new Set(hasRequests ? [...wanted, paths.request(id)] : wanted)];
  const found = new Map(
    await Promise.all(names.map(async (name) => [name, await files.read(name)] as const)),
  );
  const fileOf = (path: (id: string) => string) => found.get(path(id));
  const [plan, hmacKey] = [fileOf(paths.efusePlan), fileOf(paths.hmacKey)];
  const [label, request] = [fileOf(paths.label), fileOf(paths.request)];
  const known = options.chip ?? ownChip;
  const checkedPlan = plan && checkEfusePlan(row, plan, known);
  const image = await checkImageFiles(
    row,
    { image: fileOf(paths.image), certificate: fileOf(paths.certificate) },
    {
      ...verifyOptions,
      chip: known ?? checkedPlan?.chip,
      hmacKey: hmacKey?.length === HMAC_KEY_SIZE ? hmacKey : undefined,
    },
  );
  return [
    ...image.problems,
    ...await findNotNeeded(row, files),
    ...needed.filter((name) => found.get(name) === undefined)
      .map((name) => missingFile(id, name, files)),
    ...checkedPlan?.problems ?? [],
    ...await checkSecrets(row, {
      key: fileOf(paths.key),
      keyHalves: [fileOf(paths.keyLow), fileOf(paths.keyHigh)],
      hmacKey,
      salt: fileOf(paths.salt),
    }, { known: image.key }),
    ...label ? checkLabel(row, label) : [],
    ...request ? await checkRequest(row, request) : [],
  ];
}

/**
 * Files that a verified device needs and that cannot go with it to another place: they are not there, are
 * empty, or are not those of the manifest, such as another device's key. What is in them is not checked
 * otherwise.
 */
export async function findLostFiles(
  row: ManifestRow,
  files: FinishedFiles,
  kept: KeptFiles,
): Promise<BatchProblem[]> {
  const { id, imageSha256 } = row;
  const [image, certificate] = [paths.image(id), paths.certificate(id)];
  const names = [image, certificate, ...filesNeeded(row, kept)];
  const found = await Promise.all(
    names.map(async (name) => [name, await files.read(name)] as const),
  );
  const problems: BatchProblem[] = [];
  for (const [name, bytes] of found) {
    if (bytes === undefined) {
      // One that is there and cannot be read is reported where it is read.
      if (!await files.has(name)) problems.push(missingFile(id, name, files));
    } else if (bytes.length === 0) {
      problems.push(problem("MISSING_FILE", id, `${name} of ${files.name} is empty`));
    } else if (name === certificate) problems.push(...await checkFingerprint(row, bytes));
    else if (name === image && formatHex(sha256(bytes)) !== imageSha256.toLowerCase()) {
      problems.push(problem("WRONG_IMAGE", id, `${name} is not the one that the manifest lists`));
    }
  }
  const whole = new Map(found.filter(([, bytes]) => bytes !== undefined && bytes.length > 0));
  const secrets = {
    key: whole.get(paths.key(id)),
    keyHalves: [whole.get(paths.keyLow(id)), whole.get(paths.keyHigh(id))],
    hmacKey: whole.get(paths.hmacKey(id)),
  };
  return [...problems, ...await checkSecrets(row, secrets, { isQuick: true })];
}

async function checkFingerprint(
  { id, fingerprint }: ManifestRow,
  bytes: Uint8Array,
): Promise<BatchProblem[]> {
  const certificate = await attempt(() => readCertificate(bytes));
  const isListed = typeof certificate !== "string" &&
    formatHex(sha256(certificate.der)) === fingerprint.toLowerCase();
  if (isListed) return [];
  const message = `${paths.certificate(id)} is not the one that the manifest lists`;
  return [problem("WRONG_CERTIFICATE", id, message)];
}

/** Files that a device of its key mode does not have, such as another device's would be. */
async function findNotNeeded(row: ManifestRow, files: FinishedFiles): Promise<BatchProblem[]> {
  const problems: BatchProblem[] = [];
  for (const name of filesNotNeeded(row)) {
    if (!await files.has(name)) continue;
    problems.push(
      problem("STRAY_FILE", row.id, `${name} does not go with ${shownWord(row.keyMode)}`),
    );
  }
  return problems;
}

function missingFile(id: string, path: string, { name }: FinishedFiles): BatchProblem {
  return problem("MISSING_FILE", id, `${path} is not in ${name}`);
}

/** Whether a label is the device's. */
function checkLabel(row: ManifestRow, bytes: Uint8Array): BatchProblem[] {
  if (equalBytes(bytes, encodeUtf8(labelOf(row)))) return [];
  return [problem("WRONG_LABEL", row.id, "its label is not that of its name and serial number")];
}

/** Empty for a name and serial number that no label can hold. */
function labelOf(row: ManifestRow): string {
  try {
    return formatLabel(row);
  } catch {
    return "";
  }
}

/** Whether a signing request is the device's. */
async function checkRequest(
  { id, publicKey }: ManifestRow,
  bytes: Uint8Array,
): Promise<BatchProblem[]> {
  const wrong = (what: string) => [problem("WRONG_REQUEST", id, `its signing request ${what}`)];
  const key = await attempt(async () => (await readRequest(bytes)).publicKey);
  if (typeof key === "string") return wrong(`is not one: ${key}`);
  return formatBase64(key) === publicKey ? [] : wrong("is for another key");
}

/** Image and certificate of a device, as far as they are there. */
interface ImageFiles {
  /** `images/ID.bin`. */
  readonly image?: Uint8Array;
  /** `certificates/ID.pem`. */
  readonly certificate?: Uint8Array;
}

/** How {@linkcode checkImageFiles} checks. */
interface ImageCheckOptions
  extends Pick<VerifyOptions, "ca" | "chip" | "hmacKey" | "allowWeak" | "now"> {
  /** What reads certificates. */
  readonly certificatesOf?: CertificateReader;
}

/** What {@linkcode checkImageFiles} found. */
interface CheckedImageFiles {
  readonly problems: readonly BatchProblem[];
  /** The private key that was read in the image. */
  readonly key?: PrivateKey;
}

/** Whether image and certificate are those of a verified device's row, and the image good. */
async function checkImageFiles(
  row: ManifestRow,
  files: ImageFiles,
  { certificatesOf = readCertificates, ...options }: ImageCheckOptions,
): Promise<CheckedImageFiles> {
  const certificate = await checkCertificateFile(row, files.certificate, certificatesOf);
  const { problems, key } = await checkImageFile(row, files.image, certificate.info, options);
  return { problems: [...certificate.problems, ...problems], key };
}

interface CheckedCertificate {
  readonly info?: Certificate;
  readonly problems: readonly BatchProblem[];
}

async function checkCertificateFile(
  { id, fingerprint, serial, publicKey }: ManifestRow,
  bytes: Uint8Array | undefined,
  certificatesOf: CertificateReader,
): Promise<CheckedCertificate> {
  if (bytes === undefined) {
    return { problems: [problem("MISSING_FILE", id, "its certificate is not there")] };
  }
  const wrong = (message: string) => [problem("WRONG_CERTIFICATE", id, message)];
  const info = await attempt(() => certificatesOf(bytes)[0]!);
  if (typeof info === "string") return { problems: wrong(info) };
  if (formatHex(sha256(info.der)) !== fingerprint.toLowerCase()) {
    return { info, problems: wrong("its certificate file holds another certificate") };
  }
  if (formatBase64(info.publicKey) !== publicKey || info.serial !== serial.toLowerCase()) {
    const message = "serial number or key of its certificate are not those of the manifest";
    return { info, problems: wrong(message) };
  }
  const isPure = holdsOnlyCertificates(bytes);
  return { info, problems: isPure ? [] : wrong("its certificate file holds more than that") };
}

/** Whether a file is one DER, or PEM of certificates and of nothing else, such as a key. */
function holdsOnlyCertificates(bytes: Uint8Array): boolean {
  const text = pemText(bytes);
  if (text === undefined) return true;
  const blocks = parsePem(text);
  const whole = blocks.map(({ label, bytes }) => formatPem(label, bytes)).join("");
  return blocks.every(({ label }) => CERTIFICATE_LABELS.includes(label)) &&
    whole.replace(/\s/g, "") === text.replace(/\s/g, "");
}

async function checkImageFile(
  row: ManifestRow,
  bytes: Uint8Array | undefined,
  certificate: Certificate | undefined,
  options: VerifyOptions,
): Promise<CheckedImageFiles> {
  const { id, imageSha256 } = row;
  if (bytes === undefined) {
    return { problems: [problem("MISSING_FILE", id, "its image is not there")] };
  }
  const hash = formatHex(sha256(bytes));
  const problems: BatchProblem[] = [];
  const isListed = hash === imageSha256.toLowerCase();
  if (!isListed) {
    problems.push(problem("WRONG_IMAGE", id, `SHA-256 of its image is ${hash}`));
  }
  const checked = await checkImage(bytes, options);
  // What is wrong with the listed image only when it is opened with the HMAC key is the key's fault.
  const keyless = options.hmacKey === undefined || checked.ok
    ? checked
    : await checkImage(bytes, { ...options, hmacKey: undefined });
  const usual = new Set(keyless.findings.map(({ message }) => message));
  for (const { severity, code, message } of checked.findings) {
    if (severity !== "error") continue;
    const isKeys = isListed && !usual.has(message);
    const what = isKeys ? "WRONG_KEY" : "BAD_IMAGE";
    problems.push(problem(what, id, `${isKeys ? "its HMAC key: " : ""}${code}: ${message}`));
  }
  return {
    problems: [...problems, ...checkContents(row, keyless, certificate)],
    key: checked.credentials.keyEntry?.key,
  };
}

/** Whether the image is this device's: its certificate, and how its key is kept. */
function checkContents(
  { id, keyMode, efuseKeyId }: ManifestRow,
  { credentials, format }: CheckedImage,
  certificate: Certificate | undefined,
): BatchProblem[] {
  if (format === "unknown") return [];
  const problems: BatchProblem[] = [];
  const [inImage] = credentials.deviceCerts;
  if (certificate && !(inImage && equalBytes(inImage.der, certificate.der))) {
    const message = "its image holds another device certificate than its file";
    problems.push(problem("WRONG_CERTIFICATE", id, message));
  }
  const stored = keyModeOf(credentials);
  if (stored !== keyMode) {
    const message = `the manifest says ${shownWord(keyMode)}, the image ${stored ?? "has no key"}`;
    problems.push(problem("WRONG_KEY_MODE", id, message));
  }
  if ((keyMode === "plaintext") !== (efuseKeyId === null)) {
    const message = `the manifest says ${shownWord(keyMode)} with ${
      efuseKeyId === null ? "no eFuse key" : `eFuse key ${efuseKeyId}`
    }`;
    problems.push(problem("WRONG_KEY_MODE", id, message));
  }
  const inContext = credentials.dsContext?.context.efuseKeyId ??
    credentials.securityConfig?.config.efuseKeyId;
  if (inContext !== undefined && efuseKeyId !== null && inContext !== efuseKeyId) {
    const message = `the manifest says eFuse key ${efuseKeyId}, the image ${inContext}`;
    problems.push(problem("WRONG_KEY_MODE", id, message));
  }
  return problems;
}
