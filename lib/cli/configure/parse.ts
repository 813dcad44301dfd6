import { SecureCertError } from "../../bytes/errors.ts";
import { parseConfigCsv } from "../../format/config/csv.ts";
import { extract } from "../../toolkit/extract.ts";
import { recognise } from "../../image/recognise.ts";
import { type Io, joinPath, textFile } from "../io.ts";
import { writeTree } from "../output/out.ts";
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
  await writeTree(
    [
      ...files.map(({ name, ...file }) => ({ ...file, path: joinPath(PARSED_FOLDER, name) })),
      { ...listing, secret: true },
    ],
    true,
    io,
  );
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

function countRows(csv: Uint8Array): number {
  return parseConfigCsv(new TextDecoder().decode(csv)).length;
}
