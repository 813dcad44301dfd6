import { SecureCertError } from "../../bytes/errors.ts";
import { shownName } from "../../bytes/text.ts";
import type { Finding } from "../../findings/findings.ts";
import type { BuildResult } from "../../toolkit/build.ts";
import type { Arguments } from "../command.ts";
import { usageError } from "../errors.ts";
import { naming } from "../input/files.ts";
import { refuseFlagsForOne } from "../input/images.ts";
import { folderOf, type Io, joinPath } from "../io.ts";
import { renderFindings } from "../render/entries.ts";
import { forceOf, outputFolder, printJson } from "./out.ts";

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

/** An image that is made of another. */
interface Made {
  readonly image: Uint8Array;
  /** What `--json` has of it. */
  readonly json: Readonly<Record<string, unknown>>;
  /** A line for people. */
  readonly text: string;
}

/**
 * Makes an image of each of several and writes them into the folder of --out, each under its own name:
 * all of them or none.
 *
 * @param make Makes one, which will be written to `out`.
 * @throws {CliError} `ERR_USAGE` for two files of one name, for stdin, and for flags about one image.
 */
export async function writeSeveral(
  make: (path: string, out: string) => Promise<Made>,
  args: Arguments,
  io: Io,
): Promise<number> {
  const { positionals } = args;
  const folder = outputFolder(args);
  refuseFlagsForOne(args, positionals.length);
  const names = positionals.map(baseName);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) {
    throw usageError(`two images are called ${shownName(twice)}, and go to one folder`, "out");
  }
  const made: (Made & { readonly path: string })[] = [];
  for (const [at, path] of positionals.entries()) {
    const out = joinPath(folder, names[at]!);
    made.push({ ...await naming(path, () => make(path, out)), path: out });
  }
  const files = made.map(({ path, image }) => ({ path, bytes: image, secret: true }));
  await io.write(files, forceOf(args), { makeFolders: true });
  if (args.has("json")) printJson({ images: made.map(({ json }) => json) }, io);
  else for (const { text } of made) io.note(text);
  return 0;
}

function baseName(path: string): string {
  if (path !== "-") return path.slice(folderOf(path).length);
  throw usageError("standard input has no name; with several images give files", "out");
}
