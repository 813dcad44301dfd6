// Comment lines, which Espressif's host tool skips, by which an extracted CSV builds the very image
// that it came from: `# @image …` for the layout, `# @entry …` for the row that follows.
import { formatHex, parseHex, shownValue } from "../../bytes/text.ts";
import { didYouMean } from "../../bytes/nearest.ts";
import type { CsvProblem, CsvRecords } from "../../bytes/csv.ts";
import type { StoredForm } from "./row.ts";
import { IMAGE_FORMATS, type ImageFormat } from "../names.ts";

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
export interface ConfigForms {
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
