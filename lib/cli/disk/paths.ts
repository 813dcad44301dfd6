import { isSystemError } from "../errors.ts";

/** What is at a path before a file is written there. */
export interface Found {
  readonly kind: "file" | "link" | "device" | "folder";
  /** The same for all names of a file. */
  readonly identity: string;
  readonly mode: number;
  /** Size in bytes. */
  readonly size: number;
  /** Whether Deno was permitted to read it. */
  readonly mayRead: boolean;
}

/** What leads to the streams that the process was given. */
const OWN_STREAM = /^\/(dev\/(stdout|stderr|fd\/\d+)|proc\/self\/fd\/\d+)$/;

/** Whether Deno was permitted to read or write a path, without asking for it. */
export function may(name: "read" | "write", path: string): boolean {
  return Deno.permissions.querySync({ name, path }).state === "granted";
}

/** What is at a path, with no more permission than to write it; undefined where nothing is. */
export async function look(path: string): Promise<Found | undefined> {
  try {
    return may("read", path) ? lookAt(path) : await feel(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The file of a path that is read, the same for all of its names; undefined where there is none. */
export async function identityOf(path: string): Promise<string | undefined> {
  try {
    if (path === "-") return await identityOfStdin();
    const info = Deno.statSync(path);
    return info.isFile ? identity(info) : undefined;
  } catch {
    return undefined;
  }
}

async function identityOfStdin(): Promise<string | undefined> {
  const { fstatSync } = await import("./deps.ts");
  const info = fstatSync(0);
  return info.isFile() ? identity(info) : undefined;
}

function lookAt(path: string): Found {
  const own = Deno.lstatSync(path);
  const info = own.isSymlink ? targetOf(path) ?? own : own;
  const facts = { identity: identity(info), mode: info.mode ?? 0, size: info.size, mayRead: true };
  if (info.isDirectory) return { kind: "folder", ...facts };
  const isStream = !info.isFile && !info.isSymlink;
  // Through a link only to a device, or to what the process was started with: a pipe may be planted, too.
  const isOpen = !own.isSymlink || info.isCharDevice === true || OWN_STREAM.test(path);
  if (isOpen && (isStream || OWN_STREAM.test(path))) return { kind: "device", ...facts };
  return { kind: own.isSymlink ? "link" : "file", ...facts };
}

function targetOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * What is at a path that may not be read: the file that opens says what it is, and whether a new time
 * given to the name reaches that file, that the name is not a link.
 */
async function feel(path: string): Promise<Found> {
  const { closeSync, constants, fstatSync, lutimesSync, openSync } = await import("./deps.ts");
  const file = openSync(path, constants.O_WRONLY);
  try {
    const info = fstatSync(file);
    const facts = {
      identity: identity(info),
      mode: info.mode,
      size: info.size,
      mayRead: false,
    };
    if (!info.isFile()) return { kind: info.isDirectory() ? "folder" : "device", ...facts };
    const seconds = Math.floor(info.mtimeMs / 1000) - 1;
    lutimesSync(path, info.atime, seconds);
    const isReached = Math.floor(fstatSync(file).mtimeMs / 1000) === seconds;
    return { kind: isReached ? "file" : "link", ...facts };
  } finally {
    closeSync(file);
  }
}

function identity({ dev, ino }: { readonly dev: number; readonly ino: number | null }): string {
  return `${dev}:${ino}`;
}

function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Error && "code" in error && error.code === "ENOENT";
}

/**
 * Makes a folder and those above it.
 *
 * @returns The folders that are new, the outermost first.
 */
export function makeFolder(path: string): string[] {
  try {
    Deno.mkdirSync(path);
    return [path];
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      // A file of that name is an error, and a link to a folder is not.
      Deno.mkdirSync(path, { recursive: true });
      return [];
    }
    const above = /^(.*[^/\\])[/\\]+[^/\\]+[/\\]*$/s.exec(path)?.[1];
    if (!(error instanceof Deno.errors.NotFound) || above === undefined) throw error;
    return [...makeAbove(above, path), path];
  }
}

/** Makes a folder in one above it, which Deno may be permitted to make only along with it. */
function makeAbove(above: string, path: string): string[] {
  let made: string[] = [];
  try {
    made = makeFolder(above);
    Deno.mkdirSync(path);
    return made;
  } catch (error) {
    removeFolders(made);
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    Deno.mkdirSync(path, { recursive: true });
    return [];
  }
}

/** Removes folders that were made, unless something is in them. */
export function removeFolders(made: readonly string[]): void {
  for (const path of made.toReversed()) {
    try {
      Deno.removeSync(path);
    } catch {
      return;
    }
  }
}

/** Files on their way into their places: all of them, or none. */
export interface Moves {
  /** Moves a file into its place at one stroke; what is there keeps another name until the end. */
  move(from: string, to: string): void;
  /** Takes what was moved away again, and brings back what was there. */
  undo(): void;
  /** Ends it: what was there goes. */
  end(): void;
}

/** Begins to move files. */
export function openMoves(): Moves {
  const moved: { readonly to: string; readonly kept?: string }[] = [];
  return {
    move: (from, to) => {
      const kept = keep(to);
      try {
        Deno.renameSync(from, to);
      } catch (error) {
        if (kept !== undefined && kept !== NOTHING) removeQuietly(kept);
        throw error;
      }
      if (kept === NOTHING) moved.push({ to });
      else if (kept !== undefined) moved.push({ to, kept });
    },
    undo: () => {
      for (const { to, kept } of moved.reverse()) {
        if (kept === undefined) removeQuietly(to);
        else moveBack(kept, to);
      }
    },
    end: () => {
      for (const { kept } of moved) if (kept !== undefined) removeQuietly(kept);
    },
  };
}

/** A new name in the folder of a path. Its temporary file must be made exclusively. */
export function nameBeside(path: string): string {
  return path.replace(/[^/\\]*$/, `.${crypto.randomUUID().slice(0, 8)}.tmp`);
}

/** The system's codes for a disk that takes no more. */
const FULL: readonly string[] = ["ENOSPC", "EDQUOT"];
/** What {@linkcode keep} says of a path at which nothing is. */
const NOTHING = Symbol();

/**
 * Gives what is at a path a second name; gives it, or undefined where the file system or the permissions
 * have no such names: what is there is lost then when a later file does not get into its place.
 */
function keep(path: string): string | typeof NOTHING | undefined {
  const kept = nameBeside(path);
  if (![path, kept].every((each) => may("read", each) && may("write", each))) return undefined;
  try {
    Deno.linkSync(path, kept);
    return kept;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return NOTHING;
    if (isSystemError(error) && FULL.includes(error.code)) throw error;
    return undefined;
  }
}

function moveBack(from: string, to: string): void {
  try {
    Deno.renameSync(from, to);
  } catch {
    // What was there keeps the other name.
  }
}

/** Removes a file that this process has made. */
export function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It is gone, or cannot be.
  }
}
