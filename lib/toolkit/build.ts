import { SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { formatHex } from "../bytes/text.ts";
import { type CertificateInput, readCertificates } from "../crypto/x509/certificate.ts";
import { digest } from "../crypto/signing.ts";
import type { Sources } from "../crypto/sources.ts";
import type { ChipName } from "../format/chips/chips.ts";
import { TLV_TYPES } from "../format/names.ts";
import { DEFAULT_NVS_SIZE } from "../format/nvs/encode.ts";
import { DEFAULT_PARTITION_SIZE } from "../format/partition.ts";
import type { Tlv } from "../format/tlv.ts";
import { type Finding, finding } from "../findings/findings.ts";
import { encodeImage, type LayoutOptions, partitionSizeOf } from "../image/encode.ts";
import { applyPatch } from "../image/patch.ts";
import { type EfusePlan, planEfuse } from "../key_modes/efuse_plan.ts";
import { checkImage, type Verdict, verdictOf, type VerifyOptions } from "../verify/verify.ts";
import { type BuildPlan, entriesOf } from "./plan/credentials.ts";
import { csvError, type CsvPlan, type Load, planFromCsv } from "./plan/csv.ts";
import type { PlannedEntry } from "./plan/entry.ts";
import { type EfuseKey, type Plan, planEntries, type PlanOptions } from "./plan/planner.ts";

/** How {@linkcode build} makes an image. */
export interface BuildOptions extends Sources, LayoutOptions {
  /**
   * The CA that should have issued the device certificate, when it is not the one that the image
   * carries. @default the plan's CA certificate
   */
  readonly ca?: CertificateInput;
  /** Withhold an image with an error finding. @default true */
  readonly verify?: boolean;
}

/** What goes into an eFuse block with an image. */
export interface EfuseOutput {
  /** What to burn, and how. */
  readonly plan: EfusePlan;
  /** The 32 bytes to burn, in the modes with an HMAC. Secret: without them the image is worthless. */
  readonly hmacKey?: Bytes;
}

/** A finished image. */
export interface BuildResult {
  /** The partition's bytes. */
  readonly image: Bytes;
  /** The entries before the integrity entry. */
  readonly entries: readonly Tlv[];
  /** What `verify` says of the image. */
  readonly verdict: Verdict;
  /** SubjectPublicKeyInfo, DER, of the private key with subtype 0, where it is known. */
  readonly publicKey?: Bytes;
  /** What must be burned into an eFuse for the private key with subtype 0 to work. */
  readonly efuse?: EfuseOutput;
  /** The eFuse keys that the image needs. */
  readonly efuseKeys: readonly EfuseKey[];
}

/**
 * Builds an image from credentials, and checks it as the device would read it.
 *
 * @param plan Certificates, key, key mode and further entries.
 * @param options Layout, and what the result is checked against.
 * @returns The image and the verdict on it.
 * @throws {SecureCertError} `ERR_PLAN` with everything that is wrong with the plan; `ERR_PASSWORD`;
 * `ERR_TOO_LARGE` when the content does not fit; `ERR_VERIFY` when the image has an error finding
 * and `verify` is not false, with the {@linkcode Verdict} as its `verdict`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { build, createCa, generateKey } from "@esp-secure-cert/toolkit";
 *
 * const key = await generateKey();
 * const caCert = await createCa({ subject: "CN=CA", key });
 * const { image, verdict } = await build({ caCert }, { size: 0x1000 });
 * assertEquals([image.length % 16, verdict.ok], [0, true]);
 * ```
 */
export async function build(plan: BuildPlan, options: BuildOptions = {}): Promise<BuildResult> {
  const { chip, password, allowWeak, deviceCert, caCert, efuseKeyFile } = plan;
  const { random } = options;
  const planned = await planEntries(entriesOf(plan), {
    chip,
    password,
    allowWeak,
    random,
    hmacKey: plan.hmacKey,
    makeHmacKeys: true,
  });
  if (planned.problems.length > 0) {
    const list = planned.problems.map(({ message }) => message).join("; ");
    throw new SecureCertError("ERR_PLAN", `Cannot build image: ${list}`, {}, {
      problems: planned.problems,
    });
  }
  const image = await encodeImage(planned.entries, options);
  const ca = options.ca ?? (deviceCert === undefined ? undefined : caCert);
  const known = { partitionSize: partitionSizeOf(options), ca, chip, allowWeak };
  const verdict = await check(image, planned, { ...known, now: options.now });
  if (!verdict.ok && options.verify !== false) throw withheld(verdict);
  return { image, entries: planned.entries, verdict, ...burned(planned, chip, efuseKeyFile) };
}

/** How {@linkcode buildFromCsv} builds. */
export interface CsvBuildOptions extends BuildOptions, PlanOptions {
  /** Brings the files that the CSV names. */
  readonly load: Load;
  /** Layout of the image. @default what the CSV says, else "tlv" */
  readonly format?: LayoutOptions["format"];
  /** Entries after those of the CSV. @default [] */
  readonly entries?: readonly PlannedEntry[];
}

/** A finished image of a CSV. */
export interface CsvBuildResult extends BuildResult {
  /** Whether the image is, byte for byte, the one that the CSV was extracted from. */
  readonly isRestored: boolean;
}

/**
 * Builds an image from a configuration CSV, and checks it as the device would read it. A CSV that
 * `extract` wrote gives the image that it was extracted from, which is checked and not withheld.
 *
 * @param text The CSV.
 * @param options Where its files come from, layout, chip and keys.
 * @returns The image, the verdict, and the eFuse keys it needs.
 * @throws {SecureCertError} `ERR_CSV` with everything that is wrong, by line and column; as the
 * encoder of the layout; `ERR_VERIFY` as `build`.
 */
export async function buildFromCsv(
  text: string,
  options: CsvBuildOptions,
): Promise<CsvBuildResult> {
  const csv = await planFromCsv(text, options.load);
  const entries = [...csv.entries, ...options.entries ?? []];
  // Weak keys are for verify to find: the CSV may be that of an older image.
  const planned = await planEntries(entries, { ...options, allowWeak: true });
  const problems = [...csv.problems, ...planned.problems];
  if (problems.length > 0) throw csvError(problems);
  const { image, isRestored } = await encodeCsvImage(planned.entries, csv, options);
  const { chip, now, hmacKey } = options;
  const verdict = await check(image, planned, {
    partitionSize: options.size ?? Math.max(DEFAULT_PARTITION_SIZE, image.length),
    ca: options.ca ?? storedCa(entries),
    chip,
    now,
    hmacKey,
  });
  if (!verdict.ok && !isRestored && options.verify !== false) throw withheld(verdict);
  return { image, entries: planned.entries, verdict, isRestored, ...burned(planned, chip) };
}

/**
 * The image of a CSV's entries. Its patch is applied when that gives the image that was extracted,
 * and left out when the rows have been changed since.
 *
 * @param entries The entries of its rows.
 * @param csv What the comments of the CSV say of the image.
 * @param options A layout that overrides what the CSV says.
 */
export async function encodeCsvImage(
  entries: readonly Tlv[],
  csv: Pick<CsvPlan, "image" | "patch">,
  options: LayoutOptions = {},
): Promise<{ image: Bytes; isRestored: boolean }> {
  const { integrity = true, format } = csv.image;
  const size = options.size ?? csv.image.size;
  const image = await encodeImage(entries, {
    format: options.format ?? format ?? "tlv",
    size,
    fill: csv.image.size !== undefined || options.fill === true,
    integrity: integrity && options.integrity !== false,
    // Such a small image was extracted; a new one is never made of that size.
    readonly: options.size === undefined && (size ?? Infinity) < DEFAULT_NVS_SIZE,
  });
  const patched = csv.patch === undefined ? image : applyPatch(image, csv.patch);
  const isRestored = formatHex(await digest("SHA-256", patched)) === csv.image.sha256;
  return { image: isRestored ? patched : image, isRestored };
}

/** Checks an image with what its planning knows: keys that cannot be seen in it were seen there. */
async function check(
  image: Uint8Array,
  { efuseKeys, publicKeys, mismatches, known }: Plan,
  options: VerifyOptions,
): Promise<Verdict> {
  const hmacKey = efuseKeys.find((key) => key.hmacKey !== undefined)?.hmacKey ?? options.hmacKey;
  const publicKey = publicKeys.get(0);
  const verdict = verdictOf(await checkImage(image, { ...options, hmacKey, publicKey, known }));
  const isKnown = verdict.findings.some(({ code }) => code === "KEY_MISMATCH");
  if (mismatches.length === 0 || isKnown) return verdict;
  const findings = mismatches.map(({ message }) => finding("KEY_MISMATCH", message));
  return { ...verdict, ok: false, findings: [...verdict.findings, ...findings] };
}

/** What is burned for the private key with subtype 0, and all eFuse keys. */
function burned(
  { efuseKeys, publicKeys }: Plan,
  chip: ChipName | undefined,
  keyFile?: string,
): Pick<BuildResult, "publicKey" | "efuse" | "efuseKeys"> {
  const publicKey = publicKeys.get(0);
  const key = efuseKeys.find(({ subtypes }) => subtypes.includes(0));
  return {
    ...publicKey && { publicKey: new Uint8Array(publicKey) },
    ...key && chip && { efuse: efuseOutput(key, chip, keyFile) },
    efuseKeys,
  };
}

/**
 * What to burn for an eFuse key of an image.
 *
 * @param key The key.
 * @param chip The chip.
 * @param keyFile Path of the file that espefuse is given. @default that of the key, or a usual name
 * @throws {SecureCertError} as {@linkcode planEfuse}.
 */
export function efuseOutput(key: EfuseKey, chip: ChipName, keyFile?: string): EfuseOutput {
  const { keyMode, efuseKeyId: keyId, curve, hmacKey, file } = key;
  const usual = hmacKey === undefined ? "device.key.pem" : "hmac_key.bin";
  const plan = planEfuse({ chip, keyMode, keyId, curve, keyFile: keyFile ?? file ?? usual });
  return { plan, ...hmacKey && { hmacKey: new Uint8Array(hmacKey) } };
}

/** The CA certificate of the image, where there is a device certificate that it may have issued. */
function storedCa(entries: readonly PlannedEntry[]): CertificateInput | undefined {
  const first = (wanted: number) =>
    entries.find(({ type, subtype = 0 }) => type === wanted && subtype === 0)?.data;
  if (first(TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV) === undefined) return undefined;
  const ca = first(TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV);
  // An entry that is stored as it is may be anything; the verdict shows what.
  return ca !== undefined && isCertificate(ca as CertificateInput)
    ? ca as CertificateInput
    : undefined;
}

function isCertificate(input: CertificateInput): boolean {
  try {
    return readCertificates(input).length > 0;
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}

/** The error that keeps an image with an error finding from being written. */
function withheld(verdict: Verdict): SecureCertError {
  const errors: Finding[] = verdict.findings.filter(({ severity }) => severity === "error");
  const list = errors.map(({ code, message }) => `${code}: ${message}`).join("; ");
  return new SecureCertError("ERR_VERIFY", `Cannot build image: ${list}`, errors[0]?.place ?? {}, {
    verdict,
  });
}
