import { SecureCertError } from "../../bytes/errors.ts";
import { spelledName, suggestion } from "../../bytes/nearest.ts";
import { encodeUtf8, parseBase64, parseHex } from "../../bytes/text.ts";
import { CURVES, type EcCurve, parseCurve } from "../../crypto/keys/curves.ts";
import { EXTENDED_KEY_USAGE } from "../../crypto/x509/extensions.ts";
import { type ChipName, CHIPS, parseChip } from "../../format/chips/chips.ts";
import { MOST_KEY_BLOCKS } from "../../format/chips/key_blocks.ts";
import {
  IMAGE_FORMATS,
  type ImageFormat,
  isReservedType,
  KEY_MODES,
  type KeyMode,
  MAX_SUBTYPE,
  nearestTlvType,
  parseTlvType,
  TLV_TYPES,
} from "../../format/names.ts";
import { MAX_SIGNATURES } from "../../format/signature_block.ts";
import { wantedKey } from "../../key_modes/requirements.ts";
import { DEFAULT_EFUSE_KEY_ID } from "../../toolkit/plan/entry.ts";
import { choice, either, flag, list, object, type Shape, text, whole, withRule } from "./shape.ts";

/** The largest entry type that a profile may name. */
const MAX_TYPE = 253;

/**
 * What all devices of a batch share; a column of the device list overrides it for its device.
 *
 * @category Device list and profile
 */
export interface BulkProfile {
  /** The chip; needed for every key mode but `plaintext`. */
  readonly chip?: ChipName;
  /** Layout of the images. @default "tlv" */
  readonly format?: ImageFormat;
  /** How private keys reach the devices. @default "plaintext" */
  readonly keyMode?: KeyMode;
  /** Kind of private key. @default RSA-2048 for `rsa-ds`, otherwise P-256 */
  readonly key?: {
    /** Kind of key. @default "ec" */
    readonly type?: "ec" | "rsa";
    /** Curve of an EC key. @default "P-256" */
    readonly curve?: EcCurve;
    /** Length of an RSA modulus in bits. @default 2048 */
    readonly bits?: 1024 | 2048 | 3072 | 4096;
  };
  /** Folder of the CA. */
  readonly ca?: string;
  /** File of what the devices store as their CA; the caller opens it as `caCert`. @default the issuer */
  readonly caCert?: string;
  /** Validity of the certificates in days. @default 3650, or until the CA ends */
  readonly days?: number | "forever";
  /** Subject, with placeholders. @default "CN={id}" */
  readonly subject?: string;
  /** Subject alternative names, with placeholders. @default [] */
  readonly sans?: readonly string[];
  /** What the certificates are for. @default ["client"] */
  readonly usage?: readonly ("client" | "server")[];
  /** The n of the KEYn that holds the eFuse key. @default 1 */
  readonly efuseKeyId?: number;
  /** Further entries. @default [] */
  readonly data?: readonly BulkData[];
  /** Files of one to three keys that sign each TLV image; the caller opens them as `signers`. @default [] */
  readonly signingKeys?: readonly string[];
  /** Size of the partition in bytes. @default 0x2000 for tlv, 0x3000 for nvs, 0x6000 for cust_flash */
  readonly size?: number;
  /** Fill a TLV image with 0xFF up to its size; the other layouts always are. @default false */
  readonly fill?: boolean;
  /** Close a TLV image with an integrity entry; the other layouts have none. @default true */
  readonly integrity?: boolean;
}

/** What holds where a profile says nothing. */
export const PROFILE_DEFAULTS = {
  format: "tlv",
  keyMode: "plaintext",
  subject: "CN={id}",
  sans: [],
  usage: ["client"],
  efuseKeyId: DEFAULT_EFUSE_KEY_ID,
  data: [],
  signingKeys: [],
  fill: false,
  integrity: true,
} as const satisfies BulkProfile;

type ProfileDefaults = Pick<BulkProfile, keyof typeof PROFILE_DEFAULTS>;

/** A profile with what holds where it says nothing; members without a default stay as they are. */
export function withDefaults(profile: BulkProfile): BulkProfile & Required<ProfileDefaults> {
  const given = Object.entries(profile).filter(([, value]) => value !== undefined);
  return { ...PROFILE_DEFAULTS, ...Object.fromEntries(given) };
}

const MOST_DAYS = 3_000_000;
/** The smallest partition has room for the header and footer of an entry. */
const SIZES = { least: 16, most: 0x1000000 } as const;
/** 1024 bits are weak, and nothing to make by the thousand. */
const RSA_BITS = [2048, 3072, 4096] as const;

const keyShape = withRule(
  object(
    {
      type: choice(["ec", "rsa"], { default: "ec" }),
      curve: choice(Object.keys(CURVES), { default: "P-256" }),
      bits: choice(RSA_BITS, { default: 2048 }),
    },
    {},
    { description: "Kind of private key. When it is not given: RSA-2048 for rsa-ds, or P-256." },
  ),
  ({ type = "ec", curve, bits }: NonNullable<BulkProfile["key"]>) => {
    if (type === "rsa" && curve !== undefined) return "an RSA key has no curve";
    return type === "ec" && bits !== undefined ? "an EC key has no bits" : undefined;
  },
);

