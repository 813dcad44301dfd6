import { SecureCertError } from "../bytes/errors.ts";
import { encodeUtf8, shownName } from "../bytes/text.ts";
import type { Force, OutputFile, WriteOptions } from "./disk/write.ts";
import { collectLimited, readLimited, readPlain } from "./input/limited.ts";
import { askSecret, canAsk, openLines } from "./terminal/terminal.ts";
import type { ProgramOutcome } from "./programs/run.ts";
import { CliError, fileError, isSystemError, usageError } from "./errors.ts";

export type { Force, OutputFile, WriteOptions };

/** All that a command does to the world. Paths are those of the platform; `-` is stdin or stdout. */
export interface Io {
  /** A file's bytes; `-` reads stdin. */
  read(path: string): Promise<Uint8Array>;
  /** The bytes of a regular file that another one names, or undefined when there is no such file. */
  readIfExists(path: string): Promise<Uint8Array | undefined>;
  /** The names of what is in a folder, sorted; undefined for what is not a folder that can be read. */
  list(path: string): Promise<readonly string[] | undefined>;
  /** Writes all of the files or none, and into the place of others only as `force` says. */
  write(files: readonly OutputFile[], force: Force, options?: WriteOptions): Promise<void>;
  /** Makes a folder and those above it; gives those that are new, the outermost first. */
  makeDir(path: string): Promise<readonly string[]>;
  /** Bytes to stdout. */
  put(bytes: Uint8Array): Promise<void>;
  /** A line to stdout. */
  print(text: string): void;
  /** A line to stderr. */
  note(text: string): void;
  /**
   * Puts a line at the end of the terminal of stderr, instead of the one drawn before; an empty one
   * takes it away. A note takes it away, too. Absent where stderr is not a terminal.
   */
  drawLine?(text: string): void;
  /** Asks at the terminal, without showing the answer; absent where there is no terminal. */
  promptSecret?(question: string): Promise<string | null>;
  /** Runs the first of some programs that is installed; undefined when none is. */
  run?(
    names: readonly string[],
    args: readonly string[],
    output?: "stdout" | "stderr",
  ): Promise<ProgramOutcome | undefined>;
  /** Bytes in place of random ones. @default those of WebCrypto */
  readonly random?: (length: number) => Uint8Array;
  readonly isStdoutTerminal: boolean;
  /** Characters in a line of the terminal. */
  readonly columns: number;
  /** Whether the user asks for no colour (NO_COLOR), or the terminal has none (TERM=dumb). */
  readonly noColor: boolean;
  /** The name of the installed command; absent for a script that Deno runs. */
  readonly program?: string;
  /** How Deno runs the script. @default deno run … cli.ts */
  readonly script?: Script;
}

/** What a shell is given to run a script: `deno run` with permissions, then the script. */
export interface Script {
  /** Deno, such as `deno` or `npx --yes deno@2.9.6`. */
  readonly deno: string;
  /** The script from the working folder, or its URL. */
  readonly path: string;
}

/** Characters in a line of a terminal that does not say how many it has. */
export const USUAL_COLUMNS = 80;

/** The real world. */
export function denoIo(): Io {
  const noColor = Deno.noColor || isDumb();
  const { note, drawLine } = openLines((text) => writeNote(encodeUtf8(text)));
  /** Paths that were read, which no output may take the place of. */
  const inputs = new Set<string>();
  return {
    read: async (path) => {
      const bytes = await reporting(
        "read",
        path,
        () => path === "-" ? readStdin() : readLimited(path),
      );
      inputs.add(path);
      return bytes;
    },
    list: (path) => reporting("read", path, () => namesIn(path)),
    readIfExists: async (path) => {
      const bytes = await readIfExists(path);
      if (bytes !== undefined) inputs.add(path);
      return bytes;
    },
    write: async (files, force, options) => {
      const { writeFiles } = await import("./disk/write.ts");
      const explained = (path: string, error: unknown) => explain("write", path, error);
      const { stdout, ...how } = options ?? {};
      const last = stdout && (() => writeFully(Deno.stdout, stdout));
      await writeFiles(files, { ...how, force, inputs, explain: explained, last });
    },
    makeDir: (path) =>
      reporting("write", path, async () => (await import("./disk/paths.ts")).makeFolder(path)),
    put: (bytes) => Promise.try(() => writeFully(Deno.stdout, bytes)),
    print: (text) => writeFully(Deno.stdout, encodeUtf8(`${text}\n`)),
    note,
    ...Deno.stderr.isTerminal() && !noColor && { drawLine },
    ...canAsk() && { promptSecret: askSecret },
    run: async (names, args, output) => {
      const { runProgram } = await import("./programs/run.ts");
      return await runProgram(names, args, output);
    },
    isStdoutTerminal: Deno.stdout.isTerminal(),
    columns: terminalColumns(),
    noColor,
    program: isInstalled() ? "esp-secure-cert" : undefined,
    script: scriptOf(),
  };
}

