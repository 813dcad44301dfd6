import { equalBytes } from "../../bytes/pack.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import { formatPem, isPem, parsePem } from "../../bytes/pem.ts";
import { decodeUtf8, encodeUtf8, formatBase64, formatHex } from "../../bytes/text.ts";
import {
  type Certificate,
  CERTIFICATE_LABELS,
  type CertificateReader,
  readCertificates,
} from "../../crypto/x509/certificate.ts";
import { sha256 } from "../../crypto/deps.ts";
import { type CheckedImage, checkImage, type VerifyOptions } from "../../verify/verify.ts";
import { foldId } from "../list/devices.ts";
import { keyModeOf } from "../../image/contents/credentials.ts";
import type { ManifestRow } from "../manifest.ts";

/**
 * What can be wrong with a finished batch, for programs. Codes are stable.
 *
 * | code | means |
 * |---|---|
 * | `FAILED_DEVICE` | the device is listed as failed |
 * | `MISSING_DEVICE`, `STRAY_DEVICE` | a device of the list is in no manifest, or one of a manifest in no list |
 * | `UNFINISHED_BATCH` | the run that makes the folder has not ended |
 * | `DUPLICATE_ID`, `DUPLICATE_SERIAL`, `DUPLICATE_KEY` | two rows share what must be one device's own |
 * | `MISSING_FILE`, `STRAY_FILE` | a file of a device is not there, or a file belongs to none |
 * | `WRONG_IMAGE` | the image is not the one that the manifest lists |
 * | `BAD_IMAGE` | `verify` finds an error in the image |
 * | `WRONG_CERTIFICATE` | the certificate is not the one that the manifest lists, or not that of the image |
 * | `WRONG_KEY_MODE` | the image keeps its key in another way than the manifest says |
 * | `WRONG_KEY` | a file in `secret` is not that of the device's key |
 * | `WRONG_EFUSE_PLAN` | the eFuse plan is not the one that this device needs |
 * | `WRONG_LABEL`, `WRONG_REQUEST` | the label or the signing request is another device's |
 * | `BAD_MANIFEST` | a manifest does not hold the rows of the journal, or `manifest.csv` those of `manifest.ndjson` |
 * | `BAD_JOURNAL` | the journal is there and cannot be read |
 * | `FOREIGN_SHARD` | a shard has another CA, profile or number of parts than the first |
 * | `MISSING_SHARD`, `DUPLICATE_SHARD` | a part of the list is in no shard, or in two |
 */
export type BatchProblemCode =
  | "FAILED_DEVICE"
  | "MISSING_DEVICE"
  | "STRAY_DEVICE"
  | "UNFINISHED_BATCH"
  | "DUPLICATE_ID"
  | "DUPLICATE_SERIAL"
  | "DUPLICATE_KEY"
  | "MISSING_FILE"
  | "STRAY_FILE"
  | "WRONG_IMAGE"
  | "BAD_IMAGE"
  | "WRONG_CERTIFICATE"
  | "WRONG_KEY_MODE"
  | "WRONG_KEY"
  | "WRONG_EFUSE_PLAN"
  | "WRONG_LABEL"
  | "WRONG_REQUEST"
  | "BAD_MANIFEST"
  | "BAD_JOURNAL"
  | "FOREIGN_SHARD"
  | "MISSING_SHARD"
  | "DUPLICATE_SHARD";

/** One thing that is wrong with a batch. */
export interface BatchProblem {
  /** Stable identifier. */
  readonly code: BatchProblemCode;
  /** Name of the device; null when it concerns none. */
  readonly id: string | null;
  /** One line for people. */
  readonly message: string;
}

/** The files of a device, read back. */
export interface DeviceFiles {
  /** `images/ID.bin`. */
  readonly image?: Uint8Array;
  /** `certificates/ID.pem`. */
  readonly certificate?: Uint8Array;
}

/** How {@linkcode judgeDevice} judges. */
export interface DeviceOptions extends VerifyOptions {
  /** What reads certificates; one that remembers them takes a third of the time in a batch. */
  readonly certificatesOf?: CertificateReader;
}

/**
 * Whether the files of a device are those of its row, and its image good.
 *
 * @param row Its row of the manifest.
 * @param files What was read back; absent what is not there.
 * @param options As of `verify`.
 * @returns Everything that is wrong; nothing for a device that is as it should be.
 */
export async function judgeDevice(
  row: ManifestRow,
  files: DeviceFiles,
  options: DeviceOptions = {},
): Promise<BatchProblem[]> {
  const { id } = row;
  if (row.status === "failed") return [problem("FAILED_DEVICE", id, "listed as failed")];
  const certificate = judgeCertificateFile(row, files.certificate, options);
  const image = await judgeImageFile(row, files.image, certificate.info, options);
  return [...certificate.problems, ...image];
}

/**
 * Finds what must be one device's own in two rows. Keeps about 600 bytes for each row.
 *
 * @returns A function that takes every row once, with a word on where it comes from, and gives what
 * an earlier row has already.
 */