const dataShape = object(
  {
    type: withRule(
      either(whole(0, MAX_TYPE), text(), {
        description: "A number, user1 to user5, or a name of the firmware's enum.",
      }),
      (type: number | string) => {
        if (entryType(type) !== undefined) return undefined;
        const nearest = nearestTlvType(String(type));
        return `is not an entry type${suggestion(nearest)}`;
      },
    ),
    subtype: whole(0, MAX_SUBTYPE, { default: 0 }),
    string: text({ description: "With {column} for a column's value." }),
    hex: withRule(text(), problemOf(parseHex)),
    base64: withRule(text(), problemOf(parseBase64)),
    file: text({ description: "A file, relative to the profile." }),
  },
  { all: ["type"], one: ["string", "hex", "base64", "file"] },
);

/** What each member of a profile may be; the check and the JSON Schema follow from it. */
const MEMBERS: Readonly<Record<keyof BulkProfile | "$schema", Shape>> = {
  $schema: text(),
  chip: choice(Object.keys(CHIPS)),
  format: choice(IMAGE_FORMATS, { default: PROFILE_DEFAULTS.format }),
  keyMode: choice(KEY_MODES, { default: PROFILE_DEFAULTS.keyMode }),
  key: keyShape,
  ca: text({ description: "Folder with ca.pem and ca.key.pem." }),
  caCert: text({
    description:
      "File of the CA that the devices store and trust, relative to the profile, when it is not the issuer.",
  }),
  days: either(whole(1, MOST_DAYS), choice(["forever"]), {
    description:
      "Validity of the certificates in days, or forever; when it is not given 3650, or until the CA ends.",
  }),
  subject: text({ default: PROFILE_DEFAULTS.subject }),
  sans: list(text(), {}, { description: "Such as dns:{id}.example, ip:…, uri:…, email:…." }),
  usage: list(choice(Object.keys(EXTENDED_KEY_USAGE)), { least: 1 }, {
    default: PROFILE_DEFAULTS.usage,
  }),
  efuseKeyId: whole(0, MOST_KEY_BLOCKS - 1, {
    description: "The n of the KEYn that holds the eFuse key.",
    default: PROFILE_DEFAULTS.efuseKeyId,
  }),
  data: list(dataShape, {}, { description: "Further entries of the images." }),
  signingKeys: list(text(), { most: MAX_SIGNATURES }, {
    description: "Files of the private keys that sign each image, relative to the profile: " +
      "RSA-3072, P-192, P-256 or P-384, all of one kind. TLV images only.",
  }),
  size: whole(SIZES.least, SIZES.most, { description: "Size of the partition in bytes." }),
  fill: flag({ default: PROFILE_DEFAULTS.fill }),
  integrity: flag({ default: PROFILE_DEFAULTS.integrity }),
};

const PROFILE = object(MEMBERS, {}, {
  description: "A column of the device list overrides subject, sans, chip, keyMode and " +
    "efuseKeyId. {column} stands for a column's value in subject, sans and the strings of data; " +
    "{n} for the row's number from 1.",
});

/**
 * The JSON Schema of a profile (draft 2020-12), by which {@linkcode parseBulkProfile} checks too.
 *
 * @category Device list and profile
 */
export function bulkProfileSchema(): Readonly<Record<string, unknown>> {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "What all devices of a batch share (esp-secure-cert bulk --profile)",
    ...PROFILE.schema,
  };
}

/**
 * A profile from its JSON text.
 *
 * @category Device list and profile
 * @throws {SecureCertError} `ERR_TEXT` for text that is not JSON; `ERR_PLAN` with everything that is
 * wrong.
 */
export function parseBulkProfile(json: string): BulkProfile {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new SecureCertError("ERR_TEXT", "Cannot read profile: not JSON", {}, { cause });
  }
  const spelled = usualSpelling(value);
  const problems = bulkProfileProblems(spelled);
  if (problems.length > 0) {
    throw new SecureCertError("ERR_PLAN", `Cannot use profile: ${problems.join("; ")}`, {}, {
      problems: problems.map((message) => ({ message })),
    });
  }
  const { $schema: _, ...profile } = spelled as BulkProfile & { readonly $schema?: string };
  return profile;
}

/** The value of a profile with its names as this module has them: chips, curves, layouts and key modes. */
function usualSpelling(value: unknown): unknown {
  if (!isRecord(value)) return value;
  const { key } = value;
  const members = respelled(value, {
    chip: parseChip,
    format: (text) => spelledName(text, IMAGE_FORMATS),
    keyMode: (text) => spelledName(text, KEY_MODES),
  });
  return isRecord(key) ? { ...members, key: respelled(key, { curve: parseCurve }) } : members;
}

