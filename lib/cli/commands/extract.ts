import { CONTENTS, extract } from "../../toolkit/extract.ts";
import { joinPath } from "../io.ts";
import { folderOf, tell } from "../outputs.ts";
import type { Command } from "../run.ts";

/** Takes an image apart into a folder, with a CSV that builds the same image again. */
export const extractCommand: Command = async (args, io) => {
  const out = folderOf(args);
  const files = await extract(await io.read(args.positionals[0]!));
  await io.makeDir(joinPath(out, CONTENTS));
  const paths = files.map(({ name }) => joinPath(out, name));
  await io.write(
    files.map(({ bytes, secret }, at) => ({ path: paths[at]!, bytes, secret })),
    args.has("force"),
  );
  const text = `extracted ${files.length} files; build it again with: build --csv ${paths[0]}`;
  tell(out, { csv: paths[0], files: paths }, text, args, io);
  return 0;
};
