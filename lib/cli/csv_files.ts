import { SecureCertError } from "../bytes/errors.ts";
import { decodeUtf8 } from "../bytes/text.ts";
import type { Load } from "../toolkit/plan/csv.ts";
import { CliError } from "./errors.ts";
import { type Io, joinPath } from "./io.ts";

/** The text of a CSV. */
export async function readCsvFile(path: string, io: Io): Promise<string> {
  const text = decodeUtf8(await io.read(path));
  if (text !== undefined) return text;
  throw new SecureCertError("ERR_TEXT", `Cannot read ${path}: it is not UTF-8 text`);
}

/** Brings the files that a CSV names: from beside it, else from the working folder. */
export function csvLoad(csv: string, io: Io): Load {
  const folder = /^(.*)[/\\][^/\\]*$/s.exec(csv)?.[1];
  return async (path) => {
    if (/^([/\\]|[A-Za-z]:)/.test(path) || folder === undefined) return await io.readIfExists(path);
    return await io.readIfExists(joinPath(folder, path)) ?? await ifPermitted(path, io);
  };
}

/** Who permits the CSV's folder alone means to take files from there. */
async function ifPermitted(path: string, io: Io): Promise<Uint8Array | undefined> {
  try {
    return await io.readIfExists(path);
  } catch (error) {
    if (error instanceof CliError && error.code === "ERR_PERMISSION") return undefined;
    throw error;
  }
}
