import { equalBytes } from "../../bytes/pack.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import { parseConfigCsv } from "../../format/config/csv.ts";
import { extract } from "../../toolkit/extract.ts";
import { recognise } from "../../image/recognise.ts";
import { type Io, joinPath, type OutputFile, textFile } from "../io.ts";
import { formatListing } from "./listing.ts";
import { PARSED_FOLDER } from "./paths.ts";

const CSV_NAME = "esp_secure_cert_parsed.csv";
const LISTING_NAME = "tlv_entries_raw.txt";

/** Takes an image apart into the folder of Espressif's tool; what is there stays, or gets another name. */
export async function parseBinary(path: string, io: Io): Promise<number> {
  const image = await io.read(path);
  const { format } = recognise(image);
  if (format !== "tlv" && format !== "unknown") {
    const message = `Cannot parse ${path}: it is a ${format} image; extract takes that`;
    throw new SecureCertError("ERR_MAGIC", message, { offset: 0 });
  }
  const files = await extract(image, { csv: CSV_NAME, lineBreak: "\r\n", receipt: false });
  const listing = textFile(joinPath(PARSED_FOLDER, LISTING_NAME), formatListing(path, image));
  const outputs: OutputFile[] = [
    ...files.map(({ name, ...file }) => ({ ...file, path: joinPath(PARSED_FOLDER, name) })),
    { ...listing, secret: true },
  ];
  const old = await keptOld(outputs, io);
  await io.write([...old.files, ...outputs], "keys", { makeFolders: true, inPlace: true });
  for (const note of old.notes) io.note(note);
  io.print(
    [
      "Successfully parsed binary file!",
      "Generated files:",
      `  - CSV file: ${PARSED_FOLDER}/${CSV_NAME}`,
      `      - ${countRows(files[0]!.bytes)} valid entries parsed`,
      `  - ${LISTING_NAME}: ${PARSED_FOLDER}/${LISTING_NAME}`,
      `  - All files in: ${PARSED_FOLDER}`,
    ].join("\n"),
  );
  return 0;
}

/**
 * What is in the places of outputs and is something else, under names that are free. Espressif's tool
 * empties its folder (FORMAT: Where the reference tool is wrong); what an earlier run has parsed, a key
 * above all, may be the only copy. To refuse instead would break the scripts that parse one image after
 * the other, since that tool has no flag by which they could agree.
 */
async function keptOld(
  outputs: readonly OutputFile[],
  io: Io,
): Promise<{ readonly files: readonly OutputFile[]; readonly notes: readonly string[] }> {
  const [files, notes]: [OutputFile[], string[]] = [[], []];
  for (const { path, bytes } of outputs) {
    const old = await io.readIfExists(path);
    if (old === undefined || equalBytes(old, bytes)) continue;
    const kept = await freeName(path, old, io);
    if (kept.isFree) files.push({ path: kept.path, bytes: old, secret: true, keep: true });
    notes.push(`note: what was in ${path} is in ${kept.path} now`);
  }
  return { files, notes };
}

/** The first name with a number at its end that is free, or has these bytes already. */
async function freeName(
  path: string,
  bytes: Uint8Array,
  io: Io,
): Promise<{ readonly path: string; readonly isFree: boolean }> {
  for (let count = 1;; count++) {
    const name = `${path}.${count}`;
    const there = await io.readIfExists(name);
    if (there === undefined) return { path: name, isFree: true };
    if (equalBytes(there, bytes)) return { path: name, isFree: false };
  }
}

function countRows(csv: Uint8Array): number {
  return parseConfigCsv(new TextDecoder().decode(csv)).length;
}
