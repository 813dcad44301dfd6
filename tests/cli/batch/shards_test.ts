/** `bulk merge` of shards that have not the same, and what it says of its work. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { bulkIn, cli, codesOf, inFolder, issuer, makeBatch } from "./batch.ts";

Deno.test("a shard is part i of n, and nothing else", async () => {
  for (const text of ["0/3", "4/3", "1", "x/y", "auto", "auto/3", "1/3/5"]) {
    const { code, stderr } = await cli("bulk", "--count", "9", "--shard", text, "-o", "nowhere");
    assertEquals(code, 2, text);
    assertStringIncludes(stderr, `--shard is i/n with i from 1 to n; not "${text}"`);
  }
});

const problemsOf = async (...line: readonly string[]) => {
  const { code, stdout } = await cli("bulk", "merge", ...line, "--json");
  const { problems } = JSON.parse(stdout) as { problems: { code: string; message: string }[] };
  assertEquals(code, problems.length === 0 ? 0 : 1, stdout);
  return problems.map(({ code, message }) => `${code}: ${message}`);
};

Deno.test("bulk merge refuses shards of which some have secrets and some none", async () => {
  await inFolder(async (folder) => {
    const [s1, s2, out] = [`${folder}/s1`, `${folder}/s2`, `${folder}/w`];
    await makeBatch(s1, { ids: ["a"], issuer });
    await makeBatch(s2, { ids: ["b"], issuer });
    await Deno.remove(`${s2}/secret`, { recursive: true });
    const problem = `MISSING_FILE: ${s2} has no secrets, and ${s1} has`;
    assertEquals(await problemsOf(s1, s2, "-o", out), [problem]);
    assertEquals(await problemsOf(s2, s1, "-o", out), [problem]);
    await Deno.remove(`${s1}/secret`, { recursive: true });
    assertEquals(await problemsOf(s1, s2, "-o", out), []);
  });
});

Deno.test("labels are those of all devices, in all shards", async () => {
  await inFolder(async (folder) => {
    const s1 = await bulkIn(folder, "s1", "--count", "2", "--shard", "1/2", "--labels");
    const s2 = await bulkIn(folder, "s2", "--count", "2", "--shard", "2/2");
    const line = [s1, s2, "-o", `${folder}/w`];
    const problem = `FOREIGN_SHARD: ${s2}: it has no labels, unlike those of ${s1}`;
    assertEquals(await problemsOf(...line), [problem]);
    // Also where the journals stayed where they were.
    for (const path of [s1, s2]) await Deno.remove(`${path}/journal.sqlite`);
    assertEquals(await problemsOf(...line), [problem]);
  });
});

Deno.test("without a journal, a label for one device is a label for all", async () => {
  await inFolder(async (folder) => {
    const batch = await bulkIn(folder, "b", "--count", "2", "--labels");
    await Deno.remove(`${batch}/journal.sqlite`);
    assertEquals(await codesOf(batch), []);
    await Deno.remove(`${batch}/labels/dev-000002.svg`);
    assertEquals(await codesOf(batch), ["MISSING_FILE"]);
    const [problem] = await problemsOf(batch, "-o", `${folder}/w`);
    assertStringIncludes(problem!, "MISSING_FILE: labels/dev-000002.svg is not in");
  });
});
