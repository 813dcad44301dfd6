import { SecureCertError } from "../../bytes/errors.ts";
import { shownName } from "../../bytes/text.ts";
import {
  type CertificateInput,
  createCertificateReader,
  readCertificates,
} from "../../crypto/x509/certificate.ts";
import type { Finding } from "../../findings/findings.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { keyModeOf } from "../../image/contents/contents.ts";
import { inspect } from "../../toolkit/inspect.ts";
import { checkImage, type Verdict, verdictOf } from "../../verify/verify.ts";
import { CliError } from "../errors.ts";
import type { FlashFile } from "../input/flash.ts";

/** What is done with each of several images, the same for all. */
export interface ManyTask {
  readonly kind: "verify" | "inspect";
  readonly tableOffset?: number;
  /** Only for the one image of a folder. */
  readonly hmacKey?: Uint8Array;
  readonly showSecrets?: boolean;
  readonly ca?: Uint8Array;
  readonly chip?: ChipName;
  readonly signingKeys?: readonly Uint8Array[];
  readonly allowWeak?: boolean;
  readonly expiresWithin?: number;
  /** The time at which certificates should be valid, in milliseconds. */
  readonly now?: number;
}

/** What was found of one of several images. */
export interface ImageReport {
  /** As the arguments name it, or the folder with its name. */
  readonly file: string;
  /** Whether it is fine: no error for `verify`, something that is known for `inspect`. */
  readonly ok: boolean;
  /** Subject of the device certificate, or of what the file is. */
  readonly subject: string | null;
  /** Its last moment of validity, ISO 8601. */
  readonly notAfter: string | null;
  /** How the private key is kept, or what else the file is. */
  readonly kind: string | null;
  readonly findings: readonly Finding[];
  /** Checks that apply to it and were not run. */
  readonly unchecked?: Verdict["unchecked"];
  /** What `--json` has of it. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** Checks one of several images. */
export type ImageChecker = (
  path: string,
  read: (path: string) => Promise<FlashFile>,
) => Promise<ImageReport>;

/** Certificates that are kept, because many images have the same CA. */
const KEPT_CERTIFICATES = 16;

/**
 * What checks each of several images. A file that cannot be read is a bad one.
 *
 * @throws {SecureCertError} as `verify`, for a CA that cannot be read.
 */
export function imageChecker(task: ManyTask): ImageChecker {
  const certificatesOf = createCertificateReader(KEPT_CERTIFICATES);
  const ca = task.ca && readCertificates(task.ca);
  return async (path, read) => {
    try {
      const file = await read(path);
      return task.kind === "verify"
        ? await verifyOne(path, file, { ...task, ca }, certificatesOf)
        : await inspectOne(path, file, task);
    } catch (error) {
      const isUnread = error instanceof CliError && error.code !== "ERR_USAGE";
      if (isUnread || error instanceof SecureCertError) return unread(path, error);
      throw error;
    }
  };
}

/** A file that could not be read, in the list; its name may be text that was taken for one. */
export function unread(
  path: string,
  { code, message, place }: CliError | SecureCertError,
): ImageReport {
  const file = shownName(path);
  const json = { file, ok: false, error: { code, message, place } };
  return { file, ok: false, subject: null, notAfter: null, kind: null, findings: [], json };
}

async function verifyOne(
  file: string,
  { bytes, offset, encoding }: FlashFile,
  { now, ...options }: Omit<ManyTask, "ca"> & { readonly ca?: CertificateInput },
  certificatesOf: ReturnType<typeof createCertificateReader>,
): Promise<ImageReport> {
  const clock = now === undefined ? undefined : () => new Date(now);
  const checked = await checkImage(bytes, { ...options, offset, now: clock, certificatesOf });
  const { ok, credentials, findings, unchecked } = checked;
  const [device] = credentials.deviceCerts;
  const subject = device?.subject ?? null;
  const notAfter = device?.notAfter.toISOString() ?? null;
  const kind = keyModeOf(credentials) ?? null;
  const verdict = verdictOf({ ...checked, encoding: encoding ?? checked.encoding });
  const json = { file, subject, notAfter, keyMode: kind, ...verdict };
  return { file, ok, subject, notAfter, kind, findings, unchecked, json };
}

async function inspectOne(
  file: string,
  { bytes, offset, encoding }: FlashFile,
  { tableOffset, hmacKey, showSecrets, chip }: ManyTask,
): Promise<ImageReport> {
  const found = await inspect(bytes, { tableOffset, offset, hmacKey, showSecrets, chip });
  const report = { ...found, encoding: encoding ?? found.encoding };
  const { format, entries, credentials, findings, partitionTable } = report;
  const isBadTable = format === "partition_table" &&
    partitionTable?.findings.some(({ severity }) => severity === "error") === true;
  const device = entries.find(({ typeName, certificate }) =>
    certificate !== undefined && typeName === "ESP_SECURE_CERT_DEV_CERT_TLV"
  )?.certificate;
  const isImage = entries.length > 0;
  return {
    file,
    ok: format !== "unknown" && !isBadTable,
    subject: report.subject ?? device?.subject ?? null,
    notAfter: report.notAfter ?? device?.notAfter ?? null,
    kind: isImage || format === "unknown" ? credentials.keyMode : format.replace("_", " "),
    findings,
    json: { file, ...report },
  };
}
