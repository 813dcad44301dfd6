import { SecureCertError } from "../../bytes/errors.ts";
import type { Finding } from "../../findings/findings.ts";
import type { BuildResult } from "../../toolkit/build.ts";
import type { Io } from "../io.ts";
import { renderFindings } from "../render/findings.ts";

/**
 * Makes an image and shows what was found in it, also when it is withheld for that.
 *
 * @param expected Codes that are not worth a word, because the image is to be so.
 * @throws {SecureCertError} as the library's `build`.
 */
export async function showingFindings<T extends Pick<BuildResult, "verdict">>(
  make: () => Promise<T>,
  io: Io,
  expected: readonly Finding["code"][] = [],
): Promise<T> {
  try {
    const result = await make();
    noteFindings(result.verdict.findings.filter(({ code }) => !expected.includes(code)), io);
    return result;
  } catch (error) {
    // The members of an error know codes only as text.
    const verdict = error instanceof SecureCertError ? error.verdict : undefined;
    if (verdict !== undefined) noteFindings(verdict.findings as readonly Finding[], io);
    throw error;
  }
}

/** What was found, for people. */
export function noteFindings(findings: readonly Finding[], io: Io): void {
  if (findings.length > 0) io.note(renderFindings(findings, io.columns).join("\n"));
}

/** A finished image in JSON. */
export function imageReport(
  { image, verdict }: Pick<BuildResult, "image" | "verdict">,
  path: string,
): Record<string, unknown> {
  const { ok, findings } = verdict;
  return { path, size: image.length, ok, findings };
}
