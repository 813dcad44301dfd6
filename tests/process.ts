/** Programs that tests start, most of them Deno itself. */

/** The command line, as a module. */
export const CLI = new URL("../cli.ts", import.meta.url).href;

/** What a program did. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

type Environment = Readonly<Record<string, string>>;

/** A program, not yet started. */
export function program(
  name: string,
  args: readonly string[],
  cwd: string,
  env: Environment = {},
): Deno.Command {
  const piped = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
  return new Deno.Command(name, { args: [...args], cwd, ...piped, env: { NO_COLOR: "1", ...env } });
}

/** The command line, not yet started. */
export function command(line: readonly string[], cwd: string, env?: Environment): Deno.Command {
  return program(Deno.execPath(), ["run", "-A", "--no-prompt", CLI, ...line], cwd, env);
}

/** The output of a program as text. */
export async function outcomeOf(output: Promise<Deno.CommandOutput>): Promise<Outcome> {
  const { code, stdout, stderr } = await output;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Runs a program to its end. */
export const run = (
  name: string,
  args: readonly string[],
  cwd: string,
  env?: Environment,
): Promise<Outcome> => outcomeOf(program(name, args, cwd, env).output());

/** Runs Deno to its end. */
export const deno = (args: readonly string[], cwd: string): Promise<Outcome> =>
  run(Deno.execPath(), args, cwd);

/** Runs the command line to its end. */
export const cli = (line: readonly string[], cwd: string, env?: Environment): Promise<Outcome> =>
  outcomeOf(command(line, cwd, env).output());

/** A program that is running. */
export interface Running {
  readonly pid: number;
  /** What it did, once it has ended. */
  readonly outcome: Promise<Outcome>;
  /** Whether it has ended. */
  hasEnded(): boolean;
  /** Sends a signal; does nothing when the program has ended by itself. */
  kill(signal: Deno.Signal): void;
}

/** Starts a program. */
export function start(command: Deno.Command): Running {
  const child = command.spawn();
  let ended = false;
  const outcome = outcomeOf(child.output()).finally(() => ended = true);
  const kill = (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  };
  return { pid: child.pid, outcome, hasEnded: () => ended, kill };
}

/** Waits for something that a program does; false when the program has ended without it. */
export async function seen(running: Running, condition: () => boolean): Promise<boolean> {
  while (!condition()) {
    if (running.hasEnded()) return condition();
    // Only how often it looks: the test waits as long as the program takes.
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return true;
}

/** Runs something in a new folder, which is removed afterwards. */
export async function inFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await act(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Whether there is a file or folder. */
export function exists(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch {
    return false;
  }
}
