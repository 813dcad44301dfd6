import type { Command } from "../command.ts";
import { valueError } from "../errors.ts";
import { CHIP, FLASH_KEY_FLAGS, ISSUED_BY, JSON_FLAG, OPENING_KEY, PLACE_FLAGS } from "../flags.ts";
import { readAll, readFlag } from "../input/files.ts";
import { flashReader } from "../input/flash.ts";
import { imageFilesOf, noteUnfound, placeOf } from "../input/images.ts";
import { chipOf, readHmacKey } from "../input/keys.ts";
import { printJson } from "../output/out.ts";

/** Checks an image: exit code 1 when a finding is an error. */
export const command: Command = {
  positionals: [{
    name: "IMAGE",
    repeats: true,
    help: "images or folders of them: image or dump of flash (raw, Intel\nHEX or UF2); - is stdin",
  }],
  flags: [
    ISSUED_BY,
    {
      name: "signing-key",
      value: "FILE",
      repeats: true,
      help: "public key that should have signed the image; one of several is enough",
    },
    CHIP,
    OPENING_KEY,
    { name: "allow-weak", help: "accept RSA keys of 1024 bits, with a warning" },
    {
      name: "now",
      value: "DATE",
      help: "check validity at this time, such as 2030-01-31",
      default: "the clock",
    },
    {
      name: "expires-within",
      value: "DAYS",
      help: "fail when a certificate ends within so many days",
      default: "a warning within 90",
    },
    ...PLACE_FLAGS,
    ...FLASH_KEY_FLAGS,
    JSON_FLAG,
  ],
  exit1: "the image is bad, or cannot be read",
  examples: [{
    permissions: "--allow-read=esp_secure_cert.bin,ca",
    line: "verify esp_secure_cert.bin --ca ca/ca.pem",
  }, {
    permissions: "--allow-read=batch",
    line: "verify batch --expires-within 365",
  }],
  async run(args, io) {
    const now = timeOf(args.get("now"));
    const signingKeys = await readAll("signing-key", args, io);
    const options = {
      tableOffset: placeOf(args).tableOffset,
      expiresWithin: args.number("expires-within"),
      ca: await readFlag("ca", args, io),
      chip: chipOf(args),
      hmacKey: (await readHmacKey(args, io))?.bytes,
      signingKeys: signingKeys.length === 0 ? undefined : signingKeys,
      allowWeak: args.has("allow-weak"),
    };
    const read = flashReader(args, io);
    const files = await imageFilesOf(args, io);
    if (files !== undefined) {
      const { reportMany } = await import("../many/many.ts");
      const task = { kind: "verify", ...options, now: now?.getTime() } as const;
      return await reportMany({ files, read, task }, args, io);
    }
    const { verify } = await import("../../verify/verify.ts");
    const { renderVerdict } = await import("../render/inspection.ts");
    const { bytes: image, offset, encoding } = await read(args.positionals[0]!);
    const checked = await verify(image, { ...options, offset, now: now && (() => now) });
    const verdict = { ...checked, encoding: encoding ?? checked.encoding };
    if (args.has("json")) printJson(verdict, io);
    else io.print(renderVerdict(verdict, io.columns));
    if (verdict.format === "unknown") await noteUnfound(image, args, io);
    return verdict.ok ? 0 : 1;
  },
};

/** A day, or a moment; without a zone it is UTC, so that every machine checks alike. */
function timeOf(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const [, day, time = "T00:00:00", zone = "Z"] =
    /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d)?)?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
  const moment = new Date(`${day}${time}${zone}`);
  const isDay = day !== undefined && isoDayOf(day) === day;
  if (isDay && !Number.isNaN(moment.getTime())) return moment;
  const rule = "--now is a date such as 2030-01-31 or 2030-01-31T12:00:00Z";
  throw valueError(rule, text, "now");
}

/** The day that a date means: February 30 is a day in March, and the 40th is none. */
function isoDayOf(day: string): string | undefined {
  const midnight = new Date(`${day}T00:00:00Z`);
  return Number.isNaN(midnight.getTime()) ? undefined : midnight.toISOString().slice(0, 10);
}
