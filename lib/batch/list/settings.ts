import { SecureCertError } from "../../bytes/errors.ts";
import { didYouMean, spelledName } from "../../bytes/nearest.ts";
import { encodeUtf8, shownValue } from "../../bytes/text.ts";
import { encodeName, encodeSans, escapeNameValue } from "../../crypto/x509/names.ts";
import { type ChipName, CHIPS, isChipName, parseChip } from "../../format/chips/chips.ts";
import { MOST_KEY_BLOCKS } from "../../format/chips/key_blocks.ts";
import { KEY_MODES, type KeyMode } from "../../format/names.ts";
import {
  keyModeProblems,
  kindOf,
  type WantedKey,
  wantedKey,
} from "../../key_modes/requirements.ts";
import type { DataEntry } from "../../toolkit/plan/entry.ts";
import {
  type BulkData,
  type BulkProfile,
  entryType,
  fixedData,
  layoutProblems,
  PROFILE_DEFAULTS,
  withDefaults,
} from "../profile/profile.ts";
import { type BulkDevice, expandTemplate, splitList } from "./devices.ts";
import { keyName } from "../../crypto/keys/encoding.ts";
import type { KeyKind } from "../../key_modes/mode.ts";

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
 * What a profile and a row of the device list make of a device. Its names are checked by
 * {@linkcode resolveRow}, and again where the certificate or request is made.
 *
 * @param profile What all share.
 * @param device The row.
 */
export function resolveDevice(profile: BulkProfile, device: BulkDevice): ResolvedDevice {
  const problems: string[] = [];
  const standard = withDefaults(profile);
  const values = { n: String(device.index + 1), ...device.fields, id: device.id };
  const fill = (what: string, template: string, escape?: (value: string) => string) => {
    const filled = expandTemplate(template, values, escape);
    if ("text" in filled) return filled.text;
    problems.push(`${what}: ${filled.problem}`);
    return "";
  };
  const { fields } = device;
  const subject = fill("subject", fields.subject || standard.subject, escapeNameValue);
  const isNamed = subject.trim() !== "" || problems.length > 0;
  const settings = {
    subject,
    sans: (fields.sans ? splitList(fields.sans) : standard.sans).map((san) => fill("sans", san)),
    ...keyOf(profile, device, problems),
    data: [
      ...standard.data.flatMap((data) => entryOf(data, fill, problems)),
      ...userData(device),
    ],
  };
  if (!isNamed && settings.sans.length === 0) problems.push("neither subject nor sans");
  problems.push(...layoutProblems(standard.format, settings.keyMode, settings.data));
  return { ...settings, problems };
}

/** As {@linkcode resolveDevice}, with what is wrong with the names of its certificate. */
export function resolveRow(profile: BulkProfile, device: BulkDevice): ResolvedDevice {
  const settings = resolveDevice(profile, device);
  return { ...settings, problems: [...settings.problems, ...namesProblems(settings)] };
}

/** The key mode of a device, by its row of the list or the profile; it may be any text. */
export function deviceKeyMode(profile: BulkProfile, { fields }: BulkDevice): KeyMode {
  const text = fields.keyMode || (profile.keyMode ?? PROFILE_DEFAULTS.keyMode);
  return spelledName(text, KEY_MODES) ?? text as KeyMode;
}

function keyOf(
  profile: BulkProfile,
  device: BulkDevice,
  problems: string[],
): Pick<DeviceSettings, "keyMode" | "chip" | "efuseKeyId"> {
  const { fields } = device;
  const keyMode = deviceKeyMode(profile, device);
  const text = fields.chip || profile.chip;
  const chip = text && (parseChip(text) ?? text);
  const id = fields.efuseKeyId || undefined;
  const standard = profile.efuseKeyId ?? PROFILE_DEFAULTS.efuseKeyId;
  const efuseKeyId = id === undefined ? standard : numberOf(id);
  if (!KEY_MODES.includes(keyMode)) {
    const meant = didYouMean(keyMode, KEY_MODES);
    problems.push(`keyMode ${shownValue(keyMode)} is not known${meant}`);
  } else if (chip !== undefined && !isChipName(chip)) {
    const meant = didYouMean(chip, Object.keys(CHIPS));
    problems.push(`chip ${shownValue(chip)} is not known${meant}`);
  } else if (efuseKeyId === undefined) {
    problems.push(`efuseKeyId ${shownValue(id!)} is not 0 to ${MOST_KEY_BLOCKS - 1}`);
  } else problems.push(...modeProblems(keyMode, chip, efuseKeyId, profile));
  return { keyMode, chip: chip as ChipName | undefined, efuseKeyId };
}

function numberOf(text: string): number | undefined {
  const number = /^[0-9]$/.test(text) ? Number(text) : NaN;
  return number < MOST_KEY_BLOCKS ? number : undefined;
}

const knownModes = new WeakMap<BulkProfile, Map<string, readonly string[]>>();

/** The same for most devices of a batch, so that it is worked out once. */
function modeProblems(
  keyMode: KeyMode,
  chip: ChipName | undefined,
  efuseKeyId: number,
  profile: BulkProfile,
): readonly string[] {
  const known = knownModes.get(profile) ?? new Map<string, readonly string[]>();
  knownModes.set(profile, known);
  const name = [keyMode, chip, efuseKeyId].join();
  const same = known.get(name);
  if (same !== undefined) return same;
  const key = kindOf(wantedKey(keyMode, profile.key));
  const found = keyModeProblems({ keyMode, chip, key, efuseKeyId });
  const problems = found.map(({ message }) => message);
  known.set(name, problems);
  return problems;
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
  return problems;
}

/** Why a key is not the one that a device gets; undefined when it is. */
export function keyProblem(key: KeyKind, wanted: WantedKey): string | undefined {
  const [had, want] = [keyName(key), keyName(kindOf(wanted))];
  return had === want ? undefined : `its key is ${had}, the profile wants ${want}`;
}
