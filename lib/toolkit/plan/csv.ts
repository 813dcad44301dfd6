import { type Problem, SecureCertError } from "../../bytes/errors.ts";
import { shownName } from "../../bytes/text.ts";
import { hexHmacKey } from "../../crypto/peripherals/hmac.ts";
import { readConfigCsv } from "../../format/config/csv.ts";
import {
  type ConfigColumn,
  type ConfigPlaces,
  type ConfigRow,
  configValueBytes,
  type ImageForm,
} from "../../format/config/row.ts";
import { byPlace, formatProblems, type PlannedEntry } from "./entry.ts";

/** Brings the bytes of a file that a CSV names; undefined when there is no such file. */
export type Load = (path: string) => Promise<Uint8Array | undefined>;

/** What a configuration CSV asks for. */
export interface CsvPlan {
  /** The entries of the rows, in their order. */
  readonly entries: readonly PlannedEntry[];
  /** What a comment says of the image. */
  readonly image: ImageForm;
  /** The bytes of the patch that it names. */
  readonly patch?: Uint8Array;
  /** Everything that is wrong with the rows and the files they name, by line and column. */
  readonly problems: readonly Problem[];
}

/**
 * Reads a configuration CSV and the files that it names.
 *
 * @param text The text: nine columns, byte order mark, any line breaks, comments, quotes.
 * @param load Brings the files, under the names that the CSV gives them.
 * @returns The rows with their values, and all that is wrong in one go. Nothing of the text stands
 * in a problem but names of files.
 */
export async function planFromCsv(text: string, load: Load): Promise<CsvPlan> {
  const { rows, places, image = {}, problems: found } = readConfigCsv(text);
  const problems: Problem[] = [...found];
  const entries: PlannedEntry[] = [];
  for (const [at, row] of rows.entries()) {
    const entry = await readRow(row, places[at]!, load, problems);
    if (entry !== undefined) entries.push(entry);
  }
  const patch = image.patch === undefined ? undefined : await load(image.patch);
  if (image.patch !== undefined && patch === undefined) {
    problems.push({ message: `@image: no such file: ${shownName(image.patch)}` });
  }
  return { entries, image, patch, problems: problems.sort(byPlace) };
}

async function readRow(
  row: ConfigRow,
  places: ConfigPlaces,
  load: Load,
  problems: Problem[],
): Promise<PlannedEntry | undefined> {
  const file = async (column: ConfigColumn, path: string) => {
    const bytes = await load(path);
    if (bytes === undefined) {
      problems.push({ ...places[column], message: `${column}: no such file: ${shownName(path)}` });
    }
    return bytes;
  };
  const data = row.dataType === "file"
    ? await file("data_value", row.dataValue)
    : configValueBytes(row);
  const keyFile = row.efuseKey === undefined ? undefined : await file("efuse_key", row.efuseKey);
  if (data === undefined || row.efuseKey !== undefined && keyFile === undefined) return undefined;
  const { type, subtype, keyMode, algorithm, keySize, efuseId, stored } = row;
  return {
    type,
    subtype,
    data,
    places,
    keyMode,
    algorithm,
    keySize,
    stored,
    verbatim: row.dataType === "hex" || row.dataType === "base64",
    efuseKeyId: efuseId,
    ...keyFile && hmacKeyOf(keyFile, row.efuseKey!),
  };
}

/** The HMAC key of a file; one of hex text is not named, because espefuse cannot burn that file. */
export function hmacKeyOf(
  bytes: Uint8Array,
  path: string,
): Pick<PlannedEntry, "hmacKey" | "efuseKeyFile"> {
  const hmacKey = hexHmacKey(bytes);
  return hmacKey === undefined ? { hmacKey: bytes, efuseKeyFile: path } : { hmacKey };
}

/** The error of a CSV that cannot be built. */
export function csvError(problems: readonly Problem[]): SecureCertError {
  const sorted = problems.toSorted(byPlace);
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  const line = sorted[0]?.line;
  return new SecureCertError(
    "ERR_CSV",
    `Cannot build from CSV, ${count}:\n  ${formatProblems(problems)}`,
    line === undefined ? {} : { line },
    { problems: sorted },
  );
}