export function createDuplicateFinder(): (row: ManifestRow, where?: string) => BatchProblem[] {
  const seen = FIELDS.map(() => new Map<string, string>());
  return (row, where = "") => {
    const here = where === "" ? row.id : `${row.id} (${where})`;
    return FIELDS.flatMap(({ field, code, what }, at) => {
      // File systems that take no notice of case keep one file for both.
      if (row[field] === "") return [];
      const value = field === "id"
        ? foldId(row.id)
        : field === "publicKey"
        ? digestOf(row.publicKey)
        : row[field];
      const first = seen[at]!.get(value);
      if (first === undefined) {
        seen[at]!.set(value, here);
        return [];
      }
      return [problem(code, row.id, `${here} has the ${what} of ${first}`)];
    });
  };
}

/** A problem, for those who find one elsewhere. */
export function problem(code: BatchProblemCode, id: string | null, message: string): BatchProblem {
  return { code, id, message };
}

const FIELDS = [
  { field: "id", code: "DUPLICATE_ID", what: "name" },
  { field: "serial", code: "DUPLICATE_SERIAL", what: "serial number" },
  { field: "publicKey", code: "DUPLICATE_KEY", what: "key" },
] as const;

interface JudgedCertificate {
  readonly info?: Certificate;
  readonly problems: readonly BatchProblem[];
}

function judgeCertificateFile(
  { id, fingerprint, serial, publicKey }: ManifestRow,
  bytes: Uint8Array | undefined,
  { certificatesOf = readCertificates }: DeviceOptions,
): JudgedCertificate {
  if (bytes === undefined) {
    return { problems: [problem("MISSING_FILE", id, "its certificate is not there")] };
  }
  const info = readable(() => certificatesOf(bytes)[0]!);
  const wrong = (message: string) => [problem("WRONG_CERTIFICATE", id, message)];
  if (typeof info === "string") return { problems: wrong(info) };
  if (formatHex(sha256(info.der)) !== fingerprint.toLowerCase()) {
    return { info, problems: wrong("its certificate file holds another certificate") };
  }
  if (formatBase64(info.publicKey) !== publicKey || info.serial !== serial.toLowerCase()) {
    const message = "serial number or key of its certificate are not those of the manifest";
    return { info, problems: wrong(message) };
  }
  return {
    info,
    problems: isPure(bytes) ? [] : wrong("its certificate file holds more than that"),
  };
}

/** Whether a certificate file is one DER, or PEM of certificates and nothing else, such as a key. */
function isPure(bytes: Uint8Array): boolean {
  if (!isPem(bytes)) return true;
  const text = decodeUtf8(bytes)!;
  const blocks = parsePem(text);
  const whole = blocks.map(({ label, bytes }) => formatPem(label, bytes)).join("");
  return blocks.every(({ label }) => CERTIFICATE_LABELS.includes(label)) &&
    whole.replace(/\s/g, "") === text.replace(/\s/g, "");
}

async function judgeImageFile(
  row: ManifestRow,
  bytes: Uint8Array | undefined,
  certificate: Certificate | undefined,
  options: DeviceOptions,
): Promise<BatchProblem[]> {
  const { id, imageSha256 } = row;
  if (bytes === undefined) return [problem("MISSING_FILE", id, "its image is not there")];
  const hash = formatHex(sha256(bytes));
  const problems: BatchProblem[] = [];
  const isListed = hash === imageSha256.toLowerCase();
  if (!isListed) {
    problems.push(problem("WRONG_IMAGE", id, `SHA-256 of its image is ${hash}`));
  }
  const judgement = await checkImage(bytes, options);
  const { hmacKey, ...others } = options;
  // What a right image has wrong with an HMAC key alone is the key's fault.
  const keyless = hmacKey === undefined || judgement.ok
    ? judgement
    : await checkImage(bytes, others);
  const usual = new Set(keyless.findings.map(({ message }) => message));
  for (const { severity, code, message } of judgement.findings) {
    if (severity !== "error") continue;
    const isKeys = isListed && !usual.has(message);
    const what = isKeys ? "WRONG_KEY" : "BAD_IMAGE";
    problems.push(problem(what, id, `${isKeys ? "its HMAC key: " : ""}${code}: ${message}`));
  }
  return [...problems, ...judgeContents(row, keyless, certificate)];
}

/** Whether the image is this device's: its certificate, and how its key is kept. */
function judgeContents(
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
    const message = `the manifest says ${keyMode}, the image ${stored ?? "has no key"}`;
    problems.push(problem("WRONG_KEY_MODE", id, message));
  }
  if ((keyMode === "plaintext") !== (efuseKeyId === null)) {
    const message = `the manifest says ${keyMode} with ${
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

/** What was read, or why it cannot be. */
function readable<T>(read: () => T): T | string {
  try {
    return read();
  } catch (error) {
    if (error instanceof SecureCertError) return error.message;
    throw error;
  }
}

/** Stands for a public key, which may be long. */
function digestOf(publicKey: string): string {
  return formatBase64(sha256(encodeUtf8(publicKey)));
}
