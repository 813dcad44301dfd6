import type { ChipName } from "../../format/chips/chips.ts";
import { verify } from "../../verify/verify.ts";
import { usageError } from "../errors.ts";
import { hmacKeyOf, readAll, readFlag, tableOffsetOf } from "../inputs.ts";
import { renderVerdict } from "../render/inspection.ts";
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
    ...await hmacKeyOf(args, io),
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

/** A day, or a moment; without a zone it is UTC, so that every machine judges alike. */
function timeOf(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const [, day, time = "T00:00:00", zone = "Z"] =
    /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d)?)?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
  const moment = new Date(`${day}${time}${zone}`);
  const isDay = day !== undefined && isoDayOf(day) === day;
  if (isDay && !Number.isNaN(moment.getTime())) return moment;
  const message = `--now is a date such as 2030-01-31 or 2030-01-31T12:00:00Z; not "${text}"`;
  throw usageError(message, "now");
}

/** The day that a date names; February 30 names one in March, and the 40th none. */
function isoDayOf(day: string): string | undefined {
  const midnight = new Date(`${day}T00:00:00Z`);
  return Number.isNaN(midnight.getTime()) ? undefined : midnight.toISOString().slice(0, 10);
}
