import { equalBytes } from "../../bytes/pack.ts";
import { encodeUtf8, formatBase64, formatHex } from "../../bytes/text.ts";
import { sha256 } from "../../crypto/deps.ts";
import { HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac_key.ts";
import {
  type Certificate,
  type CertificateInput,
  readCertificate,
} from "../../crypto/x509/certificate.ts";
import { readRequest } from "../../crypto/x509/request.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { paths } from "../files.ts";
import { formatLabel } from "../label.ts";
import type { ManifestRow } from "../manifest.ts";
import type { Awaitable } from "../ports.ts";
import { attempt, type BatchProblem, problem } from "./problem.ts";
import { checkEfusePlan } from "./efuse_plan.ts";
import { checkImageFiles } from "./image.ts";
import { filesNeeded, filesNotNeeded, type KeptFiles } from "./needed.ts";
import { checkSecrets } from "./secrets.ts";

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
    problems.push(problem("STRAY_FILE", row.id, `${name} does not go with ${row.keyMode}`));
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
