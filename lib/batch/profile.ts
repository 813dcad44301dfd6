import { SecureCertError } from "../bytes/errors.ts";
import { encodeUtf8, parseBase64, parseHex } from "../bytes/text.ts";
import type { CertificateUsage } from "../crypto/x509/issue.ts";
import type { GenerateKeyOptions } from "../crypto/keys/keys.ts";
import { type ChipName, CHIPS } from "../format/chips/chips.ts";
import { KEY_MODES, type KeyMode, parseTlvType, TLV_TYPES } from "../format/names.ts";
import type { LayoutOptions } from "../image/encode.ts";
import { MAX_SIGNATURES } from "../format/signature_block.ts";

/** An entry that each image of a batch carries; `string` may have placeholders. */
export interface BulkData {
  /** Entry type: a number, `user1` to `user5` or a name of the firmware. */
  readonly type: number | string;
  /** Number among the entries of this type. @default 0 */
  readonly subtype?: number;
  /** The value as text. */
  readonly string?: string;
  /** The value in hexadecimal. */
  readonly hex?: string;
  /** The value in base64. */
  readonly base64?: string;
  /** A file's name; the caller of `bulk` replaces it by its content. */
  readonly file?: string;
}

/** What all devices of a batch share; a column of the device list overrides it for its device. */
export interface BulkProfile extends LayoutOptions {
  /** The chip; needed for every key mode but `plaintext`. */
  readonly chip?: ChipName;
  /** How private keys reach the devices. @default "plaintext" */
  readonly keyMode?: KeyMode;
  /** Kind of private key. @default RSA-2048 for `rsa-ds`, else P-256 */
  readonly key?: Pick<GenerateKeyOptions, "type" | "curve" | "bits">;
  /** Folder of the CA. */
  readonly ca?: string;
  /** Validity of the certificates in days. @default 3650 */
  readonly days?: number | "forever";
  /** Subject, with placeholders. @default "CN={id}" */
  readonly subject?: string;
  /** Subject alternative names, with placeholders. @default [] */
  readonly sans?: readonly string[];
  /** What the certificates are for. @default ["client"] */
  readonly usage?: readonly CertificateUsage[];
  /** The n of the KEYn that holds the eFuse key. @default 1 */
  readonly efuseKeyId?: number;
  /** Further entries. @default [] */
  readonly data?: readonly BulkData[];
  /**
   * Files of the private keys that sign each image, one to three; TLV images alone. The caller of `bulk`
   * makes signers of them. @default []
   */
  readonly signingKeys?: readonly string[];
}

/** Certificates and key, which every device gets. */
const OWN_ENTRIES: readonly string[] = [
  TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV,
].map((type) => `${type}.0`);

/** What is wrong with a value, or undefined. */
type Judge = (value: unknown) => string | undefined;

const text: Judge = (value) => typeof value === "string" ? undefined : "must be text";
const flag: Judge = (value) => typeof value === "boolean" ? undefined : "must be true or false";
const whole = (least: number, most: number): Judge => (value) =>
  Number.isInteger(value) && Number(value) >= least && Number(value) <= most
    ? undefined
    : `must be a whole number from ${least} to ${most}`;
const oneOf = (...choices: readonly unknown[]): Judge => (value) =>
  choices.includes(value) ? undefined : `must be one of ${choices.join(", ")}`;
const listOf = (judge: Judge): Judge => (value) => {
  if (!Array.isArray(value)) return "must be a list";
  const at = value.findIndex((each) => judge(each) !== undefined);
  return at < 0 ? undefined : `[${at}]: ${judge(value[at])}`;
};
const objectOf = (members: Readonly<Record<string, Judge>>): Judge => (value) =>
  membersProblems(value, members).join("; ") || undefined;

const KEY: Judge = (value) => {
  const members = {
    type: oneOf("ec", "rsa"),
    curve: oneOf("P-256", "P-384", "P-521", "P-192", "secp256k1"),
    bits: oneOf(2048, 3072, 4096),
  };
  const problem = objectOf(members)(value);
  if (problem !== undefined) return problem;
  const { type = "ec", curve, bits } = value as NonNullable<BulkProfile["key"]>;
  if (type === "rsa" && curve !== undefined) return "an RSA key has no curve";
  return type === "ec" && bits !== undefined ? "an EC key has no bits" : undefined;
};

const DATA: Judge = (value) => {
  const members = {
    type: (type: unknown) => entryType(type) === undefined ? "is no entry type" : undefined,
    subtype: whole(0, 253),
    string: text,
    hex: text,
    base64: text,
    file: text,
  };
  const problem = objectOf(members)(value);
  if (problem !== undefined) return problem;
  const data = value as BulkData;
  if (entryType(data.type) === undefined) return "needs a type";
  const forms = ["string", "hex", "base64", "file"].filter((form) => Object.hasOwn(data, form));
  if (forms.length !== 1) return "needs one of string, hex, base64, file";
  try {
    return void fixedData(data);
  } catch (error) {
    return (error as Error).message;
  }
};

