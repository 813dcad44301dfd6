import { SecureCertError } from "../bytes/errors.ts";
import { type Bytes, equalBytes } from "../bytes/pack.ts";
import { encodeUtf8, formatHex } from "../bytes/text.ts";
import { digest } from "../crypto/signing.ts";
import { formatConfigCsv } from "../format/config/csv.ts";
import type { ImageForm } from "../format/config/form.ts";
import { DEFAULT_PARTITION_SIZE, integrityEntry } from "../format/partition.ts";
import type { Tlv } from "../format/tlv.ts";
import { encodeCsvImage } from "./build.ts";
import { planFromCsv } from "./plan/csv.ts";
import { type ExtractedRow, extractRow } from "./extract_row.ts";
import type { ImageEntries } from "../image/read/entry.ts";
import { readImage } from "../image/read/image.ts";
import { encodePatch } from "../image/patch.ts";
import { planEntries } from "./plan/planner.ts";

/** A file that {@linkcode extract} makes. */
export interface ExtractedFile {
  /** Name within the folder, with slashes. */
  readonly name: string;
  /** Its content. */
  readonly bytes: Uint8Array;
  /** Whether it may hold a private key. */
  readonly secret: boolean;
}

/** How {@linkcode extract} writes. */
export interface ExtractOptions {
  /** Name of the CSV. @default "esp_secure_cert.csv" */
  readonly csv?: string;
  /** What ends a line of the CSV. @default "\n" */
  readonly lineBreak?: "\n" | "\r\n";
  /** Note the image's layout and SHA-256 even where the rows say all. @default true */
  readonly receipt?: boolean;
}

/** The folder that values are put in. */
export const CONTENTS = "contents";

const INTEGRITY = 9;

/**
 * Takes an image apart into a CSV and the files it names, from which `buildFromCsv` builds the very
 * same image: what the columns cannot say stands in comment lines, and bytes that belong to no entry
 * in a patch. The names are those of Espressif's `--parse_bin`.
 *
 * @param image The partition's bytes, in any layout.
 * @param options Name and line breaks of the CSV.
 * @returns The files; the CSV is the first.
 * @throws {SecureCertError} `ERR_CHECKSUM` when a value's checksum is wrong, `ERR_TRUNCATED` or
 * `ERR_LENGTH` when an entry cannot be delimited, `ERR_MAGIC` when the bytes are no image; with the
 * place.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { encodePartition, extract } from "@esp-secure-cert/toolkit";
 *
 * const image = encodePartition([{ type: 51, data: new TextEncoder().encode("hello") }]);
 * const [csv] = await extract(image);
 * assertEquals(new TextDecoder().decode(csv?.bytes).includes("hello,string"), true);
 * ```
 */
export async function extract(
  image: Uint8Array,
  options: ExtractOptions = {},
): Promise<ExtractedFile[]> {
  const contents = readImage(image);
  refuseDamage(contents);
  const { format, entries, used } = contents;
  const stored = entries.map(({ value }) => value);
  const isTlv = format === "tlv";
  const hasOwnIntegrity = isTlv && closesWithIntegrity(image, contents);
  const rows: ExtractedRow[] = [];
  for (const entry of hasOwnIntegrity ? stored.slice(0, -1) : stored) {
    rows.push(await extractRow(entry, rows));
  }
  const isSized = !isTlv || image.length !== used || used > DEFAULT_PARTITION_SIZE;
  const form: ImageForm = {
    ...isTlv ? {} : { format: format as ImageForm["format"] & string },
    ...isSized ? { size: Math.max(image.length, isTlv ? used : 0) } : {},
    ...isTlv && !hasOwnIntegrity ? { integrity: false as const } : {},
  };
  return await assemble(image, rows, form, options);
}

/** Writes the CSV, builds it, and adds a patch where that is not yet the image. */
async function assemble(
  image: Uint8Array,
  rows: readonly ExtractedRow[],
  form: ImageForm,
  options: ExtractOptions,
): Promise<ExtractedFile[]> {
  const { csv = "esp_secure_cert.csv", lineBreak = "\n", receipt = true } = options;
  const files = rows.flatMap(({ file }) => file === undefined ? [] : [file]);
  const text = (image: ImageForm) =>
    formatConfigCsv(rows.map(({ row }) => row), { image, lineBreak });
  const built = await rebuild(text(form), files, form);
  const sha256 = formatHex(await digest("SHA-256", image));
  const isWhole = equalBytes(built, image);
  const name = `${CONTENTS}/patch.txt`;
  const patch = { name, bytes: encodePatch(built, image), secret: true };
  const full: ImageForm = {
    ...form,
    ...receipt || !isWhole ? { sha256 } : {},
    ...isWhole ? {} : { patch: name },
  };
  const csvFile = { name: csv, bytes: encodeUtf8(text(full)), secret: true };
  return [csvFile, ...files, ...isWhole ? [] : [patch]];
}

async function rebuild(
  text: string,
  files: readonly ExtractedFile[],
  image: ImageForm,
): Promise<Bytes> {
  const load = (path: string) => Promise.resolve(files.find(({ name }) => name === path)?.bytes);
  const csv = await planFromCsv(text, load);
  const { entries } = await planEntries(csv.entries);
  return (await encodeCsvImage(entries, { image })).image;
}

/** Whether the last entry is the one that `build` would add. */
function closesWithIntegrity(image: Uint8Array, { entries }: ImageEntries): boolean {
  const last = entries.at(-1);
  if (last?.value.type !== INTEGRITY) return false;
  const own = integrityEntry(image.subarray(0, last.offset));
  return isSameEntry(own, last.value);
}

function isSameEntry(a: Tlv, b: Tlv): boolean {
  return a.type === b.type && a.subtype === b.subtype && a.flags === b.flags &&
    equalBytes(a.data, b.data) && b.reserved === undefined && b.padding === undefined;
}

/** What is damaged would be written with a right checksum, which makes a wrong value look right. */
function refuseDamage({ format, entries, findings }: ImageEntries): void {
  const bad = entries.findIndex(({ crc }) => crc.stored !== crc.computed);
  if (bad >= 0) {
    const { offset } = entries[bad]!;
    const message = `Cannot extract image: entry ${bad} at ${offset} has a wrong checksum`;
    throw new SecureCertError("ERR_CHECKSUM", message, { entry: bad, offset });
  }
  const harmless = format === "tlv" ? ["TRUNCATED", "OVER_64K"] : undefined;
  const finding = findings.find(({ severity, code }) =>
    severity === "error" && (harmless?.includes(code) ?? true)
  );
  if (finding === undefined) return;
  const isChecksum = finding.code === "BAD_CHECKSUM";
  const code = format === "unknown" ? "ERR_MAGIC" : isChecksum ? "ERR_CHECKSUM" : "ERR_TRUNCATED";
  throw new SecureCertError(code, `Cannot extract image: ${finding.message}`, finding.place);
}
