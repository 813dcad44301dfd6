/**
 * Runs command lines one after the other in one process: the arguments are JSON arrays of words. Prints what
 * each did as one JSON array. What does not go through the world of a command line is beside it.
 */
import { denoIo } from "../../../lib/cli/io.ts";
import { run } from "../../../lib/cli/run.ts";
import { assertEquals } from "@std/assert";
import { type Outcome, run as runProgram } from "../../process.ts";

/** Where the process runs. */
interface Place {
  readonly folder: string;
  readonly umask?: string;
  /** Words before those that start it, such as a tracer's. */
  readonly tracer?: readonly string[];
}

/** Starts one process under a umask, with a temporary folder of its own, and gives what each line did. */
export async function runLines(
  lines: readonly (readonly string[])[],
  { folder, umask = "000", tracer = [] }: Place,
): Promise<readonly Outcome[]> {
  const temporary = `${folder}/tmp`;
  const environment = { TMPDIR: temporary, SQLITE_TMPDIR: temporary };
  const deno = [Deno.execPath(), "run", "-A", "--no-check", "--no-prompt", "--config", CONFIG];
  const words = [...tracer, ...deno, import.meta.url, ...lines.map((line) => JSON.stringify(line))];
  const script = ["-c", `umask ${umask}; exec "$@"`, "sh", ...words];
  const { stdout, stderr } = await runProgram("sh", script, folder, environment);
  assertEquals(stderr, "", "nothing is written past the world of a command line");
  return JSON.parse(stdout);
}

const CONFIG = new URL("../../../deno.json", import.meta.url).pathname;

if (import.meta.main) {
  const outcomes: Outcome[] = [];
  for (const line of Deno.args) {
    const [out, notes]: [string[], string[]] = [[], []];
    const io = {
      ...denoIo(),
      print: (text: string) => void out.push(text),
      note: (text: string) => void notes.push(text),
    };
    const code = await run(JSON.parse(line), io);
    outcomes.push({ code, stdout: out.join("\n"), stderr: notes.join("\n") });
  }
  console.log(JSON.stringify(outcomes));
}
