import type { ChipName } from "../../format/chips.ts";
import { verify } from "../../provision/verify.ts";
import { usageError } from "../errors.ts";
import { readAll, readFlag, readKeyBytes, tableOffsetOf } from "../inputs.ts";
import { renderVerdict } from "../render.ts";
import type { Command } from "../run.ts";

/** Judges an image: exit code 1 when a finding is an error. */
export const verifyCommand: Command = async (args, io) => {
  const now = timeOf(args.get("now"));
  const chip = args.get("chip") as ChipName | undefined;
  const signingKeys = await readAll("signing-key", args, io);
  const options = {
    ...tableOffsetOf(args),
    ...now === undefined ? {} : { now: () => now },
    ...await readFlag("ca", "ca", args, io),
    ...chip && { chip },
    ...await readKeyBytes("hmac-key", "hmacKey", args, io),
    ...signingKeys.length === 0 ? {} : { signingKeys },
    allowWeak: args.has("allow-weak"),
  };
  const image = await io.read(args.positionals[0]!);
  const verdict = await verify(image, options);
  io.print(
    args.has("json") ? JSON.stringify(verdict, null, 2) : renderVerdict(verdict, io.columns),
  );
  return verdict.ok ? 0 : 1;
};

function timeOf(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const time = new Date(text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(time.getTime())) return time;
  throw usageError(
    `--now is a date such as 2030-01-31 or 2030-01-31T12:00:00Z; not "${text}"`,
    "now",
  );
}
