/** `bulk merge`, on real folders. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parseManifestNdjson } from "../../../lib/batch/manifest.ts";
import {
  bulkIn,
  cli,
  codesOf,
  copyFolder,
  inFolder,
  issuer,
  makeBatch,
  setFact,
  writeManifest,
} from "./batch.ts";
import { needing, POSIX } from "../../needs.ts";

Deno.test("bulk merge joins shards with links or copies, and modes stay", async () => {
  await inFolder(async (folder) => {
    await makeBatch(`${folder}/s1`, { ids: ["a", "b"], issuer, extra: { hall: "n" } });
    await makeBatch(`${folder}/s2`, { ids: ["c"], issuer, extra: { lot: "7" } });
    const shards = [`${folder}/s1`, `${folder}/s2`];
    for (const [out, flags] of [["links", []], ["copies", ["--copy"]]] as const) {
      const whole = `${folder}/${out}`;
      const { code, stdout } = await cli(
        "bulk",
        "merge",
        ...shards,
        "-o",
        whole,
        "--json",
        ...flags,
      );
      const { ok, devices, linked, copied } = JSON.parse(stdout);
      assertEquals([code, ok, devices], [0, true, 3]);
      assertEquals([linked, copied], out === "links" ? [9, 0] : [0, 9]);
      assertEquals(await codesOf(whole), []);
      const text = await Deno.readTextFile(`${whole}/manifest.ndjson`);
      assertEquals(parseManifestNdjson(text).map(({ id }) => id), ["a", "c", "b"]);
      const csv = await Deno.readTextFile(`${whole}/manifest.csv`);
      assertEquals(csv.split("\n")[0]!.split(",").slice(-2), ["hall", "lot"]);
      if (Deno.build.os === "windows") continue;
      for (const name of ["images/a.bin", "secret/c.key.pem"]) {
        assertEquals(Deno.statSync(`${whole}/${name}`).mode! & 0o777, 0o600, name);
      }
      assertEquals(Deno.statSync(`${whole}/secret`).mode! & 0o777, 0o700);
    }
    const again = await cli("bulk", "merge", ...shards, "-o", `${folder}/links`);
    assertEquals(again.code, 1);
    assertStringIncludes(again.stderr, "give --force");
    const forced = await cli("bulk", "merge", ...shards, "-o", `${folder}/links`, "--force");
    assertEquals(forced.code, 0);
    assertEquals(await codesOf(`${folder}/links`), []);
  });
});

Deno.test("bulk merge and bulk verify find what a device list has and the folders have not", async () => {
  await inFolder(async (folder) => {
    await makeBatch(`${folder}/b`, { ids: ["dev-01", "dev-03"], issuer });
    await Deno.writeTextFile(`${folder}/list.csv`, "id,hall\ndev-01,n\ndev-02,s\n");
    await Deno.writeTextFile(`${folder}/list.ndjson`, '{"id":"dev-01"}\n{"id":"dev-02"}\n');
    const wrong = ["MISSING_DEVICE dev-02", "STRAY_DEVICE dev-03"];
    const lists: readonly (readonly [readonly string[], readonly string[]])[] = [
      [["--devices", `${folder}/list.csv`], wrong],
      [["--devices", `${folder}/list.ndjson`], wrong],
      [["--count", "2", "--id-template", "dev-{n:02}"], wrong],
      [["--count", "3", "--id-template", "dev-{n:02}"], ["MISSING_DEVICE dev-02"]],
    ];
    for (const [flags, expected] of lists) {
      for (
        const line of [["verify", `${folder}/b`], ["merge", `${folder}/b`, "-o", `${folder}/w`]]
      ) {
        const { code, stdout } = await cli("bulk", ...line, "--json", ...flags);
        const { problems } = JSON.parse(stdout);
        const found = problems.map(({ code, id }: { code: string; id: string }) => `${code} ${id}`);
        assertEquals([code, found], [1, expected], flags.join(" "));
      }
    }
    const list = ["--devices", `${folder}/list.csv`];
    for (const [verb, out] of [["verify", []], ["merge", ["-o", `${folder}/w`]]] as const) {
      for (
        const [flags, text] of [
          [["--count", "3", ...list], `bulk ${verb} takes --devices or --count, not both`],
          [["--id-template", "dev-{n:02}"], "--id-template goes with --count"],
          [["--id-template", "dev-{n:02}", ...list], "--id-template goes with --count"],
          [["--count", "0"], "--count is a number from 1"],
        ] as const
      ) {
        const { code, stderr } = await cli("bulk", verb, `${folder}/b`, ...out, ...flags);
        assertEquals(code, 2, stderr);
        assertStringIncludes(stderr, text);
      }
    }
    await Deno.writeTextFile(`${folder}/list.csv`, 'id\n"\n');
    const bad = await cli("bulk", "verify", `${folder}/b`, "--devices", `${folder}/list.csv`);
    assertEquals(bad.code, 1);
    assertStringIncludes(bad.stderr, "Cannot read device list");
  });
});

Deno.test("bulk merge lists everything that is wrong and writes nothing", async () => {
  await inFolder(async (folder) => {
    const [s1, s2, out] = [`${folder}/s1`, `${folder}/s2`, `${folder}/whole`];
    const rows = await makeBatch(s1, { ids: ["a", "b"], issuer });
    const others = await makeBatch(s2, { ids: ["c", "d"], issuer });
    await writeManifest(s2, [
      { ...others[0]!, publicKey: rows[0]!.publicKey },
      { ...others[1]!, status: "failed" },
    ]);
    await Deno.remove(`${s1}/images/b.bin`);
    await copyFolder(s1, `${folder}/s3`);
    const line = ["bulk", "merge", s1, s2, `${folder}/s3`, "-o", out];
    const { code, stdout } = await cli(...line, "--json");
    const { ok, problems } = JSON.parse(stdout);
    assertEquals([code, ok], [1, false]);
    assertEquals(problems.map(({ code, id }: { code: string; id: string }) => `${code} ${id}`), [
      "MISSING_FILE b",
      "DUPLICATE_KEY c",
      "WRONG_KEY c",
      "FAILED_DEVICE d",
      "DUPLICATE_ID a",
      "DUPLICATE_SERIAL a",
      "DUPLICATE_KEY a",
      "DUPLICATE_ID b",
      "DUPLICATE_SERIAL b",
      "DUPLICATE_KEY b",
      "MISSING_FILE b",
    ]);
    assertStringIncludes(problems[1].message, "s2) has the key of a (");
    assertStringIncludes(
      (await cli("bulk", "merge", s1, s2, "-o", out)).stdout,
      "nothing was written",
    );
    assert(![...Deno.readDirSync(folder)].some(({ name }) => name === "whole"));
    await writeManifest(s2, [others[0]!, { ...others[1]!, status: "failed" }]);
    const kept = await cli("bulk", "merge", s2, "-o", out, "--keep-failed");
    assertEquals(kept.code, 0);
    assertStringIncludes(kept.stderr, "2 devices, 1 of them failed");
  });
});

const tree = (path: string): string[] =>
  [...Deno.readDirSync(path)].flatMap(({ name, isDirectory }) =>
    isDirectory ? [`${name}/`, ...tree(`${path}/${name}`).map((each) => `${name}/${each}`)] : [name]
  ).sort();
const bytesOf = (path: string) =>
  tree(path).filter((name) => !name.endsWith("/")).map((name) =>
    [name, Deno.readFileSync(`${path}/${name}`)] as const
  );

/** Refused with a line, and no byte of the folders is another. */
async function assertRefused(
  text: string,
  line: readonly string[],
  folders: readonly string[],
  code = 1,
): Promise<void> {
  const before = folders.map(bytesOf);
  const refused = await cli("bulk", "merge", ...line);
  assertEquals(refused.code, code, refused.stdout + refused.stderr);
  assertStringIncludes(refused.stdout + refused.stderr, text);
  assertEquals(folders.map(bytesOf), before);
}

