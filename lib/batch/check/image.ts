import { equalBytes } from "../../bytes/pack.ts";
import { formatPem, parsePem, pemText } from "../../bytes/pem.ts";
import { formatBase64, formatHex } from "../../bytes/text.ts";
import { sha256 } from "../../crypto/deps.ts";
import type { PrivateKey } from "../../crypto/keys/encoding.ts";
import {
  type Certificate,
  CERTIFICATE_LABELS,
  type CertificateReader,
  readCertificates,
} from "../../crypto/x509/certificate.ts";
import { keyModeOf } from "../../image/contents/credentials.ts";
import { type CheckedImage, checkImage, type VerifyOptions } from "../../verify/verify.ts";
import type { ManifestRow } from "../manifest.ts";
import { attempt, type BatchProblem, problem } from "./problem.ts";

/** Image and certificate of a device, as far as they are there. */
export interface ImageFiles {
  /** `images/ID.bin`. */
  readonly image?: Uint8Array;
  /** `certificates/ID.pem`. */
  readonly certificate?: Uint8Array;
}

/** How {@linkcode checkImageFiles} checks. */
export interface ImageCheckOptions
  extends Pick<VerifyOptions, "ca" | "chip" | "hmacKey" | "allowWeak" | "now"> {
  /** What reads certificates. */
  readonly certificatesOf?: CertificateReader;
}

/** What {@linkcode checkImageFiles} found. */
export interface CheckedImageFiles {
  readonly problems: readonly BatchProblem[];
  /** The private key that was read in the image. */
  readonly key?: PrivateKey;
}

/** Whether image and certificate are those of a verified device's row, and the image good. */
export async function checkImageFiles(
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
