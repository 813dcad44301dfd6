import { readCertificates } from "../crypto/x509/certificate.ts";
import { currentTime, type Sources } from "../crypto/sources.ts";
import type { ChipName } from "../format/chips/chips.ts";
import type { NvsStoredItem } from "../format/nvs/decode.ts";
import type { PartitionTable } from "../format/table/binary.ts";
import {
  type Content,
  type ReadEntry,
  type Reading,
  type Secrets,
} from "../image/contents/contents.ts";
import { type Credentials, findCredentials } from "../image/contents/credentials.ts";
import { type Finding, type FindingCode, FINDINGS, isGood } from "../findings/findings.ts";
import type { ImageEntries } from "../image/read/entry.ts";
import { readImage } from "../image/read/image.ts";
import { type ImageLocation, locate, type Located } from "../image/find/locate.ts";
import type { ImageFormat } from "../format/names.ts";
import {
  judgeCa,
  judgeCertificates,
  judgeChain,
  judgeContents,
  judgeKey,
  judgeMissing,
  type Trust,
} from "./credentials.ts";
import { judgeChecksum, judgeIntegrity, judgeLength, judgeText } from "./entries.ts";
import { checkKeyModes } from "../key_modes/check.ts";
import { openContents } from "../key_modes/open.ts";
import { judgeSignatures, type VerifySignaturesOptions } from "./signatures.ts";

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
  /** The worst finding, `ok` for none, or `unchecked` where there is nothing to judge or judge by. */
  readonly state: "ok" | "warning" | "error" | "unchecked";
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
  /** What an NVS image holds beside the credentials. */
  readonly others: readonly NvsStoredItem[];
}

/** What the questions are asked of. */
interface Judged {
  readonly credentials: Credentials;
  readonly entries: readonly ReadEntry[];
  readonly options: VerifyOptions;
}

const has = (kind: Content["kind"]) => ({ entries }: Judged) =>
  entries.some(({ content }) => content.kind === kind);
const hasCertificate = ({ credentials }: Judged) => credentials.deviceCerts.length > 0;

/** Names of the checks, in order. */
const CHECKS = [...new Set(Object.values(FINDINGS).flatMap(({ checks }) => checks))];
type CheckName = typeof CHECKS[number];

/** Where a check needs something to check, or to check by; the others always apply. */
const APPLIES: Readonly<Partial<Record<CheckName, (judged: Judged) => boolean>>> = {
  "integrity": has("integrity"),
  "signatures": has("signature"),
  "key matches certificate": (judged) => hasCertificate(judged) && isKeyKnown(judged),
  "certificate chain": (judged) =>
    hasCertificate(judged) && (judged.options.ca ?? judged.credentials.caCerts[0]) !== undefined,
  "certificate dates": has("certificate"),
  "certificate strength": has("certificate"),
  "chip": ({ options }) => options.chip !== undefined,
  "DS peripheral": ({ credentials }) => credentials.dsData?.opened !== undefined,
  "HMAC encryption": ({ credentials }) => credentials.keyEntry?.storage === "hmac-encrypted",
};

/** A key in a peripheral is known only to whoever has the eFuse key or the public half. */
function isKeyKnown({ credentials: { keyEntry, dsData }, options }: Judged): boolean {
  return (keyEntry?.publicKey ?? dsData?.opened ?? options.publicKey) !== undefined;
}

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
export async function judge(
  dump: Uint8Array,
  options: VerifyOptions & Reading = {},
): Promise<Judgement> {
  const { certificatesOf = readCertificates } = options;
  const located = locate(dump, options.tableOffset);
  const { image, location, table } = located;
  const contents = readLocated(located, options);
  const { format, entries: raw, used, findings: layout, others = [] } = contents;
  const entries = await openContents(image ?? dump, raw, options);
  const credentials = findCredentials(entries);
  const trust: Trust = {
    now: currentTime(options),
    allowWeak: options.allowWeak ?? false,
    ...options.ca === undefined ? {} : { issuers: certificatesOf(options.ca) },
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
    ...judgeCa(credentials),
    ...checkKeyModes(credentials, entries, options.chip),
    ...judgeKey(credentials, options.publicKey),
    ...await judgeChain(credentials, trust),
    ...judgeCertificates(credentials, trust),
  ];
  return {
    ok: isGood(findings),
    format,
    checks: isUnknown
      ? [{ name: "format", ok: false, state: "error" }]
      : checksOf(findings, { credentials, entries, options }),
    findings,
    ...location && { location },
    ...table && { table },
    size: (image ?? dump).length,
    used,
    entries,
    credentials,
    others,
  };
}

/** The image taken apart, with what is wrong with where it lies. */
function readLocated(
  { image, partitionSize, findings }: Located,
  options: VerifyOptions,
): ImageEntries {
  if (image === undefined) return { format: "unknown", entries: [], used: 0, findings };
  const contents = readImage(image, options.partitionSize ?? partitionSize);
  return { ...contents, findings: [...findings, ...contents.findings] };
}

function checksOf(findings: readonly Finding[], judged: Judged): Check[] {
  return CHECKS.map((name) => {
    const found = findings.filter(({ code }) => isPartOf(code, name));
    const ok = isGood(found);
    const quiet = APPLIES[name]?.(judged) ?? true ? "ok" : "unchecked";
    return { name, ok, state: !ok ? "error" : found.length > 0 ? "warning" : quiet };
  });
}

function isPartOf(code: FindingCode, name: CheckName): boolean {
  const checks: readonly CheckName[] = FINDINGS[code].checks;
  return checks.includes(name);
}