Deno.test("bulk merge never goes into one of its shards, under any name, and takes each once", async () => {
  await inFolder(async (folder) => {
    const [s1, s2, link] = [`${folder}/s1`, `${folder}/s2`, `${folder}/link`];
    await makeBatch(s1, { ids: ["a"], issuer });
    await makeBatch(s2, { ids: ["b"], issuer });
    if (Deno.build.os !== "windows") await Deno.symlink("s1", link);
    for (const out of Deno.build.os === "windows" ? [s1] : [s1, `${s1}/`, `${s2}/../s1`, link]) {
      const line = [s1, s2, "-o", out, "--force"];
      await assertRefused(`${out} is the shard ${s1} itself`, line, [s1, s2], 2);
    }
    await assertRefused(`${s1} is named twice`, [s1, s1, "-o", `${folder}/w`], [s1], 2);
    if (Deno.build.os === "windows") return;
    const twice = [s1, s2, link, "-o", `${folder}/w`];
    await assertRefused(`${s1} and ${link} are the same folder`, twice, [s1], 2);
  });
});

Deno.test("bulk merge goes into nothing but a new folder, an empty one or an earlier merge's", async () => {
  await inFolder(async (folder) => {
    const [s1, out] = [`${folder}/s1`, `${folder}/out`];
    await makeBatch(s1, { ids: ["a"], issuer });
    const own = await bulkIn(folder, "own", "--count", "1");
    const line = [s1, "-o", own, "--force"];
    await assertRefused(`${own} is a batch with a journal of its own`, line, [s1, own]);
    await Deno.mkdir(`${out}/images`, { recursive: true });
    await Deno.writeTextFile(`${out}/images/a.bin`, "mine");
    for (const force of [[], ["--force"]]) {
      const text = `${out} is not empty, and a merge did not make it`;
      await assertRefused(text, [s1, "-o", out, ...force], [s1, out]);
    }
    await assertRefused("ca.pem is a file", [s1, "-o", `${folder}/ca.pem`, "--force"], [s1]);
    await Deno.remove(out, { recursive: true });
    await Deno.mkdir(out);
    assertEquals((await cli("bulk", "merge", s1, "-o", out)).code, 0);
    await assertRefused("give --force to replace", [s1, "-o", out], [s1, out]);
    for (const name of ["notes.txt", "images/mine.txt"]) {
      await Deno.writeTextFile(`${out}/${name}`, "mine");
      await assertRefused(`has ${name} in it`, [s1, "-o", out, "--force"], [s1, out]);
      await Deno.remove(`${out}/${name}`);
    }
  });
});

