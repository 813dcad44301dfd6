/** An operator restores a backup: journals that are older than the files beside them, or gone. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseManifestNdjson } from "../../../lib/batch/mod.ts";
import { DatabaseSync } from "../../../lib/cli/batch/deps.ts";
import { bulkIn, cli, codesOf, copyFolder, inFolder, swap } from "./batch.ts";

const rowsOf = (batch: string) =>
  parseManifestNdjson(Deno.readTextFileSync(`${batch}/manifest.ndjson`));
const filesIn = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name).sort();
const JOURNAL_AND_MANIFESTS = ["journal.sqlite", "manifest.csv", "manifest.ndjson"];
const LIST = ["--count", "3", "--id-template", "d{n}"];

/** Everything that is secret, by name. */
const secretsOf = (batch: string) =>
  filesIn(`${batch}/secret`).map((
    name,
  ) => [name, Deno.readTextFileSync(`${batch}/secret/${name}`)]);

/** Makes a batch, and one of which only the first device is done with the same list. */
async function withBackup(
  flags: readonly string[],
  act: (batch: string, again: () => ReturnType<typeof cli>, backup: string) => Promise<void>,
): Promise<void> {
  await inFolder(async (folder) => {
    const all = [...LIST, ...flags];
    const batch = await bulkIn(folder, "b", ...all);
    const backup = `${folder}/backup`;
    await copyFolder(batch, backup);
    rewind(backup);
    const line = ["bulk", "--ca", `${folder}/ca`, "--workers", "1", "-o", batch, ...all];
    await act(batch, () => cli(...line), backup);
  });
}

/** Makes the journal and the manifests of a batch those of the time when one device was done. */
function rewind(batch: string): void {
  const database = new DatabaseSync(`${batch}/journal.sqlite`);
  database.exec(
    "UPDATE devices SET state = 'pending', serial = '', fingerprint = '', publicKey = NULL, " +
      "imageSha256 = '', keyMode = '', efuseKeyId = NULL WHERE n > 0",
  );
  const sizes: Record<string, number> = {};
  for (const kind of ["ndjson", "csv"]) {
    const path = `${batch}/manifest.${kind}`;
    const lines = Deno.readTextFileSync(path).split("\n").slice(0, kind === "csv" ? 2 : 1);
    const text = lines.map((line) => `${line}\n`).join("");
    Deno.writeTextFileSync(path, text);
    sizes[kind] = new TextEncoder().encode(text).length;
  }
  database.prepare("INSERT OR REPLACE INTO meta VALUES ('sizes', ?)").run(JSON.stringify(sizes));
  database.close();
}

function restore(batch: string, backup: string, names: readonly string[]): void {
  for (const end of ["-wal", "-shm"]) {
    try {
      Deno.removeSync(`${batch}/journal.sqlite${end}`);
    } catch {
      // It was checkpointed.
    }
  }
  for (const name of names) Deno.copyFileSync(`${backup}/${name}`, `${batch}/${name}`);
}

for (
  const flags of [
    [],
    ["--chip", "esp32c3", "--key-mode", "hmac-derived"],
    ["--chip", "esp32c3", "--key-mode", "hmac-encrypted"],
    ["--chip", "esp32h2", "--key-mode", "ecdsa-peripheral"],
    ["--format", "nvs", "--labels"],
  ]
) {
  Deno.test(`an older journal, restored, makes no second key: ${flags.join(" ")}`, async () => {
    await withBackup(flags, async (batch, again, backup) => {
      const [rows, secrets] = [rowsOf(batch), secretsOf(batch)];
      restore(batch, backup, JOURNAL_AND_MANIFESTS);
      const { code, stderr } = await again();
      assertEquals(code, 0, stderr);
      assertEquals([rowsOf(batch), secretsOf(batch)], [rows, secrets]);
      assertEquals(await codesOf(batch), []);
    });
  });
}

