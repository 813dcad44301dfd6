import { SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { formatHex } from "../bytes/text.ts";
import { readCertificates } from "../crypto/x509/certificate.ts";
import { digest } from "../crypto/signing.ts";
import { DEFAULT_NVS_SIZE } from "../format/nvs/encode.ts";
import { DEFAULT_PARTITION_SIZE } from "../format/partition.ts";
import type { Tlv } from "../format/tlv.ts";
import type { BuildOptions, BuildResult } from "./build.ts";
import { csvError, type CsvPlan, type Load, planFromCsv } from "./plan/csv.ts";
import type { EfuseKey, EntrySource, SourceOptions } from "./plan/entry_source.ts";
import { withheld } from "./build.ts";
import { encodeImage, type LayoutOptions } from "../image/encode.ts";
import { applyPatch } from "../image/patch.ts";
import { planSources } from "./plan/sources.ts";
import { type Verdict, verify } from "../verify/verify.ts";

/** How {@linkcode buildFromCsv} builds. */
export interface CsvBuildOptions extends BuildOptions, SourceOptions {
  /** Brings the files that the CSV names. */
  readonly load: Load;
  /** Layout of the image. @default what the CSV says, else "tlv" */
  readonly format?: LayoutOptions["format"];
  /** Entries behind those of the CSV. @default [] */
  readonly sources?: readonly EntrySource[];
}

/** A finished image, and what has to be burned for it. */
export interface CsvBuildResult extends BuildResult {
  /** The eFuse keys that the image needs. */
  readonly efuseKeys: readonly EfuseKey[];
  /** Whether the image is, byte for byte, the one that the CSV was extracted from. */
  readonly isRestored: boolean;
}

/**
 * Builds an image from a configuration CSV, and judges it as the device would read it. A CSV that
 * `extract` wrote gives the image that it was extracted from, which is judged and not withheld.
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
  const plan = await planFromCsv(text, options.load);
  const sources = [...plan.sources, ...options.sources ?? []];
  const planned = await planSources(sources, options);
  const problems = [...plan.problems, ...planned.problems];
  if (problems.length > 0) throw csvError(problems);
  const { image, isRestored } = await encodeCsvImage(planned.entries, plan, options);
  const verdict = withMismatches(await judge(image, sources, options), planned.mismatches);
  if (!verdict.ok && !isRestored && options.verify !== false) throw withheld(verdict);
  return { image, entries: planned.entries, verdict, efuseKeys: planned.efuseKeys, isRestored };
}

/**
 * The image of a CSV's entries. Its patch is applied when that gives the image that was extracted,
 * and left out when the rows have been changed since.
 */
export async function encodeCsvImage(
  entries: readonly Tlv[],
  plan: Pick<CsvPlan, "image" | "patch">,
  options: LayoutOptions = {},
): Promise<{ image: Bytes; isRestored: boolean }> {
  const { integrity = true, format } = plan.image;
  const size = options.size ?? plan.image.size;
  const image = await encodeImage(entries, {
    format: options.format ?? format ?? "tlv",
    ...size === undefined ? {} : { size },
    fill: plan.image.size !== undefined || options.fill === true,
    integrity: integrity && options.integrity !== false,
    // Such an image was extracted; none of that size is made anew.
    readonly: options.size === undefined && (size ?? Infinity) < DEFAULT_NVS_SIZE,
  });
  const patched = plan.patch === undefined ? image : applyPatch(image, plan.patch);
  const isRestored = formatHex(await digest("SHA-256", patched)) === plan.image.sha256;
  return { image: isRestored ? patched : image, isRestored };
}

async function judge(
  image: Uint8Array,
  sources: readonly EntrySource[],
  options: CsvBuildOptions,
): Promise<Verdict> {
  const first = (type: number) =>
    sources.find((each) => each.type === type && each.subtype === 0)?.data;
  const ca = options.ca ?? (first(1) === undefined ? undefined : readable(first(0)));
  const { chip, now, hmacKey } = options;
  return await verify(image, {
    partitionSize: options.size ?? Math.max(DEFAULT_PARTITION_SIZE, image.length),
    ...ca && { ca },
    ...chip && { chip },
    ...now && { now },
    ...hmacKey && { hmacKey },
  });
}

/** An entry that is stored as it is need not be a certificate; that shows in the verdict. */
function readable(certificate: Uint8Array | undefined): Uint8Array | undefined {
  try {
    return certificate && readCertificates(certificate).length > 0 ? certificate : undefined;
  } catch (error) {
    if (error instanceof SecureCertError) return undefined;
    throw error;
  }
}

/** A key in a peripheral cannot be seen in the image, but was seen here. */
function withMismatches(verdict: Verdict, mismatches: readonly { message: string }[]): Verdict {
  const known = verdict.findings.some(({ code }) => code === "KEY_MISMATCH");
  if (mismatches.length === 0 || known) return verdict;
  const findings = mismatches.map(({ message }) => ({
    severity: "error" as const,
    code: "KEY_MISMATCH" as const,
    message,
    place: {},
  }));
  return { ...verdict, ok: false, findings: [...verdict.findings, ...findings] };
}
