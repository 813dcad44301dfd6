/** The README as somebody follows it: block by block, in one folder, with a shell. */
import { assert, assertEquals } from "@std/assert";
import { installed, needing, POSIX, PROCESSES } from "./needs.ts";
import { CLI, inFolder, type Outcome, run } from "./process.ts";

const README = new URL("../README.md", import.meta.url);
/** Seconds for a block that waits for an answer. */
const PATIENCE = "300";

/** The blocks that a shell runs; the two commands of the first one are the demo and these tests. */
async function blocks(): Promise<string[]> {
  const text = await Deno.readTextFile(README);
  return [...text.matchAll(/^( *)```sh\n([\s\S]*?)^ *```$/gm)]
    .map(([, indent, block]) => block!.replaceAll(new RegExp(`^${indent}`, "gm"), ""))
    .filter((block) => !block.startsWith("npx "));
}

/** A `deno` that knows where cli.ts is. */
async function writeDeno(folder: string): Promise<void> {
  const lines = [
    "#!/bin/sh",
    "n=$#",
    'while [ "$n" -gt 0 ]; do',
    `  if [ "$1" = cli.ts ]; then set -- "$@" "${CLI}"; else set -- "$@" "$1"; fi`,
    "  shift",
    "  n=$((n - 1))",
    "done",
    `exec "${Deno.execPath()}" "$@"`,
  ];
  await Deno.mkdir(folder);
  await Deno.writeTextFile(`${folder}/deno`, `${lines.join("\n")}\n`, { mode: 0o755 });
}

/** Runs all blocks; each must succeed, and ask nothing. */
async function follow(runBlock: (block: string, cwd: string, path: string) => Promise<Outcome>) {
  const all = await blocks();
  await inFolder(async (folder) => {
    await writeDeno(`${folder}/bin`);
    await Deno.mkdir(`${folder}/work`);
    const path = `${folder}/bin:${Deno.env.get("PATH")}`;
    for (const block of all) {
      const { code, stdout, stderr } = await runBlock(block, `${folder}/work`, path);
      assertEquals(code, 0, `${block}\n${stdout}${stderr}`);
      assert(!/requests (read|write|run|net|env|sys) access/.test(stdout + stderr), block);
    }
  });
  assert(all.length >= 15, `${all.length} blocks`);
}

needing(PROCESSES, POSIX, installed("sh")).test(
  "every block of the README runs, with the permissions that it names",
  () => follow((block, cwd, PATH) => run("sh", ["-e", "-c", block], cwd, { PATH })),
);

needing(PROCESSES, POSIX, installed("sh"), installed("script"), installed("timeout")).test(
  "every block of the README runs on a terminal of 80 columns",
  () =>
    follow((block, cwd, PATH) => {
      const line = `stty cols 80 rows 24; timeout --foreground ${PATIENCE} sh -e "$BLOCK"`;
      const file = Deno.makeTempFileSync({ dir: `${cwd}/..` });
      Deno.writeTextFileSync(file, block);
      return run("script", ["-qec", line, "/dev/null"], cwd, { PATH, BLOCK: file, TERM: "xterm" });
    }),
);
