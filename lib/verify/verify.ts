import { inRange } from "../bytes/pack.ts";
import { currentTime } from "../crypto/sources.ts";
import {
  type Certificate,
  type CertificateInput,
  readCertificates,
} from "../crypto/x509/certificate.ts";
import { type Finding, type FindingCode, FINDINGS, isGood } from "../findings/findings.ts";
import { type ChipName, knownChip } from "../format/chips/chips.ts";
import { type ImageFormat, TLV_TYPES } from "../format/names.ts";
import type { NvsStoredItem } from "../format/nvs/decoded.ts";
import type { PartitionTable } from "../format/table/binary.ts";
import {
  type Content,
  type Credentials,
  findCredentials,
  keyModeOf,
  type ReadEntry,
  type Reading,
} from "../image/contents/contents.ts";
import {
  checkPlacement,
  type ImageLocation,
  kindOf,
  locate,
  type Located,
} from "../image/find/locate.ts";
import type { ImageEntries } from "../image/read/entry.ts";
import { readImage } from "../image/read/image.ts";
import { checkKeyModes } from "../key_modes/modes.ts";
import { openContents } from "../key_modes/open.ts";
import {
  checkCertificates,
  checkChain,
  checkKeyBytes,
  checkKeyMatch,
  checkPurposes,
} from "./certificates.ts";
import type { CheckOptions, ImageCheck, ReadImage } from "./check.ts";
import {
  checkChecksums,
  checkFlags,
  checkFreeBytes,
  checkIntegrity,
  checkLengths,
  checkMissing,
  checkReadable,
  checkRefused,
  isClosed,
} from "./entries.ts";
import { checkExposed, withoutKeys } from "./exposed.ts";

/** What {@linkcode verify} checks an image against. */
export type VerifyOptions = NonNullable<Parameters<typeof verify>[1]>;

/**
 * The result of {@linkcode verify}.
 *
 * @category Reading and checking
 */
export interface Verdict {
  /** False exactly when a finding is an error. */
  readonly ok: boolean;
  /** False when a check that applies to this image was not run. */
  readonly complete: boolean;
  /** Layout of the image. */
  readonly format: ImageFormat | "unknown";
  /** The checks, in order. */
  readonly checks: readonly {
    /** What was checked, in words. */
    readonly name: string;
    /** Whether nothing was found that makes the result bad. */
    readonly ok: boolean;
    /** The worst finding, `ok` for none, or `unchecked` where there is nothing to check or to check by. */
    readonly state: "ok" | "warning" | "error" | "unchecked";
  }[];
  /** Everything that was found; offsets count from the start of the image. */
  readonly findings: readonly Finding[];
  /** The checks that apply to this image and were not run; present exactly when `complete` is false. */
  readonly unchecked?: readonly {
    /** What was not checked, in words. */
    readonly what: string;
    /** The flag of `verify` that would run the check; absent when none would. */
    readonly flag?: "chip" | "hmac-key" | "signing-key";
  }[];
  /** Where the image was found, present when it is inside something larger. */
  readonly location?: ImageLocation;
  /** How the file is encoded, when it is Intel HEX or UF2; offsets in it are addresses then. */
  readonly encoding?: "intel_hex" | "uf2";
}

/** Days that ECMAScript knows before and after 1970. */
const MAX_DAYS = 100_000_000;

/** One check of an image. */
export type Check = Verdict["checks"][number];

/** All that was read and found of an image. */
export interface CheckedImage extends Verdict {
  /** Length of the image in bytes; of all that was given when none was found in it. */
  readonly size: number;
  /** The partition table that was found. */
  readonly table?: PartitionTable;
  /** Bytes that the entries take. */
  readonly used: number;
  /** The entries and their values. */
  readonly entries: readonly ReadEntry[];
  /** What the firmware's getters would find for TLS. */
  readonly credentials: Credentials;
  /** What an NVS image holds beside the credentials. */
  readonly others: readonly NvsStoredItem[];
}