Deno.test("a key that does not fit its certificate is refused by name, and nothing is lost", async () => {
  await withBackup([], async (batch, again, backup) => {
    restore(batch, backup, JOURNAL_AND_MANIFESTS);
    await swap(`${batch}/secret/d2.key.pem`, `${batch}/secret/d3.key.pem`);
    const secrets = secretsOf(batch);
    for (let times = 0; times < 2; times++) {
      const { code, stderr } = await again();
      assertEquals(code, 1);
      assertStringIncludes(stderr, "certificates/d2.pem is for another key");
      assertEquals([secretsOf(batch), rowsOf(batch).length], [secrets, 1]);
    }
    await swap(`${batch}/secret/d2.key.pem`, `${batch}/secret/d3.key.pem`);
    assertEquals((await again()).code, 0);
    assertEquals(await codesOf(batch), []);
  });
});

Deno.test("of all devices whose files do not fit ten are named and the rest counted, and none is made", async () => {
  await inFolder(async (folder) => {
    // Letters of the names differ, and what is wrong is the same.
    const ids = Array.from({ length: 30 }, (_, n) => `24:0A:C4:00:01:${(n * 7 + 10).toString(16)}`);
    await Deno.writeTextFile(`${folder}/list.csv`, `id\n${ids.join("\n")}\n`);
    const flags = ["--devices", `${folder}/list.csv`];
    const batch = await bulkIn(folder, "b", ...flags);
    const backup = `${folder}/backup`;
    await copyFolder(batch, backup);
    rewind(backup);
    restore(batch, backup, JOURNAL_AND_MANIFESTS);
    const files = ids.map((id) => id.replaceAll(":", "-"));
    const other = Deno.readFileSync(`${batch}/secret/${files[0]}.key.pem`);
    for (const name of files.slice(5)) Deno.writeFileSync(`${batch}/secret/${name}.key.pem`, other);
    // Nothing is there of the second.
    for (const path of ["secret/@.key.pem", "certificates/@.pem", "images/@.bin"]) {
      Deno.removeSync(`${batch}/${path.replace("@", files[1]!)}`);
    }
    const before = [rowsOf(batch), secretsOf(batch)];
    for (const workers of ["1", "2"]) {
      const line = ["bulk", ...flags, "--ca", `${folder}/ca`, "-o", batch, "--workers", workers];
      const { code, stderr } = await cli(...line);
      assertEquals(code, 1);
      assertEquals(stderr.match(/: certificates\/24-\S+\.pem is for another key$/gm)?.length, 10);
      assertStringIncludes(stderr, "\nand 15 more of these\n");
      assertStringIncludes(
        stderr,
        "error: Cannot make devices: files of 25 devices that the journal does not list as made",
      );
      const { stdout } = await cli(...line, "--json");
      const { error } = JSON.parse(stdout.trim().split("\n").at(-1)!);
      const problem = (at: number) =>
        `${ids[at]}: certificates/${files[at]}.pem is for another key`;
      assertEquals([error.problems.length, error.problems[0]], [25, problem(5)]);
      assertEquals([rowsOf(batch), secretsOf(batch)], before);
    }
  });
});

Deno.test("a list that is not that of the first run is refused row by row, in every shard", async () => {
  await inFolder(async (folder) => {
    const ids = Array.from({ length: 30 }, (_, n) => `m${n}`);
    const write = (lines: readonly string[]) =>
      Deno.writeTextFile(`${folder}/list.csv`, `id\n${lines.join("\n")}\n`);
    for (const shard of [[], ["--shard", "1/2"]]) {
      await write(ids);
      const flags = ["--devices", `${folder}/list.csv`, ...shard];
      const batch = await bulkIn(folder, `b${shard.length}`, ...flags);
      const again = async (...lines: readonly string[]) => {
        await write(lines);
        const line = ["bulk", ...flags, "--ca", `${folder}/ca`, "--workers", "1", "-o", batch];
        const { code, stderr } = await cli(...line);
        assertEquals(code, 1, stderr);
        return stderr;
      };
      const inserted = await again("new", ...ids);
      assertEquals(
        inserted.match(/^\w+: row \d+ is not what it was in the first run$/gm)?.length,
        10,
      );
      assertEquals(/more of these/.test(inserted), true, inserted);
      assertEquals(/twice/.test(inserted), false, inserted);
      assertEquals(/twice/.test(await again(...ids.slice(1))), false);
      assertStringIncludes(
        await again(...ids, "M0"),
        "M0: the id is there twice, in rows 1 and 31",
      );
      assertStringIncludes(await again(...ids.slice(0, 20)), "the list has ");
    }
    await write(["a", "a"]);
    const shard = ["--shard", "1/2", "--ca", `${folder}/ca`, "-o", `${folder}/twice`];
    const { stderr } = await cli("bulk", "--devices", `${folder}/list.csv`, ...shard);
    assertStringIncludes(stderr, "rows 1 and 2\nerror: Cannot make devices: a problem in the list");
  });
});

