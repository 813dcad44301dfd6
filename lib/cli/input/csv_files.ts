import type { Load } from "../../toolkit/plan/csv.ts";
import { CliError } from "../errors.ts";
import { type Io, joinPath } from "../io.ts";

/** Reads the files that a CSV names: beside the CSV, else in the working folder. */
export function csvLoad(csv: string, io: Io): Load {
  const folder = /^(.*)[/\\][^/\\]*$/s.exec(csv)?.[1];
  return async (path) => {
    if (/^([/\\]|[A-Za-z]:)/.test(path) || folder === undefined) return await io.readIfExists(path);
    return await io.readIfExists(joinPath(folder, path)) ?? await readIfPermitted(path, io);
  };
}

/** Someone who permits only the CSV's folder wants its files from there. */
async function readIfPermitted(path: string, io: Io): Promise<Uint8Array | undefined> {
  try {
    return await io.readIfExists(path);
  } catch (error) {
    if (error instanceof CliError && error.code === "ERR_PERMISSION") return undefined;
    throw error;
  }
}
