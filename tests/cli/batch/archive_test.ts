/** What `bulk status`, `verify`, `merge` and `export` make of archives, links and manifests that are not whole. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ARCHIVE_BLOCK, ARCHIVE_END, formatArchiveEntry } from "../../../lib/batch/archive.ts";
import {
  bulkIn,
  cli,
  codesOf,
  copyFolder,
  edit,
  inFolder,
  issuer,
  makeBatch,
  pack,
  writeManifest,
} from "./batch.ts";
import { needing, POSIX } from "../../needs.ts";

const problemsOf = async (batch: string, ...flags: string[]) => {
  const { stdout } = await cli("bulk", "verify", batch, "--json", ...flags);
  return JSON.parse(stdout).problems as { code: string; id: string | null; message: string }[];
};

async function overwrite(path: string, at: number, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.seek(at, Deno.SeekMode.Start);
  await file.write(bytes);
}

Deno.test("damage in an archive is told with its path, and hides nothing else", async () => {
  await inFolder(async (folder) => {
    const [batch, out] = [`${folder}/b`, `${folder}/out`];
    await makeBatch(batch, { ids: ["a", "b", "c"], issuer });
    await pack(batch);
    for (const header of [new Uint8Array(ARCHIVE_BLOCK), new Uint8Array([1, 2])]) {
      for (const name of ["files.tar", "secret.tar"]) {
        const bad = `${folder}/bad`;
        await copyFolder(batch, bad);
        await overwrite(`${bad}/${name}`, 0, header);
        const found = await problemsOf(bad);
        assertEquals(found.map(({ code }) => code).sort(), ["BAD_ARCHIVE", "MISSING_FILE"], name);
        assert(found.some(({ message }) => message.startsWith(`${bad}/${name}: Cannot decode`)));
        const merged = await cli("bulk", "merge", bad, "-o", out);
        assertEquals(merged.code, 1);
        assertStringIncludes(merged.stdout, `${bad}/${name}: Cannot decode`);
        assertEquals((await cli("bulk", "status", bad)).code, 0);
        const exported = await cli("bulk", "export", bad, "--to", "csv", "-o", out);
        assertEquals(exported.code, name === "files.tar" ? 1 : 0, exported.stderr);
        if (exported.code === 1) {
          assertStringIncludes(exported.stderr, `error: Cannot read ${bad}/files.tar: Cannot`);
        } else await Deno.remove(out, { recursive: true });
        await Deno.remove(bad, { recursive: true });
      }
    }
  });
});

Deno.test("an archive that is cut, a file that is twice and archives of others are told", async () => {
  await inFolder(async (folder) => {
    const batch = `${folder}/b`;
    await makeBatch(batch, { ids: ["a"], issuer });
    await pack(batch);
    await copyFolder(batch, `${folder}/good`);
    const archive = `${batch}/files.tar`;
    const { size } = await Deno.stat(archive);
    const again = async (bytes: Uint8Array) => {
      await Deno.truncate(archive, size - ARCHIVE_END.length);
      await Deno.writeFile(archive, bytes, { append: true });
    };
    const certificate = formatArchiveEntry("certificates/a.pem", new Uint8Array(9));
    await again(certificate.subarray(0, 700));
    const [cut] = await problemsOf(batch);
    assertEquals(cut?.code, "BAD_ARCHIVE");
    assertStringIncludes(cut!.message, "files.tar: it ends within a file");
    await again(certificate);
    assert((await problemsOf(batch)).some(({ message }) => message.endsWith("is in it twice")));
    await again(formatArchiveEntry("secret/a.key.pem", new Uint8Array(9)));
    assertStringIncludes((await problemsOf(batch))[0]!.message, "belongs into secret.tar");
    await Deno.copyFile(`${folder}/good/files.tar`, archive);
    await Deno.copyFile(archive, `${batch}/backup.tar`);
    assertEquals((await problemsOf(batch)).map(({ code, message }) => `${code} ${message}`), [
      "STRAY_FILE backup.tar is no archive of a batch",
    ]);
    assertEquals((await cli("bulk", "merge", batch, "-o", `${folder}/w`)).code, 0);
    assertEquals(await codesOf(`${folder}/w`), []);
  });
});

Deno.test("status and exports need no secret.tar", async () => {
  await inFolder(async (folder) => {
    const batch = await bulkIn(folder, "b", "--count", "2", "--pack");
    await Deno.remove(`${batch}/secret.tar`);
    const status = await cli("bulk", "status", batch);
    assertEquals(status.code, 0);
    assertStringIncludes(status.stdout, "2 devices, packed");
    const out = ["--to", "csv", "-o", `${folder}/out`];
    assertEquals((await cli("bulk", "export", batch, ...out)).code, 0);
    assertEquals([...new Set(await codesOf(batch))], ["MISSING_FILE"]);
  });
});

needing(POSIX).test("a file may be a link to one, and a link to nothing is no file", async () => {
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

Deno.test("a manifest that is not that of its journal is no batch to go on with", async () => {
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