/** Some members of an object with the names that they mean; what means none stays as it is. */
function respelled(
  value: Readonly<Record<string, unknown>>,
  readers: Readonly<Record<string, (text: string) => string | undefined>>,
): Record<string, unknown> {
  const names = Object.keys(readers).filter((name) => typeof value[name] === "string");
  const meant = names.map((name) => [name, readers[name]!(String(value[name])) ?? value[name]]);
  return { ...value, ...Object.fromEntries(meant) };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Everything that is wrong with a profile, one line each. */
export function bulkProfileProblems(value: unknown): string[] {
  const problems = PROFILE.problemsOf(value);
  if (problems.length > 0) return problems;
  const { format, keyMode, data, signingKeys } = withDefaults(value as BulkProfile);
  return [
    ...signingKeys.length > 0 && format !== "tlv"
      ? [`signingKeys: a ${format} image takes no signature`]
      : [],
    ...layoutProblems(format, keyMode, data),
  ];
}

/** The rule of text that some function reads. */
function problemOf(read: (text: string) => unknown): (value: string) => string | undefined {
  return (value) => {
    try {
      read(value.replace(/\s/g, ""));
      return undefined;
    } catch (error) {
      if (error instanceof SecureCertError) return error.message;
      throw error;
    }
  };
}

/**
 * The members of a profile that make one batch different from another, each as text; the same for
 * profiles that mean the same. CAs and signing keys are not among them: where their files are may differ
 * from machine to machine.
 *
 * @param profile A profile, as it was given or as an earlier run has kept it.
 */
function canonicalMembers(profile: BulkProfile): ReadonlyMap<string, string> {
  const { ca: _, caCert: __, signingKeys: ___, ...members } = withDefaults(profile);
  const whole = { ...members, key: wantedKey(members.keyMode, profile.key) };
  return new Map(
    Object.entries(whole).toSorted(byName).map(([name, value]) => [name, sortedJson(value)]),
  );
}

/** The names of members in which two profiles differ, in alphabetical order. */
export function differingMembers(a: BulkProfile, b: BulkProfile): string[] {
  const [left, right] = [canonicalMembers(a), canonicalMembers(b)];
  const names = new Set([...left.keys(), ...right.keys()]);
  return [...names].toSorted().filter((name) => left.get(name) !== right.get(name));
}

/** JSON that does not depend on the order of members. */
function sortedJson(value: unknown): string {
  return JSON.stringify(value, (_, each) => {
    const isObject = typeof each === "object" && each !== null && !Array.isArray(each);
    return isObject ? Object.fromEntries(Object.entries(each).toSorted(byName)) : each;
  });
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}

/**
 * An entry that each image of a batch carries; `string` may have placeholders.
 *
 * @category Device list and profile
 */
export interface BulkData {
  /** Entry type: a number, `user1` to `user5` or a name of the firmware's enum. */
  readonly type: number | string;
  /** Number among the entries of this type, 0 to 253. @default 0 */
  readonly subtype?: number;
  /** The value as text. */
  readonly string?: string;
  /** The value in hexadecimal. */
  readonly hex?: string;
  /** The value in base64. */
  readonly base64?: string;
  /** Name of a file, which the caller of `bulk` replaces with its content. */
  readonly file?: string;
}

/** Certificates and key, which every device gets. */
const OWN_ENTRIES: readonly string[] = [
  TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV,
].map((type) => `${type}.0`);

/** Key modes whose key every layout carries; the others need entries of a TLV image. */
const ANY_LAYOUT: readonly KeyMode[] = ["plaintext", "rsa-ds"];

/** The number of an entry type that a profile names; undefined when it is not one. */
export function entryType(type: number | string): number | undefined {
  return typeof type === "string" ? parseTlvType(type) : type;
}

/** The bytes of data that is the same for all devices; undefined for text with placeholders, and files. */
export function fixedData({ hex, base64, string }: BulkData): Uint8Array | undefined {
  if (hex !== undefined) return parseHex(hex.replace(/\s/g, ""));
  if (base64 !== undefined) return parseBase64(base64.replace(/\s/g, ""));
  return string === undefined || /[{}]/.test(string) ? undefined : encodeUtf8(string);
}

/**
 * What keeps an image of a layout from being made, whatever the key: entries that it cannot carry, or
 * that the firmware or the device itself needs.
 */
export function layoutProblems(
  format: ImageFormat,
  keyMode: KeyMode,
  data: readonly Pick<BulkData, "type" | "subtype">[],
): string[] {
  const problems: string[] = [];
  const isTlv = format === "tlv";
  if (!isTlv && data.length > 0) problems.push(`data: a ${format} image carries none`);
  if (!isTlv && !ANY_LAYOUT.includes(keyMode)) {
    problems.push(`keyMode: a ${format} image carries no ${keyMode} key`);
  }
  const names = data.map(({ type, subtype = 0 }) => `${entryType(type)}.${subtype}`);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) problems.push(`data: two entries of type and subtype ${twice}`);
  const own = names.find((name) => OWN_ENTRIES.includes(name));
  if (own !== undefined) {
    problems.push(`data: type and subtype ${own} are those of the device's own`);
  }
  const types = data.map(({ type }) => entryType(type));
  if (types.some((type) => type !== undefined && isReservedType(type))) {
    problems.push("data: a type that is a query value of the firmware is never stored");
  }
  return problems;
}
