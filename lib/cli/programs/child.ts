import { fileError } from "../errors.ts";
import { explain, joinPath } from "../io.ts";

/** Words as a shell splits them: spaces part them, quotes and backslashes keep them together. */
export function splitWords(line: string): string[] {
  const words = line.matchAll(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/g);
  return [...words].map(([word]) =>
    word.replace(
      /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g,
      (_, single, double, escaped) =>
        single ?? (double as string | undefined)?.replace(/\\(["\\$`])/g, "$1") ?? escaped,
    )
  );
}

/**
 * Sees before the first device whether a program can be run, as far as Deno lets it look.
 *
 * @throws {CliError} `ERR_PERMISSION` when Deno may not run it, `ERR_FILE_NOT_FOUND` when there is none.
 */
export async function checkProgram(program: string): Promise<void> {
  // The person at the terminal is asked now, and not when the batch is under way.
  const { state } = await Deno.permissions.request({ name: "run", command: program });
  if (state !== "granted") throw forbiddenProgram(program);
  if (Deno.build.os !== "windows" && await isMissing(program)) throw missingProgram(program);
}

/** What to check when a program was named by more than its name. */
const FIRST_WORD = "the first word of the line is the program: without NAME=VALUE before it, and " +
  "without quotes around the whole line";

/** The error for a program that Deno may not run. */
function forbiddenProgram(program: string): unknown {
  const shown = shownProgram(program);
  const hint = shown === program
    ? `add --allow-run=${program}`
    : `add --allow-run=PROGRAM; ${FIRST_WORD}`;
  const message = `Cannot run ${shown}: Deno was not permitted to`;
  return fileError("ERR_PERMISSION", shown, message, hint);
}

/** The error for a program that is not there. */
function missingProgram(program: string): unknown {
  const shown = shownProgram(program);
  const hint = shown === program ? undefined : FIRST_WORD;
  return fileError("ERR_FILE_NOT_FOUND", shown, `Cannot run ${shown}: no such program`, hint);
}

/**
 * The program as a message names it: without what follows a blank or `NAME=`, which may be a password when
 * the whole line is in quotes, or is one for a shell.
 */
function shownProgram(program: string): string {
  return program.replace(/(^[A-Za-z_]\w*=|\s).+$/s, "$1…");
}

/** Whether a program is nowhere; false where Deno may not look. */
async function isMissing(program: string): Promise<boolean> {
  const places = program.includes("/") ? [program] : await pathsOf(program);
  for (const place of places) {
    try {
      await Deno.stat(place);
      return false;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
        return false;
      }
    }
  }
  return places.length > 0;
}

async function pathsOf(program: string): Promise<string[]> {
  const { state } = await Deno.permissions.query({ name: "env", variable: "PATH" });
  const path = state === "granted" ? Deno.env.get("PATH") ?? "" : "";
  return path.split(":").filter((folder) => folder !== "")
    .map((folder) => joinPath(folder, program));
}

/** How long a program that is asked to end may take. */
export const GRACE_MS = 3000;
/** How long the output of a program that has ended may take to be read. */
export const SETTLE_MS = 100;
/** How long a signal that a program got may take to reach this process too. */
const HEAR_MS = 500;
/** Exit codes of shells for programs that SIGHUP, SIGINT and SIGTERM ended. */
const SIGNAL_CODES: readonly number[] = [129, 130, 143];

/**
 * Starts a program without a shell. What it prints to stderr is not shown: it may be a key or a password.
 *
 * @throws {CliError} `ERR_PERMISSION` when Deno may not run it, `ERR_FILE_NOT_FOUND` when there is none.
 */
export function startProgram(
  [program, ...args]: readonly string[],
  stdin: "null" | "piped",
): Deno.ChildProcess {
  try {
    return new Deno.Command(program!, { args, stdin, stdout: "piped", stderr: "null" }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw forbiddenProgram(program!);
    if (error instanceof Deno.errors.NotFound) throw missingProgram(program!);
    throw explain("run", program!, error);
  }
}

/** Sends a signal to a program, which may have ended already. */
export function endProgram(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It has ended already.
  }
}

/**
 * Whether a program ended because this process is to end too, whose signal may come a little later: a
 * terminal sends Ctrl-C to both.
 */
export async function endedWith(
  { signal, code }: Deno.CommandStatus,
  stop: AbortSignal,
): Promise<boolean> {
  const wasAsked = signal !== null || SIGNAL_CODES.includes(code);
  for (let waited = 0; wasAsked && waited < HEAR_MS && !stop.aborted; waited += SETTLE_MS) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  }
  return wasAsked && stop.aborted;
}

/** How a program ended, in words. */
export function howEnded({ signal, code }: Deno.CommandStatus): string {
  return signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
}
