/** What `bulk verify`, `merge` and `export` make of links and of manifests that are not whole. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  bulkIn,
  cli,
  codesOf,
  copyFolder,
  edit,
  inFolder,
  issuer,
  makeBatch,
  writeManifest,
} from "./batch.ts";
import { needing, POSIX } from "../../needs.ts";

const problemsOf = async (batch: string, ...flags: string[]) => {
  const { stdout } = await cli("bulk", "verify", batch, "--json", ...flags);
  return JSON.parse(stdout).problems as { code: string; id: string | null; message: string }[];
};

needing(POSIX).test("a file may be a link to one, and a broken link is not a file", async () => {
  await inFolder(async (folder) => {
    const batch = `${folder}/b`;
    await makeBatch(batch, { ids: ["a", "b"], issuer });
    await Deno.mkdir(`${folder}/elsewhere`);
    const [image, moved] = [`${batch}/images/a.bin`, `${folder}/elsewhere/a.bin`];
    await Deno.rename(image, moved);
    await Deno.symlink("../../elsewhere/a.bin", image);
    assertEquals(await codesOf(batch), []);
    const out = `${folder}/deep/whole`;
    assertEquals((await cli("bulk", "merge", batch, "-o", out)).code, 0);
    assertEquals(await codesOf(out), []);
    assertEquals((await Deno.lstat(`${out}/images/a.bin`)).isFile, true);
    await Deno.remove(moved);
    assertEquals(await codesOf(batch), ["MISSING_FILE", "STRAY_FILE"]);
    assertEquals((await cli("bulk", "merge", batch, "-o", `${folder}/w`)).code, 1);
  });
});

Deno.test("a batch whose manifest is not that of its journal is not continued", async () => {
  await inFolder(async (folder) => {
    const good = await bulkIn(folder, "good", "--count", "3");
    const ndjson = Deno.readTextFileSync(`${good}/manifest.ndjson`);
    const [first] = ndjson.split("\n");
    const spoil: readonly (readonly [string, (batch: string) => void | Promise<void>])[] = [
      [
        "has 0 of the 3 devices of its journal",
        (batch) => Deno.removeSync(`${batch}/manifest.ndjson`),
      ],
      [
        "has 1 of the 3 devices of its journal",
        (batch) => Deno.writeTextFileSync(`${batch}/manifest.ndjson`, `${first}\n`),
      ],
      [
        "has another serial than the journal",
        (batch) => edit(`${batch}/manifest.ndjson`, /"serial":"../g, '"serial":"00'),
      ],
      ["does not know it", (batch) => edit(`${batch}/manifest.ndjson`, "dev-000002", "dev-2")],
      ["has another hall than the journal", (batch) =>
        Deno.writeTextFileSync(
          `${batch}/manifest.ndjson`,
          ndjson.replace('"status"', '"hall":"x","status"'),
        )],
    ];
    for (const [message, act] of spoil) {
      const batch = `${folder}/b`;
      await copyFolder(good, batch);
      await act(batch);
      const found = await problemsOf(batch);
      assert(
        found.some((each) => each.code === "BAD_MANIFEST" && each.message.includes(message)),
        JSON.stringify(found),
      );
      const merged = await cli("bulk", "merge", batch, "-o", `${folder}/w`);
      assertEquals(merged.code, 1, message);
      assertStringIncludes(merged.stdout, message);
      const exported = await cli("bulk", "export", batch, "--to", "csv", "-o", `${folder}/w`);
      assertEquals(exported.code, 1, message);
      assertStringIncludes(exported.stderr, message);
      assertEquals([...Deno.readDirSync(folder)].some(({ name }) => name === "w"), false);
      await Deno.remove(batch, { recursive: true });
    }
  });
});

Deno.test("columns of the list that manifest.csv lacks are missed", async () => {
  await inFolder(async (folder) => {
    const batch = `${folder}/b`;
    const rows = await makeBatch(batch, { ids: ["a"], issuer, extra: { hall: "n", lot: "7" } });
    await writeManifest(batch, rows, ["lot"]);
    const [missing] = await problemsOf(batch);
    assertEquals(missing, {
      code: "BAD_MANIFEST",
      id: null,
      message: "manifest.csv lacks the columns hall",
    });
    await writeManifest(batch, rows, ["lot", "hall"]);
    assertEquals(await problemsOf(batch), []);
  });
});

Deno.test("of many problems of a kind people see the first, and programs all", async () => {
  await inFolder(async (folder) => {
    const batch = `${folder}/b`;
    const [row] = await makeBatch(batch, { ids: ["a"], issuer });
    const ids = Array.from({ length: 80 }, (_, at) => `x${at}`);
    const failed = ids.map((id) =>
      ({ ...row!, id, serial: "", publicKey: "", status: "failed" }) as const
    );
    await writeManifest(batch, [row!, ...failed]);
    const { stdout } = await cli("bulk", "verify", batch);
    assertEquals(stdout.match(/^FAILED_DEVICE x/gm)?.length, 50);
    assertStringIncludes(stdout, "FAILED_DEVICE: 30 more; --json lists all");
    assertEquals((await problemsOf(batch)).length, 80);
  });
});
