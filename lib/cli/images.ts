import { SecureCertError } from "../bytes/errors.ts";
import type { BuildOptions, BuildResult } from "../toolkit/build.ts";
import type { ImageFormat } from "../format/names.ts";
import type { Verdict } from "../verify/verify.ts";
import type { Arguments } from "./arguments.ts";
import { usageError } from "./errors.ts";
import type { Io } from "./io.ts";
import { renderFindings } from "./render/inspection.ts";

/** 32 MiB, the largest flash that the chips address, in bytes. */
const MAX_PARTITION = 32 << 20;

/** What an image's flags say of its layout. */
export function buildOptionsOf(args: Arguments): BuildOptions {
  const size = args.number("size");
  if (size !== undefined && size > MAX_PARTITION) {
    throw usageError(`--size is at most ${MAX_PARTITION}, the largest flash`, "size");
  }
  const format = args.get("format");
  return {
    ...size === undefined ? {} : { size },
    ...format === undefined ? {} : { format: format as ImageFormat },
    fill: args.has("fill"),
    integrity: !args.has("no-integrity"),
    verify: !args.has("no-verify"),
  };
}

/**
 * Builds, and where the image is judged bad shows all that was found before the error.
 *
 * @throws {SecureCertError} as the library's `build`, with a message that does not repeat the list.
 */
export async function buildJudged<T extends Pick<BuildResult, "verdict">>(
  make: () => Promise<T>,
  io: Io,
): Promise<T> {
  try {
    const result = await make();
    noteFindings(result.verdict, io);
    return result;
  } catch (error) {
    if (!(error instanceof SecureCertError) || error.code !== "ERR_VERIFY") throw error;
    if (error.verdict !== undefined) noteFindings(error.verdict as Verdict, io);
    throw error;
  }
}

/** What JSON says of a finished image. */
export function imageReport(
  { image, verdict }: Pick<BuildResult, "image" | "verdict">,
  path: string,
): Record<string, unknown> {
  const { ok, findings } = verdict;
  return { path, size: image.length, ok, findings };
}

/** What was found, for people. */
export function noteFindings({ findings }: Pick<Verdict, "findings">, io: Io): void {
  if (findings.length > 0) io.note(renderFindings(findings, io.columns).join("\n"));
}
