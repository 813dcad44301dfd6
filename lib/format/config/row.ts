import type { CsvProblem, CsvRecords } from "../../bytes/csv.ts";
import { didYouMean } from "../../bytes/nearest.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { formatPem, isPem, parsePem } from "../../bytes/pem.ts";
import { encodeUtf8, formatHex, parseBase64, parseHex, shownValue } from "../../bytes/text.ts";
import { CREDENTIAL_TYPES, IMAGE_FORMATS, type ImageFormat, type KeyMode } from "../names.ts";

/** The columns of a configuration CSV as Espressif's host tool documents them. */
export const CONFIG_COLUMNS = [
  "tlv_type",
  "tlv_subtype",
  "data_value",
  "data_type",
  "priv_key_type",
  "algorithm",
  "key_size",
  "efuse_id",
  "efuse_key",
] as const;

/** A name of {@linkcode CONFIG_COLUMNS}. */
export type ConfigColumn = typeof CONFIG_COLUMNS[number];

/** Where each cell of a row begins: line and character of the line, both from 1. */
export type ConfigPlaces = Readonly<
  Record<ConfigColumn, { readonly line: number; readonly column: number }>
>;

/**
 * One row of a configuration CSV: an entry to be made.
 *
 * @category Configuration CSV
 */
export interface ConfigRow {
  /** Entry type, 0 to 255. */
  readonly type: number;
  /** Number among the entries of this type, 0 to 253; the types 50, 254 and 255 are reserved. */
  readonly subtype: number;
  /** The value as text: a file's name, characters, hex or base64 as `dataType` says. */
  readonly dataValue: string;
  /** How the value is to be understood. */
  readonly dataType: "file" | "string" | "hex" | "base64";
  /** How a private key reaches the device; present in private key rows, and informative in others. */
  readonly keyMode?: KeyMode;
  /** Kind of the private key, where the row says. */
  readonly algorithm?: "RSA" | "ECDSA";
  /** Size of the private key in bits, where the row says. */
  readonly keySize?: number;
  /** eFuse key block KEY0 to KEY5, where the row says. */
  readonly efuseId?: number;
  /** Name of the file with the eFuse key, where the row says. */
  readonly efuseKey?: string;
  /** What the columns cannot say of the entry; a comment line before the row says it. */
  readonly stored?: {
    /** The value is stored as it is, whatever its type; reserved and doubled numbers are taken. */
    readonly raw?: true;
    /** A NUL follows the value. */
    readonly nul?: true;
    /** Flags byte of the entry. */
    readonly flags?: number;
    /** The 3 reserved bytes of its header. */
    readonly reserved?: Bytes;
    /** The padding after its value. */
    readonly padding?: Bytes;
  };
  /** Line of the text where the row begins, from 1. */
  readonly line?: number;
}

/** What `# @entry` says of the entry in the next row. */
export type StoredForm = NonNullable<ConfigRow["stored"]>;

/** A key mode as the column has it. */
export function formatConfigKeyMode(mode: KeyMode): string {
  return mode.replaceAll("-", "_");
}

/** What the column `data_type` of a configuration CSV may say. */
export const CONFIG_DATA_TYPES: readonly ConfigRow["dataType"][] = [
  "file",
  "string",
  "hex",
  "base64",
];

/** The cells of a configuration row that its value depends on. */
type ConfigValue = Pick<ConfigRow, "type" | "dataValue" | "dataType">;

/**
 * The bytes that a row holds within itself. Hex may have spaces between its bytes, base64 anywhere.
 * In a string for a certificate or a key, PEM may lack its line breaks or have them as `\n` (two
 * characters); the bytes are PEM with 64 characters a line.
 *
 * @param row A row with data type string, hex or base64.
 * @returns The bytes, without the NUL that PEM has on flash.
 * @throws {SecureCertError} `ERR_TEXT` or `ERR_PEM` when the value is malformed.
 * @throws {TypeError} for a row that names a file.
 */
export function configValueBytes(
  row: ConfigValue,
): Bytes {
  const { dataValue, dataType } = row;
  switch (dataType) {
    case "string":
      return encodeUtf8(
        isPemValue(row) ? rewrap(dataValue) : dataValue,
      );
    case "hex":
      return parseHex(dataValue.replace(/([0-9a-f]{2})\s+/gi, "$1"));
    case "base64":
      return parseBase64(dataValue.replace(/\s/g, ""));
    case "file":
      throw new TypeError("Cannot take the value from the row: it names a file");
    default:
      return dataType satisfies never;
  }
}

/** Whether the value is PEM text of a certificate or a key. */
function isPemValue({ type, dataValue, dataType }: ConfigValue): boolean {
  return dataType === "string" && CREDENTIAL_TYPES.includes(type) && isPem(dataValue);
}

function rewrap(text: string): string {
  const lines = text.replaceAll("\\r", "\r").replaceAll("\\n", "\n");
  const blocks = parsePem(lines);
  // Headers, which encrypted traditional keys have, must stay.
  if (blocks.some(({ headers }) => Object.keys(headers).length > 0)) return `${lines.trim()}\n`;
  return blocks.map(({ label, bytes }) => formatPem(label, bytes)).join("");
}

