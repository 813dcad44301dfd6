import { explain } from "../io.ts";
import { forbiddenProgram, missingProgram } from "./words.ts";

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
    throw explain("read", program!, error);
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
