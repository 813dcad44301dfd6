import { SecureCertError } from "../../bytes/errors.ts";
import { encodeUtf8 } from "../../bytes/text.ts";
import { encodeName, encodeSans, escapeNameValue } from "../../crypto/x509/names.ts";
import { type ChipName, isChipName } from "../../format/chips/chips.ts";
import { KEY_MODES, type KeyMode } from "../../format/names.ts";
import type { BulkDevice } from "./devices.ts";
import {
  type BulkData,
  type BulkProfile,
  entryType,
  fixedData,
  layoutProblems,
} from "../profile.ts";
import { expandTemplate, splitList } from "./template.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";
import { keyModeProblems } from "../../key_modes/requirements.ts";
import { type DataEntry, DEFAULT_EFUSE_KEY_ID } from "../../toolkit/plan/credentials.ts";

/** What is to be made for one device. */
export interface DeviceSettings {
  readonly subject: string;
  readonly sans: readonly string[];
  readonly keyMode: KeyMode;
  readonly chip?: ChipName;
  readonly efuseKeyId?: number;
  readonly data: readonly DataEntry[];
}

/** What to make for a device, and everything that is wrong with its row. */
export interface ResolvedDevice extends DeviceSettings {
  readonly problems: readonly string[];
}

const USER_DATA = ["user1", "user2", "user3", "user4", "user5"];

/**
 * What a profile and a row of the device list make of a device.
 *
 * @param profile What all share.
 * @param device The row.
 */
export function resolveDevice(profile: BulkProfile, device: BulkDevice): ResolvedDevice {
  const problems: string[] = [];
  const values = { n: String(device.index + 1), ...device.fields, id: device.id };
  const fill = (what: string, template: string, escape?: (value: string) => string) => {
    const filled = expandTemplate(template, values, escape);
    if ("text" in filled) return filled.text;
    problems.push(`${what}: ${filled.problem}`);
    return "";
  };
  const { subject, sans } = device.fields;
  const settings = {
    subject: fill("subject", subject || (profile.subject ?? "CN={id}"), escapeNameValue),
    sans: (sans ? splitList(sans) : profile.sans ?? []).map((san) => fill("sans", san)),
    ...keyOf(profile, device, problems),
    data: [
      ...(profile.data ?? []).flatMap((data) => entryOf(data, fill, problems)),
      ...userData(device),
    ],
  };
  // A subject whose template could not be filled in was told of already.
  const named = settings.subject === "" && problems.length > 0
    ? { ...settings, subject: `CN=${escapeNameValue(device.id)}` }
    : settings;
  problems.push(
    ...namesProblems(named),
    ...layoutProblems(profile.format ?? "tlv", settings.keyMode, settings.data),
  );
  return { ...settings, problems };
}

function keyOf(
  profile: BulkProfile,
  { fields }: BulkDevice,
  problems: string[],
): Pick<DeviceSettings, "keyMode" | "chip" | "efuseKeyId"> {
  const keyMode = fields.keyMode || profile.keyMode || "plaintext";
  const chip = fields.chip || profile.chip;
  const id = fields.efuseKeyId || undefined;
  const efuseKeyId = id === undefined ? profile.efuseKeyId : /^[0-5]$/.test(id) ? Number(id) : NaN;
  if (!KEY_MODES.includes(keyMode as KeyMode)) problems.push(`keyMode "${keyMode}" is not known`);
  else if (chip !== undefined && !isChipName(chip)) problems.push(`chip "${chip}" is not known`);
  else if (Number.isNaN(efuseKeyId)) problems.push(`efuseKeyId "${id}" is not 0 to 5`);
  else problems.push(...modeProblems(keyMode as KeyMode, chip, efuseKeyId, profile));
  return {
    keyMode: keyMode as KeyMode,
    ...chip === undefined ? {} : { chip: chip as ChipName },
    ...efuseKeyId === undefined ? {} : { efuseKeyId },
  };
}

const knownModes = new WeakMap<BulkProfile, Map<string, readonly string[]>>();

/** The same for most devices of a batch, so that it is worked out once. */
function modeProblems(
  keyMode: KeyMode,
  chip: ChipName | undefined,
  efuseKeyId: number | undefined,
  profile: BulkProfile,
): readonly string[] {
  const known = knownModes.get(profile) ?? new Map<string, readonly string[]>();
  knownModes.set(profile, known);
  const name = [keyMode, chip, efuseKeyId].join();
  const problems = known.get(name) ?? findModeProblems(keyMode, chip, efuseKeyId, profile);
  known.set(name, problems);
  return problems;
}

function findModeProblems(
  keyMode: KeyMode,
  chip: ChipName | undefined,
  efuseKeyId = DEFAULT_EFUSE_KEY_ID,
  { key = {} }: BulkProfile,
): string[] {
  const { type = KEY_MODE_RULES[keyMode].standardKey.type, curve = "P-256", bits = 2048 } = key;
  const kind = type === "ec" ? { type, curve, bits: 0 } : { type, bits };
  return keyModeProblems({ keyMode, chip, key: kind, efuseKeyId }).map(({ message }) => message);
}

function entryOf(
  data: BulkData,
  fill: (what: string, template: string) => string,
  problems: string[],
): DataEntry[] {
  const type = entryType(data.type);
  const value = fixedData(data) ??
    (data.string === undefined ? undefined : encodeUtf8(fill("data", data.string)));
  if (type !== undefined && value !== undefined) {
    return [{ type, subtype: data.subtype ?? 0, data: value }];
  }
  problems.push(`data: the file ${data.file ?? ""} was not loaded`);
  return [];
}

function userData({ fields }: BulkDevice): DataEntry[] {
  return USER_DATA.flatMap((name) => {
    const text = fields[name];
    if (text === undefined || text === "") return [];
    return [{ type: entryType(name)!, subtype: 0, data: encodeUtf8(text) }];
  });
}

function namesProblems({ subject, sans }: Pick<DeviceSettings, "subject" | "sans">): string[] {
  const problems: string[] = [];
  const attempt = (make: () => void) => {
    try {
      make();
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      problems.push(error.message);
    }
  };
  attempt(() => encodeName(subject));
  if (sans.length > 0) attempt(() => encodeSans(sans));
  if (subject.trim() === "" && sans.length === 0) problems.push("neither subject nor sans");
  return problems;
}
