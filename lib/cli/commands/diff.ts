import { diff } from "../../toolkit/diff.ts";
import { readKeyBytes, tableOffsetOf } from "../inputs.ts";
import { renderDiff } from "../render/diff.ts";
import type { Command } from "../run.ts";

/** Compares two images entry by entry: exit code 1 when they differ. */
export const diffCommand: Command = async (args, io) => {
  const [a, b] = args.positionals as [string, string];
  const options = {
    ...tableOffsetOf(args),
    ...await readKeyBytes("hmac-key", "hmacKey", args, io),
  };
  const result = await diff(await io.read(a), await io.read(b), options);
  io.print(args.has("json") ? JSON.stringify(result, null, 2) : renderDiff(result));
  return result.same ? 0 : 1;
};