/** A file of text, as UTF-8. */
export function textFile(path: string, text: string): OutputFile {
  return { path, bytes: encodeUtf8(text) };
}

/** A path inside a folder. */
export function joinPath(folder: string, name: string): string {
  return /[/\\]$/.test(folder) ? folder + name : `${folder}/${name}`;
}

/** The folder of a path with the separator at its end; empty for the working folder. */
export function folderOf(path: string): string {
  return /^(.*[/\\])[^/\\]*$/s.exec(path)?.[1] ?? "";
}

/** A path in the folder of another file; in the working folder when that is stdout. */
export function besidePath(file: string, name: string): string {
  return folderOf(file) + name;
}

async function namesIn(path: string): Promise<readonly string[] | undefined> {
  const isFolder = path !== "-" &&
    await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false);
  if (!isFolder) return undefined;
  const names = await Array.fromAsync(Deno.readDir(path), ({ name }) => name);
  return names.toSorted();
}

async function readIfExists(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readPlain(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw explain("read", path, error);
  }
}

let isStdinRead = false;

async function readStdin(): Promise<Uint8Array> {
  return await collectLimited(openStdin(), "standard input");
}

/**
 * Standard input, for one reader.
 *
 * @throws {CliError} `ERR_USAGE` for a second one.
 */
export function openStdin(): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (isStdinRead) {
    throw usageError("standard input (-) can be read once", undefined, "give a file's name");
  }
  isStdinRead = true;
  return Deno.stdin.readable;
}

/** So many bytes a pipe takes whole or not at all (POSIX: PIPE_BUF, on Linux 4096). */
const PIPE_BYTES = 4096;

/**
 * Writes all of the bytes. The reader of a pipe may have seen enough and gone, as `head` does, or take
 * its time: another process may have made the pipe one that does not wait, and of a write that is then
 * refused Deno does not say how much of it was taken.
 */
function writeFully(stream: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += stream.writeSync(bytes.subarray(at, at + PIPE_BYTES));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) return;
      if (!(error instanceof Deno.errors.WouldBlock)) {
        throw explain("write", "standard output", error);
      }
      pause();
    }
  }
}

/** Writes to stderr. That it is closed or full is not a reason to fail. */
function writeNote(bytes: Uint8Array): void {
  try {
    writeFully(Deno.stderr, bytes);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
  }
}

/** Waits a little for the reader of a pipe. */
function pause(): void {
  const milliseconds = 5;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

async function reporting<T>(
  verb: "read" | "write",
  path: string,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw explain(verb, path, error);
  }
}

/** What Deno is permitted to do with a file. */
type Verb = "read" | "write" | "run";

/**
 * An error of the file system in words.
 *
 * @param verb What was done.
 * @param name The file.
 * @param error What was thrown while the file was read or written. Errors of the library and misuse
 * are thrown again.
 */
