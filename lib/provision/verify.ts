import { readCertificates } from "../crypto/certificate_info.ts";
import { currentTime, type Sources } from "../crypto/sources.ts";
import type { ChipName } from "../format/chips.ts";
import type { PartitionTable } from "../format/partition_table.ts";
import { readContents, type ReadEntry, type Secrets } from "./contents.ts";
import { type Credentials, findCredentials } from "./credentials.ts";
import { type Finding, type FindingCode, isGood } from "./findings.ts";
import { type ImageContents, readImage } from "./image.ts";
import { type ImageLocation, locate, type Located } from "./locate.ts";
import type { ImageFormat } from "./recognise.ts";
import {
  judgeCertificates,
  judgeChain,
  judgeContents,
  judgeKey,
  judgeMissing,
  type Trust,
} from "./verify_credentials.ts";
import { judgeChecksum, judgeIntegrity, judgeLength, judgeText } from "./verify_entries.ts";
import { judgeKeyMode } from "./verify_key_modes.ts";
import { judgeSignatures, type VerifySignaturesOptions } from "./verify_signatures.ts";

/** What {@linkcode verify} judges against. */
export interface VerifyOptions extends Pick<Sources, "now">, Secrets, VerifySignaturesOptions {
  /** The CA that should have issued the device certificate, PEM (a bundle too) or DER. */
  readonly ca?: Uint8Array;
  /** The chip that is to read the image; its rules are left out without. */
  readonly chip?: ChipName;
  /** Do not judge RSA keys under 2048 bits an error. @default false */
  readonly allowWeak?: boolean;
  /** SubjectPublicKeyInfo of the key in the eFuse, DER, to compare with the device certificate. */
  readonly publicKey?: Uint8Array;
  /** Size of the partition in bytes. @default what a table says, else the length of the image */
  readonly partitionSize?: number;
  /** Where the partition table of a flash dump stands in flash, in bytes. @default 0x8000 */
  readonly tableOffset?: number;
}

/** One question that was asked. */
export interface Check {
  /** What was asked, in words. */
  readonly name: string;
  /** Whether nothing was found that makes the verdict bad. */
  readonly ok: boolean;
}

/** A verdict on an image. */
export interface Verdict {
  /** False exactly when a finding is an error. */
  readonly ok: boolean;
  /** Layout of the image. */
  readonly format: ImageFormat | "unknown";
  /** The questions, in order. */
  readonly checks: readonly Check[];
  /** Everything that was found; offsets count from the start of the image. */
  readonly findings: readonly Finding[];
  /** Where the image was found, present when it lies inside something larger. */
  readonly location?: ImageLocation;
}

/** All that was read and found of an image. */
export interface Judgement extends Verdict {
  /** Length of the image in bytes; of all that was given when none was found in it. */
  readonly size: number;
  /** The partition table that was found. */
  readonly table?: PartitionTable;
  /** Bytes that the entries take. */
  readonly used: number;
  readonly entries: readonly ReadEntry[];
  readonly credentials: Credentials;
}

const CHECKS: readonly (readonly [string, readonly FindingCode[]])[] = [
  ["format", ["NOT_AN_IMAGE", "LOOKS_ERASED", "LOOKS_ENCRYPTED", "BAD_MAGIC"]],
  ["layout", ["BAD_MAGIC", "TRUNCATED", "OVER_64K", "TOO_LARGE", "STRAY_BYTES", "NOT_ALIGNED"]],
  ["checksums", ["BAD_CHECKSUM"]],
  ["integrity", ["BAD_INTEGRITY"]],
  ["signatures", ["BAD_SIGNATURE"]],
  ["entry numbers", ["DUPLICATE_ENTRY", "BAD_SUBTYPE", "UNKNOWN_TYPE", "LAST_SUBTYPE"]],
  ["device certificate", ["NO_DEVICE_CERT"]],
  ["CA certificate", ["NO_CA_CERT"]],
  ["private key", ["NO_KEY", "PLAINTEXT_KEY", "KEY_IN_PERIPHERAL_ENTRY"]],
  ["PEM endings", ["PEM_NO_NUL"]],
  ["key matches certificate", ["KEY_MISMATCH"]],
  ["certificate chain", ["CHAIN_BROKEN"]],
  ["certificate dates", ["CERT_EXPIRED", "CERT_NOT_YET_VALID"]],
  ["certificate strength", ["CERT_WEAK"]],
  ["chip", ["CHIP_UNSUPPORTED"]],
  ["DS peripheral", ["DS_SIZE", "DS_BLOB", "DS_CONTEXT"]],
  ["HMAC encryption", ["GCM_NONCE_REUSE", "GCM_READER_VERSION"]],
];