/** The checks of an image that is read, in the order of their findings. */
const IMAGE_CHECKS: readonly ImageCheck[] = [
  checkChecksums,
  checkIntegrity,
  checkIfSigned,
  checkFlags,
  checkRefused,
  checkReadable,
  checkKeyBytes,
  checkExposed,
  checkLengths,
  checkFreeBytes,
  checkMissing,
  ({ credentials, entries }, { chip }) => checkKeyModes(credentials, entries, chip),
  checkKeyMatch,
  checkChain,
  checkCertificates,
  checkPurposes,
];

/** Few images are signed, and others do not load what checks signatures. */
async function checkIfSigned(image: ReadImage, options: CheckOptions): Promise<readonly Finding[]> {
  if (!isSigned(image) && options.signingKeys === undefined) return [];
  const { checkSignatures } = await import("./signatures.ts");
  return await checkSignatures(image, options);
}

/** Names of the checks in a {@linkcode Verdict}, in order. */
const CHECK_NAMES = [...new Set(Object.values(FINDINGS).flatMap(({ checks }) => checks))];
type CheckName = typeof CHECK_NAMES[number];
type Applies = (image: ReadImage, options: VerifyOptions) => boolean;

const has = (kind: Content["kind"]): Applies => ({ entries }) =>
  entries.some(({ content }) => content.kind === kind);

/** Where a check needs something to check, or to check by; the others always apply. */
const APPLIES: Readonly<Partial<Record<CheckName, Applies>>> = {
  "integrity": has("integrity"),
  "signatures": has("signature"),
  "entry flags": ({ entries }) => !entries.some(isClosed),
  "key matches certificate": ({ credentials: { deviceCerts, keyEntry, dsData } }, options) =>
    deviceCerts.length > 0 &&
    // A key in a peripheral is known only to those who have the eFuse key or the public half.
    (keyEntry?.publicKey ?? dsData?.opened ?? options.publicKey) !== undefined,
  "certificate chain": ({ credentials: { deviceCerts, caCerts } }, { ca }) =>
    deviceCerts.length > 0 && (ca ?? caCerts[0]) !== undefined,
  "certificate dates": has("certificate"),
  "certificate strength": has("certificate"),
  "certificate purpose": has("certificate"),
  "chip": (_, { chip }) => chip !== undefined,
  "DS peripheral": ({ credentials }) => credentials.dsData?.opened !== undefined,
  "HMAC encryption": ({ credentials }) => credentials.keyEntry?.storage === "hmac-encrypted",
};

/**
 * Checks whether the firmware reads from an image what it should, and whether the device is safe. The
 * partition is found in a dump of flash as by {@linkcode findSecureCert}, in Intel HEX and UF2 too. Never
 * throws for content; takes time linear in its length.
 *
 * @category Reading and checking
 * @throws {SecureCertError} `ERR_CERTIFICATE`, `ERR_PEM`, `ERR_DER`, `ERR_KEY` or `ERR_UNSUPPORTED` for
 * a CA or signing key that cannot be read; `RangeError` for a table offset that is not a 32-bit number, an
 * offset after the end, or days that are not a whole number from 0.
 */
