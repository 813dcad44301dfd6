import { formatBase64 } from "../../../bytes/text.ts";
import { readCertificates } from "../../../crypto/x509/certificate.ts";
import { readSignatureKey } from "../../../crypto/signature.ts";
import type { BulkData } from "../../../batch/profile/data.ts";
import {
  type BulkProfile,
  bulkProfileProblems,
  parseBulkProfile,
} from "../../../batch/profile/profile.ts";
import type { Arguments } from "../../arguments.ts";
import { usageError } from "../../errors.ts";
import { daysOf, sansOf, usageOf } from "../../input/certificates.ts";
import { besideLoad, naming, readAs, readText } from "../../input/files.ts";
import { chipOf, deviceKeyOptions, keyModeOf, readKey } from "../../input/keys.ts";
import { besidePath, type Io } from "../../io.ts";

/** The profile of --profile, where flags override it. */
export async function profileOf(args: Arguments, io: Io): Promise<BulkProfile> {
  const path = args.get("profile");
  const profile = path === undefined ? {} : await readProfile(path, io);
  const sans = sansOf(args);
  const given: BulkProfile = {
    chip: chipOf(args),
    keyMode: args.has("key-mode") ? keyModeOf(args) : undefined,
    efuseKeyId: args.number("efuse-key-id"),
    subject: args.get("subject"),
    sans: sans.length === 0 ? undefined : sans,
    format: args.get("format") as BulkProfile["format"],
    days: daysOf(args),
    usage: usageOf(args),
    key: await deviceKeyOptions(keyModeOf(args, profile.keyMode), args),
  };
  const isGiven = ([, value]: [string, unknown]) => value !== undefined;
  const merged = { ...profile, ...Object.fromEntries(Object.entries(given).filter(isGiven)) };
  const problems = bulkProfileProblems(merged);
  if (problems.length === 0) return merged;
  throw usageError(
    `the profile and the flags do not go together: ${problems.join("; ")}`,
    "profile",
  );
}

/** The keys that sign the images, PKCS#8; their files are relative to the profile. */
export async function signingKeysOf(
  { signingKeys = [] }: BulkProfile,
  args: Arguments,
  io: Io,
): Promise<Uint8Array[]> {
  const keys: Uint8Array[] = [];
  const algorithms = new Set<string>();
  for (const name of signingKeys) {
    const path = fromProfile(name, args.need("profile"));
    // The profile names the key, the command line its password.
    const read = (name: string) => name === path ? readAs(name, io) : io.read(name);
    const key = await readKey(path, args, { ...io, read });
    algorithms.add((await naming(path, () => readSignatureKey(key.publicKey))).algorithm);
    keys.push(key.pkcs8);
  }
  if (algorithms.size > 1) {
    throw usageError(
      `signing keys of ${[...algorithms].join(" and ")} do not go together`,
      "profile",
    );
  }
  return keys;
}

/** What the devices store as their CA, PEM or DER; a file that the profile names is relative to it. */
export async function caCertOf(
  { caCert }: BulkProfile,
  args: Arguments,
  io: Io,
): Promise<Uint8Array | undefined> {
  const path = args.get("ca-cert") ?? (caCert && fromProfile(caCert, args.need("profile")));
  if (path === undefined) return undefined;
  const bytes = await io.read(path);
  await naming(path, () => readCertificates(bytes));
  return bytes;
}

async function readProfile(path: string, io: Io): Promise<BulkProfile> {
  const { data, ...profile } = parseBulkProfile(await readText(path, io));
  if (data === undefined) return profile;
  const load = besideLoad(path, io);
  const loaded: BulkData[] = [];
  for (const { file, ...each } of data) {
    loaded.push(file === undefined ? each : { ...each, base64: formatBase64(await load(file)) });
  }
  return { ...profile, data: loaded };
}

function fromProfile(name: string, profile: string): string {
  return /^([/\\]|[A-Za-z]:)/.test(name) ? name : besidePath(profile, name);
}
