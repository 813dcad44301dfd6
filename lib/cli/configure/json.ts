import type { Finding } from "../../findings/findings.ts";
import { CliError } from "../errors.ts";
import type { Io } from "../io.ts";

/**
 * Runs something whose lines on stdout are for people and scripts, and prints one JSON document
 * instead: the files that were written, the lines, and what was found in the image that was built.
 *
 * @param act What runs; it adds to the findings.
 * @throws {CliError} `ERR_IO` with what was noted when it failed without throwing.
 */
export async function printAsJson(
  act: (io: Io, findings: Finding[]) => Promise<number>,
  io: Io,
): Promise<number> {
  const findings: Finding[] = [];
  const printed: string[] = [];
  const errors: string[] = [];
  const files = new Set<string>();
  const code = await act({
    ...io,
    print: (text) => void printed.push(text),
    note: (text) => {
      const [, error] = /^error: (.*)/s.exec(text) ?? [];
      if (error === undefined) io.note(text);
      else errors.push(error);
    },
    write: async (outputs, force, options) => {
      await io.write(outputs, force, options);
      for (const { path } of outputs) files.add(path);
    },
    ...io.run && { run: (names, words) => io.run!(names, words, "stderr") },
  }, findings);
  if (code !== 0) {
    printed.forEach((text) => io.note(text));
    throw new CliError("ERR_IO", errors.join("; "));
  }
  const lines = printed.flatMap((text) => text.split("\n"));
  io.print(JSON.stringify({ files: [...files], lines, findings }, null, 2));
  return 0;
}
