import { type Problem, SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { formatHex } from "../bytes/text.ts";
import { decodeKeyParts } from "../crypto/keys/encoding.ts";
import { exportPrivateKey } from "../crypto/keys/keys.ts";
import type { CertificateInput } from "../crypto/x509/certificate.ts";
import { digest } from "../crypto/signing.ts";
import { type ChipName, usualChip } from "../format/chips/chips.ts";
import { ecdsaEfuseKey } from "../format/chips/key_blocks.ts";
import type { ImageFormat } from "../format/names.ts";
import { DEFAULT_NVS_SIZE } from "../format/nvs/encode.ts";
import { DEFAULT_PARTITION_SIZE } from "../format/partition.ts";
import type { StoredTlv } from "../format/tlv.ts";
import { type Finding, finding } from "../findings/findings.ts";
import { encodeImage, type LayoutOptions, partitionSizeOf } from "../image/encode.ts";
import type { Reading } from "../image/contents/contents.ts";
import { applyPatch } from "../image/patch.ts";
import { type EfusePlan, keyHalfFiles, planEfuse } from "../key_modes/efuse_plan.ts";
import { checkImage, type Verdict, verdictOf, type VerifyOptions } from "../verify/verify.ts";
import {
  type BuildPlan,
  csvError,
  type CsvPlan,
  type DataEntry,
  entriesOf,
  planFromCsv,
} from "./plan/entry.ts";
import { type EfuseKey, type Plan, planEntries } from "./plan/planner.ts";

/**
 * How {@linkcode build} lays an image out and checks it, and where randomness and time come from.
 *
 * @category Building and changing
 */
export interface BuildOptions {
  /** Layout. @default "tlv" */
  readonly format?: ImageFormat;
  /** Size of the partition in bytes. @default 0x2000 for tlv, 0x3000 for nvs, 0x6000 for cust_flash */
  readonly size?: number;
  /** Fill a TLV image with 0xFF up to its size; the other layouts always are. @default false */
  readonly fill?: boolean;
  /** Close a TLV image with an integrity entry; the other layouts have none. @default true */
  readonly integrity?: boolean;
  /**
   * The CA that should have issued the device certificate.
   * @default that of the image, which may be another one, such as the server's
   */
  readonly ca?: CertificateInput;
  /** Take RSA keys under 2048 bits, and report them as a warning, not as an error. @default false */
  readonly allowWeak?: boolean;
  /** Withhold an image with an error finding. @default true */
  readonly verify?: boolean;
  /** Path of the key file in the eFuse plan's command. @default "hmac_key.bin" or "device.key.pem" */
  readonly efuseKeyFile?: string;
  /** A number of random bytes, which keys, salts and IVs are made from. @default `crypto.getRandomValues` */
  readonly random?: (length: number) => Uint8Array;
  /** The time at which certificates should be valid. @default the system clock */
  readonly now?: () => Date;
}

/** What goes into an eFuse block with an image. */
export type EfuseOutput = NonNullable<BuildResult["efuse"]>;

/**
 * A finished image.
 *
 * @category Building and changing
 */
export interface BuildResult {
  /** The partition's bytes. */
  readonly image: Bytes;
  /** What `verify` says of the image. */
  readonly verdict: Verdict;
  /** SubjectPublicKeyInfo, DER, of the private key with subtype 0, where it is known. */
  readonly publicKey?: Bytes;
  /** What must be burned into an eFuse for the private key with subtype 0 to work. */
  readonly efuse?: {
    /** What to burn, and how. */
    readonly plan: EfusePlan;
    /** The 32 bytes to burn, in the modes with an HMAC. Secret: without them the image is worthless. */
    readonly hmacKey?: Bytes;
    /** The files that the plan's command names, where their keys are at hand. Secret. */
    readonly keyFiles: readonly {
      /** Path in the command. */
      readonly path: string;
      /** 32 raw bytes, or a PEM. */
      readonly bytes: Bytes;
    }[];
  };
  /** The eFuse keys that the image needs. */
  readonly efuseKeys: readonly EfuseKey[];
}

/**
 * Builds an image and checks it as the device would read it. The plan says what the image holds, the
 * options how it is laid out and checked.
 *
 * @category Building and changing
 * @throws {SecureCertError} `ERR_PLAN` with everything that is wrong with the plan; `ERR_PASSWORD`;
 * `ERR_TOO_LARGE`; `ERR_VERIFY` for an error finding, unless `verify` is false.
 */
export async function build(plan: BuildPlan, options: BuildOptions = {}): Promise<BuildResult> {
  return (await buildHashed(plan, options)).built;
}

/** As {@linkcode build}, with a function that gives the SHA-256 of the image. */
export async function buildHashed(
  plan: BuildPlan,
  options: BuildOptions,
): Promise<{ readonly built: BuildResult; sha256(): Uint8Array }> {
  const { password } = plan;
  const chip = usualChip(plan.chip);
  const { ca, random, allowWeak, efuseKeyFile } = options;
  const planned = await planEntries(entriesOf(plan), {
    chip,
    password,
    allowWeak,
    random,
    allowRefused: options.verify === false,
    hmacKey: plan.hmacKey,
    makeHmacKeys: true,
  });
  if (planned.problems.length > 0) throw planError(planned.problems);
  const { image, hashed, sha256 } = await encodeImage(planned.entries, options);
  const known = { partitionSize: partitionSizeOf(options), ca, chip, allowWeak };
  const verdict = await check(image, planned, { ...known, now: options.now, hashed });
  if (!verdict.ok && options.verify !== false) throw withheld(verdict);
  return { built: { image, verdict, ...burned(planned, chip, efuseKeyFile) }, sha256 };
}

/**
 * Builds an image from a configuration CSV and checks it. A CSV that {@linkcode extract} wrote gives the
 * same image again, `isRestored`, which is returned whatever the check finds; a certificate or key that
 * the device refuses is not built unless `verify` is false. The layout is that of the CSV unless the
 * options name one.
 *
 * @category Building and changing
 * @throws {SecureCertError} `ERR_CSV` with everything that is wrong, by line and column; as the encoder
 * of the layout; `ERR_VERIFY` as {@linkcode build}.
 */
export async function buildFromCsv(
  text: string,
  options: BuildOptions & {
    /** Brings the bytes of a file that the CSV names; undefined when there is no such file. */
    readonly load: (path: string) => Promise<Uint8Array | undefined>;
    /** The chip that the image is for; keys in peripherals need it. */
    readonly chip?: ChipName;
    /** Password of protected private keys. */
    readonly password?: string;
    /** The HMAC key of rows that have none of their own, 32 bytes as burned. */
    readonly hmacKey?: Uint8Array;
    /** Make an HMAC key for rows that have none. @default false */
    readonly makeHmacKeys?: boolean;
    /** Entries after those of the CSV. @default [] */
    readonly entries?: readonly DataEntry[];
  },
): Promise<
  BuildResult & {
    /** Whether the image is, byte for byte, the one that the CSV was extracted from. */
    readonly isRestored: boolean;
  }
> {
  const csv = await planFromCsv(text, options.load);
  const entries = [...csv.entries, ...options.entries ?? []];
  // Weak keys are for verify to find: the CSV may be that of an older image.
  // As are keys in the open, when the CSV is that of an image that has them.
  const allowExposed = csv.image.sha256 !== undefined;
  const chip = usualChip(options.chip);
  const planned = await planEntries(entries, {
    ...options,
    chip,
    allowWeak: true,
    allowExposed,
    allowRefused: options.verify === false,
  });
  const problems = [...csv.problems, ...planned.problems];
  if (problems.length > 0) throw csvError(problems);
  const { image, isRestored } = await encodeCsvImage(planned.entries, csv, options);
  const { now, hmacKey, allowWeak, efuseKeyFile } = options;
  const verdict = await check(image, planned, {
    partitionSize: options.size ?? Math.max(DEFAULT_PARTITION_SIZE, image.length),
    ca: options.ca,
    chip,
    now,
    hmacKey,
    allowWeak,
  });
  if (!verdict.ok && !isRestored && options.verify !== false) throw withheld(verdict);
  return { image, verdict, isRestored, ...burned(planned, chip, efuseKeyFile) };
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
  entries: readonly StoredTlv[],
  csv: Pick<CsvPlan, "image" | "patch">,
  options: LayoutOptions = {},
): Promise<{ image: Bytes; isRestored: boolean }> {
  const { integrity = true, format } = csv.image;
  const size = options.size ?? csv.image.size;
  const { image } = await encodeImage(entries, {
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
  options: VerifyOptions & Pick<Reading, "hashed">,
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
  const path = keyFile ?? file ?? usual;
  const plan = planEfuse({ chip, keyMode, keyId, curve, keyFile: path });
  return {
    plan,
    ...hmacKey && { hmacKey: new Uint8Array(hmacKey) },
    keyFiles: keyFilesOf(key, path),
  };
}

/** The files that espefuse is given: raw bytes or a PEM, and a file each for the halves of a P-384 key. */
function keyFilesOf(
  { hmacKey, privateKey, curve }: EfuseKey,
  path: string,
): EfuseOutput["keyFiles"] {
  if (hmacKey !== undefined) return [{ path, bytes: new Uint8Array(hmacKey) }];
  if (privateKey === undefined) return [];
  const parts = decodeKeyParts(privateKey.pkcs8);
  if (parts.type !== "ec" || curve !== "P-384") {
    return [{ path, bytes: exportPrivateKey(privateKey) }];
  }
  const paths = keyHalfFiles(path);
  return ecdsaEfuseKey(parts.scalar, curve)
    .map(({ bigEndian }, at) => ({ path: paths[at]!, bytes: bigEndian }));
}

/** The error of a plan that cannot be built, with everything that is wrong with it. */
export function planError(problems: readonly Problem[]): SecureCertError {
  const list = problems.map(({ message }) => message).join("; ");
  return new SecureCertError("ERR_PLAN", `Cannot build image: ${list}`, {}, { problems });
}

/** The error that keeps an image with an error finding from being written. */
function withheld(verdict: Verdict): SecureCertError {
  const errors: Finding[] = verdict.findings.filter(({ severity }) => severity === "error");
  const list = errors.map(({ code, message }) => `${code}: ${message}`).join("; ");
  return new SecureCertError("ERR_VERIFY", `Cannot build image: ${list}`, errors[0]?.place ?? {}, {
    verdict,
  });
}