/**
 * Judges an image: whether the firmware will read from it what it should, and the device be safe.
 * Never throws for what the image holds; takes time linear in its length.
 *
 * @param image The partition's bytes, or a dump of flash with the partition in it, which is found as
 * `findSecureCert` does.
 * @param options The CA, the time and the partition's size.
 * @returns Every finding; `ok` is false exactly when one of them is an error.
 * @throws {SecureCertError} `ERR_CERTIFICATE` or `ERR_PEM` when the CA given cannot be read; `ERR_PEM`,
 * `ERR_DER`, `ERR_UNSUPPORTED` or `ERR_KEY` when a signing key cannot.
 * @throws {RangeError} for a table offset that is not a 32-bit number.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { verify } from "@esp-secure-cert/toolkit";
 *
 * const verdict = await verify(new Uint8Array(0x2000).fill(0xFF));
 * assertEquals(verdict.findings.map(({ code }) => code), ["LOOKS_ERASED"]);
 * ```
 */
export async function verify(image: Uint8Array, options: VerifyOptions = {}): Promise<Verdict> {
  const { ok, format, checks, findings, location } = await judge(image, options);
  return { ok, format, checks, findings, ...location && { location } };
}

/** As {@linkcode verify}, with all that was read. */
export async function judge(dump: Uint8Array, options: VerifyOptions = {}): Promise<Judgement> {
  const located = locate(dump, options.tableOffset);
  const { image, location, table } = located;
  const { format, entries: raw, used, findings: layout } = readLocated(located, options);
  const entries = await readContents(image ?? dump, raw, options);
  const credentials = findCredentials(entries);
  const trust: Trust = {
    now: currentTime(options),
    allowWeak: options.allowWeak ?? false,
    ...options.ca === undefined ? {} : { issuers: readCertificates(options.ca) },
  };
  const isUnknown = format === "unknown";
  const findings = isUnknown ? layout : [
    ...layout,
    ...entries.flatMap(judgeChecksum),
    ...judgeIntegrity(entries),
    ...await judgeSignatures(image ?? dump, options),
    ...judgeContents(entries),
    ...entries.flatMap(judgeText),
    ...entries.flatMap(judgeLength),
    ...judgeMissing(credentials),
    ...judgeKeyMode(credentials, entries, options.chip),
    ...judgeKey(credentials, options.publicKey),
    ...await judgeChain(credentials, trust),
    ...judgeCertificates(credentials, trust),
  ];
  return {
    ok: isGood(findings),
    format,
    checks: isUnknown ? [{ name: "format", ok: false }] : checksOf(findings),
    findings,
    ...location && { location },
    ...table && { table },
    size: (image ?? dump).length,
    used,
    entries,
    credentials,
  };
}

/** The image taken apart, with what is wrong with where it lies. */
function readLocated(
  { image, partitionSize, findings }: Located,
  options: VerifyOptions,
): ImageContents {
  if (image === undefined) return { format: "unknown", entries: [], used: 0, findings };
  const contents = readImage(image, options.partitionSize ?? partitionSize);
  return { ...contents, findings: [...findings, ...contents.findings] };
}

function checksOf(findings: readonly Finding[]): Check[] {
  return CHECKS.map(([name, codes]) => ({
    name,
    ok: isGood(findings.filter(({ code }) => codes.includes(code))),
  }));
}
