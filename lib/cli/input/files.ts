import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { decodeText, shownName } from "../../bytes/text.ts";
import type { Arguments } from "../command.ts";
import { besidePath, type Io, joinPath } from "../io.ts";
import type { Load } from "../../toolkit/plan/entry.ts";
import { CliError, fileError } from "../errors.ts";
import { MAX_INPUT } from "./limited.ts";

/** The file that a flag names, or undefined when the flag is not given. */
export async function readFlag(
  flag: string,
  args: Arguments,
  io: Io,
): Promise<Uint8Array | undefined> {
  const path = args.get(flag);
  return path === undefined ? undefined : await io.read(path);
}

/** The files of a flag that repeats. */
export async function readAll(flag: string, args: Arguments, io: Io): Promise<Uint8Array[]> {
  const files: Uint8Array[] = [];
  for (const path of args.all(flag)) files.push(await io.read(path));
  return files;
}

/** In bytes: four times what the reader of a configuration CSV takes in characters. */
const MAX_TEXT = 4 << 20;

/** The text of a configuration file. */
export async function readText(path: string, io: Io): Promise<string> {
  const bytes = await io.read(path);
  if (bytes.length > MAX_TEXT) {
    const message = `Cannot read ${shownName(path)}: it has ${countOf(bytes.length, "byte")}; ` +
      `a text has at most ${MAX_TEXT >> 20} MiB`;
    throw new SecureCertError("ERR_TEXT", message);
  }
  const text = decodeText(bytes);
  if (text !== undefined) return text;
  throw new SecureCertError(
    "ERR_TEXT",
    `Cannot read ${shownName(path)}: it is not text in UTF-8 or UTF-16`,
  );
}

/** Runs something on a file's content; its errors name the file. */
export async function naming<T>(path: string, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    const { code, message, place, problems } = error;
    throw new SecureCertError(code, `${path}: ${message}`, { ...place, file: path }, {
      cause: error,
      problems,
    });
  }
}

/** Reads the files that a CSV names: beside the CSV, else in the working folder; see {@linkcode limited}. */
export function csvLoad(csv: string, io: Io): Load {
  const folder = /^(.*)[/\\][^/\\]*$/s.exec(csv)?.[1];
  return limited(csv, async (path) => {
    if (isAbsolute(path) || folder === undefined) return await io.readIfExists(path);
    return await io.readIfExists(joinPath(folder, path)) ?? await readIfPermitted(path, io);
  });
}

/**
 * Reads the files that a file names, relative to it; see {@linkcode limited}.
 *
 * @returns Rejects with `ERR_FILE_NOT_FOUND` for a file that is not there.
 */
export function besideLoad(source: string, io: Io): (path: string) => Promise<Uint8Array> {
  const load = limited(source, (path) => readAs(path, io));
  return async (name) => (await load(isAbsolute(name) ? name : besidePath(source, name)))!;
}

/** The bytes of a regular file that another one names. */
export async function readAs(path: string, io: Io): Promise<Uint8Array> {
  const bytes = await io.readIfExists(path);
  if (bytes !== undefined) return bytes;
  throw fileError("ERR_FILE_NOT_FOUND", path, `Cannot read ${shownName(path)}: no such file`);
}

/**
 * The same reader, which reads each file once: all that one file names have no more bytes together than a
 * file may have.
 */
function limited(source: string, load: Load): Load {
  const loaded = new Map<string, Promise<Uint8Array | undefined>>();
  let length = 0;
  const loadNext = async (path: string) => {
    const bytes = length > MAX_INPUT ? undefined : await load(path);
    length += bytes?.length ?? 0;
    if (length <= MAX_INPUT) return bytes;
    const message = `Cannot read ${shownName(path)}: ` +
      `the files of ${shownName(source)} have more than ${MAX_INPUT >> 20} MiB together`;
    throw fileError("ERR_IO", path, message);
  };
  return (path) => {
    const bytes = loaded.get(path) ?? loadNext(path);
    loaded.set(path, bytes);
    return bytes;
  };
}

function isAbsolute(path: string): boolean {
  return /^([/\\]|[A-Za-z]:)/.test(path);
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