// Comment lines, which Espressif's host tool skips, by which an extracted CSV builds the very image
// that it came from: `# @image …` for the layout, `# @entry …` for the row that follows.

/** What `# @image` says of an image. */
export interface ImageForm {
  /** Layout. @default "tlv" */
  readonly format?: ImageFormat;
  /** Length of the image in bytes, filled with 0xFF. @default as long as its content */
  readonly size?: number;
  /** False when no integrity entry is to be added after the rows. @default true */
  readonly integrity?: false;
  /** SHA-256 of the image that the CSV was extracted from, in hexadecimal. */
  readonly sha256?: string;
  /** Name of a file with the bytes in which that image differs from what the rows give. */
  readonly patch?: string;
}

/** What the comments of a CSV say. */
interface ConfigForms {
  /** The image, where a comment says something of it. */
  readonly image?: ImageForm;
  /** The entries, by the line where their row begins. */
  readonly entries: ReadonlyMap<number, StoredForm>;
}

const IMAGE = /^#\s*@image\b/;
const ENTRY = /^#\s*@entry\b/;
/** 16 MiB, in bytes: an image, its patch and what is built of them are in memory at once. */
export const MAX_IMAGE_SIZE: number = 16 << 20;

/** Reads the comments of a CSV. */
export function readConfigForms(
  { comments, records }: CsvRecords,
  problems: CsvProblem[],
): ConfigForms {
  const entries = new Map<number, StoredForm>();
  const starts = records.slice(1).map((record) => record[0]!.line);
  let image: ImageForm | undefined;
  // Comments and rows are in the order of their lines: one walk over both.
  let next = 0;
  for (const { line, text } of comments) {
    const kind = IMAGE.test(text) ? "@image" : ENTRY.test(text) ? "@entry" : undefined;
    if (kind === undefined) continue;
    const fail = (message: string) =>
      void problems.push({ line, column: 1, message: `${kind}: ${message}` });
    const words = text.replace(kind === "@image" ? IMAGE : ENTRY, "").trim().split(/\s+/);
    if (kind === "@image") {
      if (image !== undefined) fail("given twice");
      image = readWords<ImageForm>(words, IMAGE_WORDS, fail);
      continue;
    }
    while (next < starts.length && starts[next]! <= line) next++;
    const row = starts[next];
    if (row === undefined || entries.has(row)) fail("no row of its own follows");
    else entries.set(row, readWords<StoredForm>(words, ENTRY_WORDS, fail));
  }
  return image === undefined ? { entries } : { image, entries };
}

/** The comment line of an image, with its line break; nothing for one that needs none. */
export function formatImageForm(form: ImageForm): string {
  const words = Object.entries(form).filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value === false ? "none" : value}`);
  return words.length === 0 ? "" : `# @image ${words.join(" ")}\n`;
}

/** The comment line of an entry, with its line break; nothing for one that needs none. */
export function formatStoredForm({ raw, nul, flags, reserved, padding }: StoredForm): string {
  const words = [
    raw && "raw",
    nul && "nul",
    flags === undefined ? undefined : `flags=0x${formatHex(new Uint8Array([flags]))}`,
    reserved && `reserved=${formatHex(reserved)}`,
    padding && `padding=${formatHex(padding)}`,
  ].filter((word) => word !== undefined);
  return words.length === 0 ? "" : `# @entry ${words.join(" ")}\n`;
}

/** What a word may be followed by; undefined for what it may not. */
type Words<T> = Readonly<
  Record<string, (value: string | undefined) => T[keyof T] | undefined>
>;

const flag = (value: string | undefined) => value === undefined ? true as const : undefined;
const bytes = (value = "", length: number | undefined) =>
  /^([0-9a-f]{2})+$/i.test(value) && (length === undefined || value.length === 2 * length)
    ? parseHex(value)
    : undefined;
const number = (value = "", max: number) =>
  /^(0x[0-9a-f]+|[0-9]+)$/i.test(value) && Number(value) <= max ? Number(value) : undefined;

const IMAGE_WORDS: Words<ImageForm> = {
  format: (value) => IMAGE_FORMATS.find((name) => name === value),
  size: (value) => number(value, MAX_IMAGE_SIZE),
  integrity: (value) => value === "none" ? false : undefined,
  sha256: (value = "") => /^[0-9a-f]{64}$/.test(value) ? value : undefined,
  patch: (value) => value === "" ? undefined : value,
};

const ENTRY_WORDS: Words<StoredForm> = {
  raw: flag,
  nul: flag,
  flags: (value) => number(value, 0xFF),
  reserved: (value) => bytes(value, 3),
  padding: (value) => bytes(value, undefined),
};

function readWords<T>(
  words: readonly string[],
  known: Words<T>,
  fail: (message: string) => void,
): T {
  const form: Record<string, unknown> = {};
  for (const word of words.filter((word) => word !== "")) {
    const [name, value] = word.split(/=(.*)/s, 2) as [string, string | undefined];
    if (!Object.hasOwn(known, name)) {
      fail(`unknown word ${shownValue(name)}${didYouMean(name, Object.keys(known))}`);
    } else {
      form[name] = known[name]!(value);
      if (form[name] === undefined) fail(`${name} has a value that it cannot have`);
    }
  }
  return form as T;
}
