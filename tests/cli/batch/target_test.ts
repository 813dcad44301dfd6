/** The folder of a merge: held by one, and as it was when the merge fails. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { writeManifests } from "../../../lib/cli/batch/folder/manifests.ts";
import { checkTarget, inTarget } from "../../../lib/cli/batch/merge/target.ts";
import { denoIo } from "../../../lib/cli/io.ts";
import { cli, codesOf, inFolder, issuer, makeBatch } from "./batch.ts";

const names = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name).sort();

Deno.test("one merge at a time goes into a folder", async () => {
  await inFolder(async (folder) => {
    const [s1, out] = [`${folder}/s1`, `${folder}/out`];
    await makeBatch(s1, { ids: ["a"], issuer });
    await Deno.mkdir(out);
    const lock = await Deno.open(`${out}/.lock`, { create: true, write: true });
    lock.lockSync(true);
    const { code, stderr } = await cli("bulk", "merge", s1, "-o", out);
    assertEquals(code, 1);
    assertStringIncludes(stderr, `another process is working on ${out}`);
    lock.close();
    // A lock that a dead process has left is none.
    assertEquals((await cli("bulk", "merge", s1, "-o", out)).code, 0);
    assertEquals(names(out).includes(".lock"), false);
    await Deno.remove(out, { recursive: true });
    const both = await Promise.all([1, 2].map(() => cli("bulk", "merge", s1, "-o", out)));
    assertEquals(both.map(({ code }) => code).sort(), [0, 1]);
    assertEquals(await codesOf(out), []);
  });
});

Deno.test("a merge that fails while it settles leaves the earlier one", async () => {
  await inFolder(async (folder) => {
    const [s1, s2, out] = [`${folder}/s1`, `${folder}/s2`, `${folder}/out`];
    await makeBatch(s1, { ids: ["a"], issuer });
    await makeBatch(s2, { ids: ["b"], issuer });
    for (const [shard, flags] of [[s1, []], [s2, ["--force"]]] as const) {
      assertEquals((await cli("bulk", "merge", shard, "-o", out, ...flags)).code, 0);
      const before = names(out);
      const target = await checkTarget(out, "files");
      const failed = inTarget(target, "files", denoIo(), async (staging) => {
        await Deno.mkdir(`${staging}/images`);
        await writeManifests(staging, [], []);
        return { names: ["images", "certificates"] };
      });
      const { message } = await assertRejects(() => wrapped(failed), Error);
      assertStringIncludes(message, `${out}/certificates`);
      assertEquals([names(out), names(`${out}/.merge`)], [before, []]);
      assertEquals(await codesOf(out), []);
    }
  });
});

/** Errors of the command line are no `Error`. */
async function wrapped(act: Promise<unknown>): Promise<void> {
  try {
    await act;
  } catch (error) {
    throw new Error((error as { message: string }).message);
  }
}

Deno.test("a merge that was cut off needs no --force, unless an earlier one is in it", async () => {
  await inFolder(async (folder) => {
    const [s1, out] = [`${folder}/s1`, `${folder}/out`];
    await makeBatch(s1, { ids: ["a"], issuer });
    await Deno.mkdir(`${out}/.merge/images`, { recursive: true });
    await Deno.writeTextFile(`${out}/.merge/images/x.bin`, "half");
    assertEquals((await cli("bulk", "merge", s1, "-o", out)).code, 0);
    assertEquals(names(`${out}/.merge`), []);
    const again = await cli("bulk", "merge", s1, "-o", out);
    assertStringIncludes(again.stderr, "give --force to replace what a merge made there");
    for (const name of names(out).filter((name) => name !== ".merge")) {
      await Deno.mkdir(`${out}/.merge/old`, { recursive: true });
      await Deno.rename(`${out}/${name}`, `${out}/.merge/old/${name}`);
    }
    const refused = await cli("bulk", "merge", s1, "-o", out);
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, `the one before is in ${out}/.merge/old`);
    assertEquals((await cli("bulk", "merge", s1, "-o", out, "--force")).code, 0);
    assertEquals(await codesOf(out), []);
  });
});

Deno.test("bulk merge says what it linked and copied", async () => {
  await inFolder(async (folder) => {
    const s1 = `${folder}/s1`;
    await makeBatch(s1, { ids: ["a"], issuer });
    const { stderr } = await cli("bulk", "merge", s1, "--copy", "-o", `${folder}/w`);
    assertStringIncludes(stderr, "(0 files linked, 3 copied)");
  });
});