Deno.test("a device that is added and cannot be made is not taken up, and may be corrected", async () => {
  await inFolder(async (folder) => {
    const list = `${folder}/list.csv`;
    const flags = ["--devices", list];
    await Deno.writeTextFile(list, "id,user1\na,x\n");
    const batch = await bulkIn(folder, "b", ...flags);
    const again = async (row: string) => {
      await Deno.writeTextFile(list, `id,user1\na,x\n${row}\n`);
      return await cli("bulk", ...flags, "--ca", `${folder}/ca`, "--workers", "1", "-o", batch);
    };
    const refused = await again(`c,${"x".repeat(9000)}`);
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, "c: Cannot encode partition");
    const { code, stderr } = await again("c,y");
    assertEquals(code, 0, stderr);
    assertEquals(rowsOf(batch).map(({ id }) => id), ["a", "c"]);
  });
});

Deno.test("files of a device that are moved away are made again", async () => {
  await withBackup([], async (batch, again, backup) => {
    restore(batch, backup, JOURNAL_AND_MANIFESTS);
    Deno.removeSync(`${batch}/secret/d2.key.pem`);
    const { code, stderr } = await again();
    assertEquals(code, 1);
    assertStringIncludes(stderr, "certificates/d2.pem is there, but secret/d2.key.pem is not");
    Deno.removeSync(`${batch}/certificates/d2.pem`);
    Deno.removeSync(`${batch}/images/d2.bin`);
    assertEquals((await again()).code, 0);
    assertEquals(await codesOf(batch), []);
  });
});

Deno.test("a journal beside a newer manifest, an empty one and none are refused", async () => {
  await withBackup([], async (batch, again, backup) => {
    const [manifest, secrets] = [rowsOf(batch), secretsOf(batch)];
    const unchanged = () => assertEquals([rowsOf(batch), secretsOf(batch)], [manifest, secrets]);
    restore(batch, backup, ["journal.sqlite"]);
    const older = await again();
    assertEquals(older.code, 1);
    assertStringIncludes(older.stderr, "has devices that the journal does not know");
    unchanged();
    restore(batch, backup, []);
    await Deno.writeFile(`${batch}/journal.sqlite`, new Uint8Array());
    const empty = await again();
    assertEquals(empty.code, 1);
    assertStringIncludes(empty.stderr, "has keys of devices that the journal does not know");
    unchanged();
    await Deno.remove(`${batch}/journal.sqlite`);
    const gone = await again();
    assertEquals(gone.code, 1);
    assertStringIncludes(gone.stderr, "it is a merged batch, or its journal was lost");
    unchanged();
    await Deno.remove(`${batch}/manifest.ndjson`);
    const other = await again();
    assertEquals(other.code, 1);
    assertStringIncludes(other.stderr, "is not a batch's folder");
    assertEquals(secretsOf(batch), secrets);
  });
});

Deno.test("bulk status of a folder without a journal is an error", async () => {
  await withBackup([], async (batch) => {
    await Deno.remove(`${batch}/journal.sqlite`);
    for (const flags of [[], ["--json"]]) {
      const { code, stdout, stderr } = await cli("bulk", "status", batch, ...flags);
      assertEquals(code, 1);
      assertStringIncludes(stdout + stderr, "journal.sqlite: no such file");
    }
    await Deno.remove(batch, { recursive: true });
    assertEquals((await cli("bulk", "status", batch)).code, 1);
    await Deno.mkdir(batch);
    assertEquals((await cli("bulk", "status", batch)).code, 1);
  });
});