export function explain(verb: Verb, name: string, error: unknown): CliError {
  if (error instanceof CliError) return error;
  const path = shownName(name);
  const failed = `Cannot ${verb} ${path}`;
  if (error instanceof Deno.errors.NotFound) {
    const what = verb === "write" ? "its folder does not exist" : "no such file";
    return fileError("ERR_FILE_NOT_FOUND", path, `${failed}: ${what}`);
  }
  if (error instanceof Deno.errors.NotCapable) {
    const { needs, place, what } = missingPermission(verb, path, error);
    const hint = /[\s,"'$]/.test(place) ? `add --allow-${needs}` : `add --allow-${needs}=${place}`;
    return fileError("ERR_PERMISSION", path, `${failed}: Deno was not permitted ${what}`, hint);
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return fileError("ERR_PERMISSION", path, `${failed}: the system denies it`);
  }
  if (error instanceof Deno.errors.IsADirectory) {
    const hint = verb === "write" ? undefined : "give a file that is in it";
    return fileError("ERR_IO", path, `${failed}: it is a folder`, hint);
  }
  if (!isSystemError(error) && (!(error instanceof Error) || isOurs(error))) throw error;
  const reason = isSystemError(error) ? REASONS[error.code] : undefined;
  return fileError("ERR_IO", path, `${failed}: ${reason ?? error.message}`);
}

/** A permission that Deno lacks. */
interface MissingPermission {
  readonly needs: Verb;
  /** The file or folder. */
  readonly place: string;
  /** What was not permitted, after `to`. */
  readonly what: string;
}

/**
 * What a path needs: to write a file Deno may have to read it, or to look at its folder or make it, which
 * are permissions of their own.
 */
function missingPermission(verb: Verb, path: string, error: Error): MissingPermission {
  if (verb !== "write") return { needs: verb, place: path, what: "to" };
  const has = (name: "read" | "write") =>
    Deno.permissions.querySync({ name, path }).state === "granted";
  if (!has("write")) return { needs: "write", place: path, what: "to" };
  if (!has("read")) return { needs: "read", place: path, what: "to read it" };
  const needs = error.message.includes("write access") ? "write" : "read";
  const place = folderOf(path).replace(/[/\\]$/, "") || ".";
  return { needs, place, what: `to ${needs} its folder` };
}

function isOurs(error: Error): boolean {
  return error instanceof SecureCertError || error instanceof TypeError ||
    error instanceof RangeError;
}

/** The system's error codes in words. Others, and errors to which Deno gives no code, keep theirs. */
const REASONS: Readonly<Partial<Record<string, string>>> = {
  EACCES: "the system denies it",
  EDQUOT: "the quota of its owner is used up",
  EINVAL: "the name or the operation is not valid there",
  EISDIR: "it is a folder",
  EIO: "input/output error",
  ELOOP: "too many symbolic links",
  EMFILE: "too many open files",
  ENAMETOOLONG: "the name is too long",
  ENFILE: "too many open files",
  ENOSPC: "no space left on device",
  ENOTDIR: "a part of its path is not a folder",
  EROFS: "the file system is read-only",
};

function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns || USUAL_COLUMNS;
  } catch {
    return USUAL_COLUMNS;
  }
}

/** Whether the terminal moves no cursor. It is looked up only where that is permitted already. */
function isDumb(): boolean {
  const { state } = Deno.permissions.querySync({ name: "env", variable: "TERM" });
  return state === "granted" && Deno.env.get("TERM") === "dumb";
}

/** Only the configuration of the project's folder has its names: an installed command has its own. */
function isInstalled(): boolean {
  const nameOfTests = "@std/assert";
  try {
    import.meta.resolve(nameOfTests);
    return Deno.build.standalone;
  } catch {
    return true;
  }
}

/** Deno as npx runs it is not on the PATH. */
function scriptOf(): Script {
  const isNpx = /[/\\]_npx[/\\]/.test(Deno.execPath());
  const { href } = new URL("../../cli.ts", import.meta.url);
  return { deno: isNpx ? `npx --yes deno@${Deno.version.deno}` : "deno", path: scriptPath(href) };
}

/** The path of a script from the working folder; its URL where it has none. */
function scriptPath(url: string): string {
  if (!url.startsWith("file:///") || Deno.build.os === "windows") return url;
  const path = decodeURIComponent(new URL(url).pathname);
  try {
    const folder = `${Deno.cwd()}/`;
    return path.startsWith(folder) ? path.slice(folder.length) : path;
  } catch {
    // The working folder is gone.
    return path;
  }
}
