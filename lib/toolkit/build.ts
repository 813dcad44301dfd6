import { SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import type { Sources } from "../crypto/sources.ts";
import type { Tlv } from "../format/tlv.ts";
import { encodeImage, type LayoutOptions, partitionSizeOf } from "../image/encode.ts";
import type { Finding } from "../findings/findings.ts";
import { type BuildPlan, planEntries } from "./plan/plan.ts";
import type { EfuseOutput } from "./plan/plan_key.ts";
import { type Verdict, verify } from "../verify/verify.ts";

/** How {@linkcode build} makes an image. */
export interface BuildOptions extends Sources, LayoutOptions {
  /**
   * The CA that should have issued the device certificate, when it is not the one that the image
   * carries. @default the plan's CA certificate
   */
  readonly ca?: Uint8Array;
  /** Withhold an image with an error finding. @default true */
  readonly verify?: boolean;
}

/** A finished image. */
export interface BuildResult {
  /** The partition's bytes. */
  readonly image: Bytes;
  /** The entries before the integrity entry. */
  readonly entries: readonly Tlv[];
  /** What `verify` says of the image. */
  readonly verdict: Verdict;
  /** SubjectPublicKeyInfo of the private key, where it is known. */
  readonly publicKey?: Bytes;
  /** What must be burned into an eFuse for the image to work. */
  readonly efuse?: EfuseOutput;
}

/**
 * Builds an image from credentials, and judges it as the device would read it.
 *
 * @param plan Certificates, key, key mode and further entries.
 * @param options Layout, and what the result is judged against.
 * @returns The image and the verdict on it.
 * @throws {SecureCertError} `ERR_PLAN` with everything that is wrong with the plan; `ERR_PASSWORD`;
 * `ERR_TOO_LARGE` when the content does not fit; `ERR_VERIFY` when the image has an error finding
 * and `verify` is not false, with the {@linkcode Verdict} as its `cause`.
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
  const { random, now } = options;
  const { problems, entries, ...made } = await planEntries(plan, { ...random && { random } });
  if (problems.length > 0) {
    throw new SecureCertError("ERR_PLAN", `Cannot build image: ${problems.join("; ")}`);
  }
  const image = await encodeImage(entries, options);
  const ca = options.ca ?? (plan.deviceCert === undefined ? undefined : plan.caCert);
  const verdict = await verify(image, {
    partitionSize: partitionSizeOf(options),
    allowWeak: plan.allowWeak ?? false,
    ...ca && { ca },
    ...now && { now },
    ...plan.chip && { chip: plan.chip },
    ...made.efuse?.hmacKey && { hmacKey: made.efuse.hmacKey },
    ...made.publicKey && { publicKey: made.publicKey },
  });
  if (!verdict.ok && options.verify !== false) throw withheld(verdict);
  return { image, entries, verdict, ...made };
}

/** The error that keeps an image with an error finding from being written. */
export function withheld(verdict: Verdict): SecureCertError {
  const errors: Finding[] = verdict.findings.filter(({ severity }) => severity === "error");
  const list = errors.map(({ code, message }) => `${code}: ${message}`).join("; ");
  return new SecureCertError("ERR_VERIFY", `Cannot build image: ${list}`, errors[0]?.place ?? {}, {
    cause: verdict,
  });
}
