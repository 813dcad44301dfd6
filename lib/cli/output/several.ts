import { shownName } from "../../bytes/text.ts";
import type { Arguments } from "../arguments.ts";
import { usageError } from "../errors.ts";
import { refuseFlagsForOne } from "../input/image_files.ts";
import { naming } from "../input/files.ts";
import { folderOf, type Io, joinPath } from "../io.ts";
import { forceOf, outputFolder, printJson } from "./out.ts";

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
