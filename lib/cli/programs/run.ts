import { fileError } from "../errors.ts";

/** How a program ended. */
export interface ProgramOutcome {
  /** The name under which it was found. */
  readonly name: string;
  readonly code: number;
}

/**
 * Runs the first of some programs that is installed, without a shell.
 *
 * @param names The names that it may have.
 * @param args Its arguments.
 * @param output Where what it prints to its stdout goes. @default "stdout"
 * @returns How it ended, or undefined when none is installed.
 * @throws {CliError} `ERR_PERMISSION` when Deno was not permitted to.
 */
export async function runProgram(
  names: readonly string[],
  args: readonly string[],
  output: "stdout" | "stderr" = "stdout",
): Promise<ProgramOutcome | undefined> {
  for (const name of names) {
    try {
      const isAside = output === "stderr";
      const child = new Deno.Command(name, {
        args: [...args],
        stdin: "inherit",
        stdout: isAside ? "piped" : "inherit",
        stderr: "inherit",
      }).spawn();
      if (isAside) await child.stdout.pipeTo(Deno.stderr.writable, { preventClose: true });
      const { code } = await child.status;
      return { name, code };
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      if (!(error instanceof Deno.errors.NotCapable)) throw error;
      const message = `Cannot run ${name}: Deno was not permitted to`;
      const hint = `add --allow-run=${names.join(",")}`;
      throw fileError("ERR_PERMISSION", name, message, hint);
    }
  }
  return undefined;
}