export async function verify(
  image: Uint8Array,
  options: {
    /** The CA that should have issued the device certificate: PEM (a bundle too), DER, or as an object. */
    readonly ca?: CertificateInput;
    /** The chip that is to read the image; its rules are left out without it. */
    readonly chip?: ChipName;
    /** The 32 bytes of the eFuse key, to open what the HMAC or DS peripheral protects. */
    readonly hmacKey?: Uint8Array;
    /** SubjectPublicKeyInfo of the key in the eFuse, DER, to compare with the device certificate. */
    readonly publicKey?: Uint8Array;
    /** The keys that may sign the image, SubjectPublicKeyInfo in PEM or DER. @default any key */
    readonly signingKeys?: readonly Uint8Array[];
    /** Report RSA keys of fewer than 2048 bits as a warning, not as an error. @default false */
    readonly allowWeak?: boolean;
    /** The time at which certificates should be valid. @default the system clock */
    readonly now?: () => Date;
    /** Size of the partition in bytes. @default what a table says, else the length of the image */
    readonly partitionSize?: number;
    /** Report a certificate that ends within so many days as an error. @default a warning within 90 */
    readonly expiresWithin?: number;
    /** Where the partition table of a flash dump is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
    /** Where the image begins in the file, in bytes, or its address. @default where it is found */
    readonly offset?: number;
  } = {},
): Promise<Verdict> {
  return verdictOf(await checkImage(image, options));
}

/** The part of a check that {@linkcode verify} returns. */
export function verdictOf(
  { ok, complete, format, checks, findings, unchecked, location, encoding }: CheckedImage,
): Verdict {
  return { ok, complete, format, checks, findings, unchecked, location, encoding };
}

/** As {@linkcode verify}, with all that was read. */
export async function checkImage(
  dump: Uint8Array,
  options: VerifyOptions & Reading = {},
): Promise<CheckedImage> {
  const located = await locate(dump, options);
  const { image: bytes = dump, location, encoding, table } = located;
  const contents = readLocated(located, options);
  const { format, used, others = [], erased } = contents;
  const { ca, certificatesOf = readCertificates } = options;
  const issuers = ca === undefined ? undefined : certificatesOf(ca);
  const entries = await openContents(bytes, contents.entries, options);
  const credentials = findCredentials(entries);
  const image: ReadImage = { bytes, format, entries, credentials, others, erased };
  const found = format === "unknown" ? [] : await runChecks(image, issuers, options);
  const findings = quiet([...contents.findings, ...found]);
  const checks = format === "unknown"
    ? [{ name: "format", ok: false, state: "error" } as const]
    : checksOf(findings, image, options);
  const ok = isGood(findings);
  const unchecked = findUnchecked(image, findings, options);
  const size = bytes.length;
  return {
    ok,
    complete: unchecked.length === 0,
    format,
    checks,
    findings,
    unchecked: unchecked.length === 0 ? undefined : unchecked,
    location,
    encoding,
    table,
    size,
    used,
    entries,
    credentials,
    others,
  };
}

/** A name in a certificate, which messages show, may hold the very key that is exposed. */
function quiet(findings: readonly Finding[]): readonly Finding[] {
  if (findings.every(({ code }) => code !== "KEY_EXPOSED")) return findings;
  return findings.map((each) => ({ ...each, message: withoutKeys(each.message) }));
}

/** The entries of the image, and what is wrong with its place. */
function readLocated(
  { image, partitionSize, findings, table, entry }: Located,
  options: VerifyOptions,
): ImageEntries {
  if (image === undefined) return { format: "unknown", entries: [], used: 0, findings };
  const contents = readImage(image, {
    size: options.partitionSize ?? partitionSize,
    partition: entry && kindOf(entry),
  });
  const { format } = contents;
  const place = format !== "unknown" && entry && table ? checkPlacement(format, entry, table) : [];
  return { ...contents, findings: [...findings, ...place, ...contents.findings] };
}

async function runChecks(
  image: ReadImage,
  issuers: readonly Certificate[] | undefined,
  options: VerifyOptions,
): Promise<Finding[]> {
  const { hmacKey, publicKey, signingKeys, expiresWithin, allowWeak = false } = options;
  const chip = options.chip && knownChip(options.chip);
  const now = currentTime(options);
  if (expiresWithin !== undefined) inRange(expiresWithin, MAX_DAYS, "Cannot check dates: days");
  const against = {
    now,
    issuers,
    allowWeak,
    expiresWithin,
    chip,
    hmacKey,
    publicKey,
    signingKeys,
  };
  const findings: Finding[] = [];
  for (const check of IMAGE_CHECKS) {
    const found = check(image, against);
    for (const each of found instanceof Promise ? await found : found) findings.push(each);
  }
  return findings;
}

