import { equalBytes } from "../../bytes/pack.ts";
import { areKey } from "../disk/key_bytes.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import { parseConfigCsv } from "../../format/config/csv.ts";
import { extract } from "../../toolkit/extract.ts";
import { recognise } from "../../image/recognise.ts";
import { type Io, joinPath, type OutputFile, textFile } from "../io.ts";
import { formatListing } from "./listing.ts";
import { PARSED_FOLDER } from "./paths.ts";

const CSV_NAME = "esp_secure_cert_parsed.csv";
const LISTING_NAME = "tlv_entries_raw.txt";

/** Takes an image apart into the folder of Espressif's tool; other files there stay. */
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
  for (const output of outputs) await keepOld(output, io);
  await io.write(outputs, "keys", { makeFolders: true, inPlace: true });
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

/** Espressif's tool replaces what it has parsed before; a key in its place may be the only copy. */
async function keepOld({ path, bytes, secret }: OutputFile, io: Io): Promise<void> {
  const old = secret ? await io.readIfExists(path) : undefined;
  if (old === undefined || equalBytes(old, bytes) || !areKey(old)) return;
  for (let count = 1;; count++) {
    const kept = `${path}.${count}`;
    const there = await io.readIfExists(kept);
    if (there !== undefined && !equalBytes(there, old)) continue;
    await io.write([{ path: kept, bytes: old, secret, keep: true }], false);
    return io.note(`note: the key that was in ${path} is in ${kept} now`);
  }
}

function countRows(csv: Uint8Array): number {
  return parseConfigCsv(new TextDecoder().decode(csv)).length;
}