const MEMBERS: Readonly<Record<keyof BulkProfile | "$schema", Judge>> = {
  $schema: text,
  chip: oneOf(...Object.keys(CHIPS)),
  format: oneOf("tlv", "cust_flash", "cust_flash_legacy", "nvs", "nvs_legacy"),
  keyMode: oneOf(...KEY_MODES),
  key: KEY,
  ca: text,
  days: (value) =>
    value === "forever" || whole(1, 3_000_000)(value) === undefined
      ? undefined
      : 'must be a whole number of days from 1, or "forever"',
  subject: text,
  sans: listOf(text),
  usage: (value) =>
    Array.isArray(value) && value.length === 0
      ? "must not be empty"
      : listOf(oneOf("client", "server"))(value),
  efuseKeyId: whole(0, 5),
  data: listOf(DATA),
  signingKeys: (value) =>
    Array.isArray(value) && value.length > MAX_SIGNATURES
      ? `must not be more than ${MAX_SIGNATURES}`
      : listOf(text)(value),
  size: whole(16, 0x1000000),
  fill: flag,
  integrity: flag,
};

/**
 * A profile from its JSON text; `bulk-profile.schema.json` describes the same.
 *
 * @param json The text.
 * @returns The profile.
 * @throws {SecureCertError} `ERR_TEXT` when it is no JSON, `ERR_PLAN` with everything that is wrong.
 */
export function parseBulkProfile(json: string): BulkProfile {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new SecureCertError("ERR_TEXT", "Cannot read profile: not JSON", {}, { cause });
  }
  const problems = bulkProfileProblems(value);
  if (problems.length === 0) {
    const { $schema: _, ...profile } = value as BulkProfile & { $schema?: string };
    return profile;
  }
  throw new SecureCertError("ERR_PLAN", `Cannot use profile: ${problems.join("; ")}`);
}

/** Everything that is wrong with a profile, one line each. */
export function bulkProfileProblems(value: unknown): string[] {
  const problems = membersProblems(value, MEMBERS);
  if (problems.length > 0) return problems;
  const { format = "tlv", keyMode = "plaintext", data = [], signingKeys = [] } =
    value as BulkProfile;
  return [
    ...signingKeys.length > 0 && format !== "tlv"
      ? [`signingKeys: a ${format} image takes no signature`]
      : [],
    ...layoutProblems(format, keyMode, data),
  ];
}

/**
 * What keeps an image of a layout from being made, whatever the key: entries that it cannot carry, or
 * that the firmware or the device itself needs.
 */
export function layoutProblems(
  format: NonNullable<LayoutOptions["format"]>,
  keyMode: KeyMode,
  data: readonly Pick<BulkData, "type" | "subtype">[],
): string[] {
  const problems: string[] = [];
  if (format !== "tlv" && data.length > 0) problems.push(`data: a ${format} image carries none`);
  if (format !== "tlv" && keyMode !== "plaintext" && keyMode !== "rsa-ds") {
    problems.push(`keyMode: a ${format} image carries no ${keyMode} key`);
  }
  const names = data.map(({ type, subtype = 0 }) => `${entryType(type)}.${subtype}`);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) problems.push(`data: two entries of type and subtype ${twice}`);
  const own = names.find((name) => OWN_ENTRIES.includes(name));
  if (own !== undefined) {
    problems.push(`data: type and subtype ${own} are those of the device's own`);
  }
  if (data.some(({ type }) => entryType(type) === TLV_TYPES.ESP_SECURE_CERT_TLV_END)) {
    problems.push("data: the type of the end is a query value of the firmware, never stored");
  }
  return problems;
}

/** The number of an entry type that a profile names, or undefined. */
export function entryType(type: unknown): number | undefined {
  if (typeof type === "string") return parseTlvType(type);
  return Number.isInteger(type) && Number(type) >= 0 && Number(type) <= 253
    ? Number(type)
    : undefined;
}

/** The bytes of data that is the same for all devices; undefined for text, which may not be, and files. */
export function fixedData({ hex, base64, string }: BulkData): Uint8Array | undefined {
  if (hex !== undefined) return parseHex(hex.replace(/\s/g, ""));
  if (base64 !== undefined) return parseBase64(base64.replace(/\s/g, ""));
  return string === undefined || /[{}]/.test(string) ? undefined : encodeUtf8(string);
}

function membersProblems(value: unknown, members: Readonly<Record<string, Judge>>): string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return ["must be an object"];
  }
  return Object.entries(value).flatMap(([name, each]) => {
    if (!Object.hasOwn(members, name)) {
      return [`"${name}" is not known; there are ${Object.keys(members).join(", ")}`];
    }
    const problem = members[name]!(each);
    return problem === undefined ? [] : [`${name}: ${problem}`];
  });
}
