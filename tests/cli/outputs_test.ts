/** Every command that writes, on a real disk: what its outputs may take the place of, and what a failure leaves. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { loadCommands } from "../../lib/cli/commands.ts";
import { LINUX, needing, POSIX } from "../needs.ts";
import { cli, type Outcome } from "./batch/batch.ts";
import { inside, KEY, treeOf, withFiles, WRITERS } from "./writers.ts";

/** Runs a line that must fail and change nothing. */
async function assertRefused(
  folder: string,
  line: readonly string[],
  codes: readonly number[],
): Promise<Outcome> {
  const before = treeOf(folder);
  const outcome = await cli(...line);
  const what = `${line.join(" ")}: ${outcome.code} ${outcome.stderr}`;
  assertEquals(codes.includes(outcome.code), true, what);
  assertEquals(treeOf(folder), before, what);
  return outcome;
}

Deno.test("every command with --out is in the table", async () => {
  const names = (await loadCommands()).filter(({ flags }) =>
    flags.some(({ name }) => name === "out")
  )
    .map(({ name }) => name);
  const listed = new Set(
    WRITERS.map(({ line }) => line.slice(0, line[0] === "bulk" ? 2 : 1).join(" ")),
  );
  // Batches have tests of their own (planted_test.ts, merge_test.ts, target_test.ts); serve does not end.
  const others = ["serve", "bulk", "bulk merge"];
  assertEquals(names.filter((name) => !listed.has(name)), others);
});

needing(POSIX).test(
  "an output that is an input is refused under any name, and nothing changes",
  async () => {
    await withFiles(async (folder) => {
      Deno.mkdirSync(`${folder}/sub`);
      for (const { line, inputs, files } of WRITERS) {
        for (const [at, input] of inputs.entries()) {
          const own = `${folder}/${input}`;
          Deno.symlinkSync(own, `${folder}/link`);
          Deno.linkSync(own, `${folder}/hard`);
          const names = [own, `${folder}/./${input}`, `${folder}/sub/../${input}`];
          const outs = files === undefined
            ? [...names, `${folder}/link`, `${folder}/hard`]
            : planted(folder, own, files, at);
          for (const out of outs) {
            const words = [...inside(folder, line), "-o", out];
            for (const force of [[], ["--force"]]) {
              const { stderr } = await assertRefused(folder, [...words, ...force], [2]);
              assertStringIncludes(stderr, "is an input of this command");
            }
          }
          for (const name of ["link", "hard"]) Deno.removeSync(`${folder}/${name}`);
        }
      }
    });
  },
);

needing(POSIX).test(
  "--force replaces no key and writes through no link, in any command",
  async () => {
    await withFiles(async (folder) => {
      const flags = new Map((await loadCommands()).map(({ name, flags }) => [name, flags]));
      const key = Deno.readFileSync(`${folder}/${KEY}`);
      for (const { line, files } of WRITERS) {
        const name = line.slice(0, line[0] === "bulk" ? 2 : 1).join(" ");
        const replacesKeys = flags.get(name)!.some(({ name }) => name === "force-key");
        for (const file of files ?? [""]) {
          const out = `${folder}/out`;
          const place = file === "" ? out : `${out}/${file}`;
          if (file !== "") Deno.mkdirSync(out);
          const words = [...inside(folder, line), "-o", out];
          const forces = ["--force", ...replacesKeys ? ["--force-key"] : []];
          Deno.writeFileSync(place, key);
          await assertRefused(folder, [...words, "--force"], [1]);
          Deno.removeSync(place);
          for (const target of ["data.txt", "nowhere", "d"]) {
            Deno.symlinkSync(`${folder}/${target}`, place);
            for (const force of forces) {
              const { stderr } = await assertRefused(folder, [...words, force], [1, 2]);
              assertEquals(/symbolic link|is an input|is a folder/.test(stderr), true, stderr);
            }
            Deno.removeSync(place);
          }
          await Deno.remove(out, { recursive: true }).catch(() => {});
        }
      }
    });
  },
);

needing(LINUX).test("a write that fails leaves no file and no folder, in any command", async () => {
  await withFiles(async (folder) => {
    const long = "x".repeat(300);
    for (const { line, files } of WRITERS) {
      const words = inside(folder, line);
      const outs = [`${folder}/data.txt/o`, `${folder}/${long}`, `${folder}/none/${long}`];
      for (const out of outs) await assertRefused(folder, [...words, "-o", out, "--force"], [1]);
      if (files === undefined) {
        await assertRefused(folder, [...words, "-o", "/dev/full", "--force"], [1]);
        await assertRefused(folder, [...words, "-o", `${folder}/none/o`, "--force"], [1]);
        continue;
      }
      // The last file that is written fails, after others.
      const out = `${folder}/out`;
      Deno.mkdirSync(`${out}/${files.at(-1)}`, { recursive: true });
      await assertRefused(folder, [...words, "-o", out, "--force"], [1]);
      await Deno.remove(out, { recursive: true });
    }
  });
});

/** Folders in which an output's place is another name of an input. */
function planted(folder: string, input: string, files: readonly string[], at: number): string[] {
  return files.flatMap((file) =>
    (["link", "symlink"] as const).map((kind) => {
      const out = `${folder}/planted-${at}-${crypto.randomUUID()}`;
      Deno.mkdirSync(out);
      Deno[`${kind}Sync`](input, `${out}/${file}`);
      return out;
    })
  );
}