function checksOf(
  findings: readonly Finding[],
  image: ReadImage,
  options: VerifyOptions,
): Check[] {
  return CHECK_NAMES.map((name) => {
    const found = findings.filter(({ code }) => isPartOf(code, name));
    const ok = isGood(found);
    const unfound = APPLIES[name]?.(image, options) ?? true ? "ok" : "unchecked";
    return { name, ok, state: !ok ? "error" : found.length > 0 ? "warning" : unfound };
  });
}

function isPartOf(code: FindingCode, name: CheckName): boolean {
  const checks: readonly CheckName[] = FINDINGS[code].checks;
  return checks.includes(name);
}

/** A check that applies to an image and was not run. */
interface Unchecked {
  readonly what: string;
  readonly flag?: "chip" | "hmac-key" | "signing-key";
}

/** What an image was checked against; without each of these some checks are left out. */
interface Given extends Pick<CheckOptions, "chip" | "signingKeys"> {
  readonly hmacKey?: Uint8Array;
}

const { ESP_SECURE_CERT_DS_DATA_TLV: DS_DATA, ESP_SECURE_CERT_DS_CONTEXT_TLV: DS_CONTEXT } =
  TLV_TYPES;

/**
 * The checks that apply to an image and were not run, each with the flag that would run it. A key in an
 * eFuse counts as checked when its certificate and purpose were, for which the chip is enough.
 *
 * @param image The image, as it was read with these options.
 * @param findings What was found in it.
 * @param given What it was checked against.
 */
function findUnchecked(
  image: ReadImage,
  findings: readonly Finding[],
  given: Given,
): Unchecked[] {
  const { chip, hmacKey, signingKeys } = given;
  return [
    ...hmacKey === undefined ? needingHmacKey(image) : [],
    ...chip === undefined ? needingChip(image) : [],
    ...signingKeys === undefined ? needingSigningKey(image) : [],
    ...findings.filter(({ code }) => code === "CHAIN_UNCHECKED").map(() => ({
      what: "certificate chain",
    })),
  ];
}

function needingHmacKey({ entries, credentials }: ReadImage): Unchecked[] {
  const { types, keyEntry } = credentials;
  const storages = entries.map(({ content }) =>
    content.kind === "privateKey" ? content.storage : content.kind
  );
  const what = [
    ...storages.includes("dsData") || types.has(DS_DATA) ? ["DS parameters"] : [],
    ...storages.includes("hmac-encrypted") ? ["HMAC-encrypted private key"] : [],
    ...storages.includes("hmac-derived") || keyEntry?.storage === "hmac-derived"
      ? ["HMAC-derived private key"]
      : [],
    ...storages.includes("encrypted") ? ["HMAC-encrypted entries"] : [],
  ];
  return what.map((each) => ({ what: each, flag: "hmac-key" }));
}

/** What the DS and ECDSA peripherals take differs by chip; what the HMAC modes store does not. */
function needingChip({ credentials }: ReadImage): Unchecked[] {
  const isDs = credentials.types.has(DS_DATA) || credentials.types.has(DS_CONTEXT);
  const isInPeripheral = isDs || keyModeOf(credentials) === "ecdsa-peripheral";
  return isInPeripheral ? [{ what: "what the chip has for this key mode", flag: "chip" }] : [];
}

function needingSigningKey(image: ReadImage): Unchecked[] {
  return isSigned(image) ? [{ what: "whose key signed the image", flag: "signing-key" }] : [];
}

function isSigned({ entries }: ReadImage): boolean {
  return entries.some(({ raw }) =>
    raw.value.type === TLV_TYPES.ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV
  );
}