Deno.test("bulk merge --force leaves nothing of an earlier merge, whole or interrupted", async () => {
  await inFolder(async (folder) => {
    const [s1, s2, out] = [`${folder}/s1`, `${folder}/s2`, `${folder}/out`];
    await makeBatch(s1, { ids: ["a", "b"], issuer });
    await makeBatch(s2, { ids: ["b", "c"], issuer });
    assertEquals((await cli("bulk", "merge", s1, "-o", out)).code, 0);
    await Deno.mkdir(`${out}/.merge/images`);
    await Deno.writeTextFile(`${out}/.merge/images/x.bin`, "half");
    await assertRefused("give --force", [s2, "-o", out], [out]);
    for (const flags of [[], ["--copy"], ["--copy"]]) {
      const { code, stderr } = await cli("bulk", "merge", s2, "-o", out, "--force", ...flags);
      assertEquals(code, 0, stderr);
      assertEquals(await codesOf(out), []);
      assertEquals(tree(out).filter((name) => name !== ".merge/"), tree(s2));
      assertEquals(await codesOf(s2), []);
    }
    await Deno.remove(`${s1}/images/a.bin`);
    await assertRefused("nothing was written", [s1, "-o", out, "--force"], [out]);
  });
});

Deno.test("bulk merge places only the files of a shard's own devices", async () => {
  await inFolder(async (folder) => {
    const [s1, s2, out] = [`${folder}/s1`, `${folder}/s2`, `${folder}/out`];
    await makeBatch(s1, { ids: ["a"], issuer });
    await makeBatch(s2, { ids: ["b"], issuer });
    await Deno.writeTextFile(`${s2}/secret/a.key.pem`, "another");
    await Deno.writeTextFile(`${s2}/secret/note.txt`, "stray");
    assertEquals((await cli("bulk", "merge", s1, s2, "-o", out)).code, 0);
    assertEquals(await codesOf(out), []);
    assertEquals(await codesOf(s2), ["STRAY_FILE", "STRAY_FILE"]);
  });
});

needing(POSIX).test(
  "bulk merge makes secrets readable only by their owner, regardless of their modes",
  async () => {
    await inFolder(async (folder) => {
      const s1 = `${folder}/s1`;
      await makeBatch(s1, { ids: ["a"], issuer });
      for (const name of ["images/a.bin", "secret/a.key.pem"]) {
        await Deno.chmod(`${s1}/${name}`, 0o644);
      }
      for (const flags of [[], ["--copy"]]) {
        const out = `${folder}/out${flags.length}`;
        assertEquals((await cli("bulk", "merge", s1, "-o", out, ...flags)).code, 0);
        for (const name of ["images/a.bin", "secret/a.key.pem"]) {
          assertEquals(Deno.statSync(`${out}/${name}`).mode! & 0o777, 0o600, name);
          assertEquals(Deno.statSync(`${s1}/${name}`).mode! & 0o777, 0o644, name);
        }
      }
    });
  },
);

Deno.test("bulk merge joins only shards of one batch, and all of them", async () => {
  await inFolder(async (folder) => {
    const of = (name: string, ...flags: string[]) => bulkIn(folder, name, "--count", "3", ...flags);
    const s1 = await of("s1", "--shard", "1/3");
    const s2 = await of("s2", "--shard", "2/3");
    const s3 = await of("s3", "--shard", "3/3");
    const days = await of("days", "--shard", "3/3", "--days", "9");
    await Deno.rename(`${folder}/ca`, `${folder}/old`);
    const other = await of("other", "--shard", "3/3");
    for (const [path, part] of [[s1, "1/3"], [s2, "2/3"], [s3, "3/3"]] as const) {
      setFact(path, "shard", part);
    }
    const out = ["-o", `${folder}/w`];
    for (
      const [shards, text] of [
        [[s1, s2, days], `FOREIGN_SHARD: ${days}: its profile is not that (days) of ${s1}`],
        [[s1, s2, other], `FOREIGN_SHARD: ${other}: its CA is not that of ${s1}`],
        [[s1, s3], "MISSING_SHARD: of 3 parts, 2 are not there"],
      ] as const
    ) {
      const { code, stdout } = await cli("bulk", "merge", ...shards, ...out);
      assertEquals(code, 1);
      assertStringIncludes(stdout, text);
    }
    const { code, stderr } = await cli("bulk", "merge", s1, s2, s3, ...out);
    assertEquals([code, stderr.includes("note: ")], [0, false], stderr);
    const again = await cli("bulk", "merge", `${folder}/w`, "-o", `${folder}/v`);
    assertStringIncludes(again.stderr, "note: a shard that is missing is not noticed without");
  });
});
