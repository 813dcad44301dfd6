import { decodeUtf8, formatBase64 } from "../../../bytes/text.ts";
import { readSignatureKey } from "../../../crypto/signature.ts";
import type { ChipName } from "../../../format/chips/chips.ts";
import type { KeyMode } from "../../../format/names.ts";
import {
  type BulkData,
  type BulkProfile,
  bulkProfileProblems,
  parseBulkProfile,
} from "../../../batch/profile.ts";
import type { Arguments } from "../../arguments.ts";
import { usageError } from "../../errors.ts";
import { daysOf, keyOptions, naming, readKey, sansOf, usageOf } from "../../inputs.ts";
import { besidePath, type Io } from "../../io.ts";

/** The profile of --profile, with what the flags say in its place. */
export async function profileOf(args: Arguments, io: Io): Promise<BulkProfile> {
  const path = args.get("profile");
  const profile = path === undefined ? {} : await readProfile(path, io);
  const [chip, keyMode] = [args.get("chip"), args.get("key-mode")];
  const [subject, sans, format] = [args.get("subject"), sansOf(args), args.get("format")];
  const efuseKeyId = args.number("efuse-key-id");
  const mode = keyMode ?? profile.keyMode;
  const wantsKey = ["type", "curve", "bits"].some((flag) => args.has(flag));
  const merged = {
    ...profile,
    ...chip === undefined ? {} : { chip: chip as ChipName },
    ...keyMode === undefined ? {} : { keyMode: keyMode as KeyMode },
    ...efuseKeyId === undefined ? {} : { efuseKeyId },
    ...subject === undefined ? {} : { subject },
    ...sans.length === 0 ? {} : { sans },
    ...format === undefined ? {} : { format: format as NonNullable<BulkProfile["format"]> },
    ...daysOf(args),
    ...usageOf(args),
    ...wantsKey ? { key: keyOptions(args, mode === "rsa-ds" ? "rsa" : "ec") } : {},
  };
  const problems = bulkProfileProblems(merged);
  if (problems.length === 0) return merged;
  throw usageError(
    `the profile and the flags do not go together: ${problems.join("; ")}`,
    "profile",
  );
}

/** The keys that sign the images, PKCS#8; they are named from where the profile lies. */
export async function signingKeysOf(
  { signingKeys = [] }: BulkProfile,
  args: Arguments,
  io: Io,
): Promise<Uint8Array[]> {
  const keys: Uint8Array[] = [];
  const algorithms = new Set<string>();
  for (const name of signingKeys) {
    const path = fromProfile(name, args.need("profile"));
    const key = await readKey(path, args, io);
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

async function readProfile(path: string, io: Io): Promise<BulkProfile> {
  const text = decodeUtf8(await io.read(path));
  if (text === undefined) throw usageError(`${path} is not UTF-8 text`, "profile");
  const { data, ...profile } = parseBulkProfile(text);
  if (data === undefined) return profile;
  return { ...profile, data: await Promise.all(data.map((each) => loadData(each, path, io))) };
}

/** A file is named from where the profile lies. */
async function loadData({ file, ...data }: BulkData, profile: string, io: Io): Promise<BulkData> {
  if (file === undefined) return data;
  return { ...data, base64: formatBase64(await io.read(fromProfile(file, profile))) };
}

function fromProfile(name: string, profile: string): string {
  return /^([/\\]|[A-Za-z]:)/.test(name) ? name : besidePath(profile, name);
}
