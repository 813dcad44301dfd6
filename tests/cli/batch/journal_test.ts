/** Journals that are there and cannot be read, and manifests that have none beside them. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { openJournal } from "../../../lib/cli/batch/journal/read.ts";
import { DatabaseSync } from "../../../lib/cli/batch/deps.ts";
import {
  bulkIn,
  cli,
  codesOf,
  copyFolder,
  inFolder,
  issuer,
  makeBatch,
  setPending,
  writeManifest,
} from "./batch.ts";
import { needing, NOT_ROOT, POSIX } from "../../needs.ts";

Deno.test("a journal that cannot be read is not taken for a missing one", async () => {
  await inFolder(async (folder) => {
    const whole = await bulkIn(folder, "whole", "--count", "3");
    const batch = `${folder}/b`;
    const journal = `${batch}/journal.sqlite`;
    const harms: Readonly<Record<string, () => Promise<void>>> = {
      empty: () => Deno.writeTextFile(journal, ""),
      "no database": () => Deno.writeTextFile(journal, "text ".repeat(999)),
      "damaged within": async () => {
        const bytes = await Deno.readFile(journal);
        bytes.fill(0xff, 4096);
        await Deno.writeFile(journal, bytes);
      },
      "a folder": async () => {
        await Deno.remove(journal);
        await Deno.mkdir(journal);
      },
    };
    for (const [name, harm] of Object.entries(harms)) {
      await copyFolder(whole, batch);
      await harm();
      assertEquals(await codesOf(batch), ["BAD_JOURNAL"], name);
      for (
        const line of [["merge", batch, "-o"], ["export", batch, "--to", "csv", "-o"]]
      ) {
        const { code, stdout, stderr } = await cli("bulk", ...line, `${folder}/out`);
        assertEquals(code, 1, name);
        assertStringIncludes(stdout + stderr, `the journal ${journal} cannot be read: `);
      }
      for (const flags of [[], ["--json"]]) {
        const { code, stdout, stderr } = await cli("bulk", "status", batch, ...flags);
        assertEquals([code, stdout.includes("not done; run bulk")], [1, false], name);
        assertStringIncludes(stderr, `the journal ${journal} cannot be read: it is `);
      }
      assertEquals([...Deno.readDirSync(folder)].some((entry) => entry.name === "out"), false);
      await Deno.remove(batch, { recursive: true });
    }
  });
});

Deno.test("bulk status says what the manifest has, and that the journal cannot be read", async () => {
  await inFolder(async (folder) => {
    const batch = await bulkIn(folder, "b", "--count", "3");
    await Deno.writeTextFile(`${batch}/journal.sqlite`, "");
    const { code, stdout, stderr } = await cli("bulk", "status", batch, "--json");
    const { states, done, notes } = JSON.parse(stdout);
    assertEquals([code, states.verified, done, notes.length], [1, 3, false, 1]);
    assertStringIncludes(notes[0], "cannot be read: it is damaged, or not a journal");
    assertStringIncludes(stderr, notes[0]);
  });
});

needing(POSIX, NOT_ROOT).test(
  "a journal is read where nothing can be written beside it",
  async () => {
    await inFolder(async (folder) => {
      const batch = await bulkIn(folder, "b %41#?", "--count", "3");
      new DatabaseSync(`${batch}/journal.sqlite`).close();
      await Deno.chmod(batch, 0o500);
      try {
        const { journal, damage } = await openJournal(batch, true);
        journal?.close();
        assertEquals([journal?.states.verified, damage], [3, undefined]);
      } finally {
        await Deno.chmod(batch, 0o700);
      }
    });
  },
);

Deno.test("a repeated row does not count as one that is missing", async () => {
  await inFolder(async (folder) => {
    const batch = await bulkIn(folder, "b", "--count", "3");
    for (const name of ["manifest.ndjson", "manifest.csv"]) {
      const lines = (await Deno.readTextFile(`${batch}/${name}`)).trimEnd().split("\n");
      await Deno.writeTextFile(
        `${batch}/${name}`,
        [...lines.slice(0, -1), lines.at(-2)].join("\n"),
      );
    }
    assertEquals((await codesOf(batch)).includes("BAD_MANIFEST"), true);
    const { code, stderr } = await exportOf(batch, folder);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "DUPLICATE_ID: dev-000002 has the name of dev-000002");
    assertStringIncludes(stderr, "BAD_MANIFEST: manifest.ndjson of");
  });
});

Deno.test("bulk export --partial lets through what is not done, and no manifest that lacks what is", async () => {
  await inFolder(async (folder) => {
    const batch = await bulkIn(folder, "b", "--count", "3");
    setPending(batch, 2);
    const path = `${batch}/manifest.ndjson`;
    const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
    await Deno.writeTextFile(path, lines[0]!);
    const cut = await exportOf(batch, folder, "--partial");
    assertEquals(cut.code, 1);
    assertStringIncludes(cut.stderr, "has 1 of the 2 devices of its journal");
    await Deno.writeTextFile(path, lines.join("\n"));
    const more = await exportOf(batch, folder, "--partial");
    assertStringIncludes(more.stderr, "has another status than the journal");
    await Deno.writeTextFile(path, lines.slice(0, 2).join("\n"));
    assertEquals((await exportOf(batch, folder, "--partial")).code, 0);
  });
});

Deno.test("a manifest cut short is seen without a journal, by merge and export too", async () => {
  await inFolder(async (folder) => {
    const batch = `${folder}/b`;
    const rows = await makeBatch(batch, { ids: ["a", "b"], issuer });
    await Deno.remove(`${batch}/manifest.csv`);
    await assertSeen(batch, "BAD_MANIFEST: manifest.csv is not there");
    await writeManifest(batch, rows.slice(0, 1));
    await assertSeen(batch, "STRAY_FILE: images/b.bin belongs to no device");
    await writeManifest(batch, [{ ...rows[0]!, serial: "0123" }, rows[1]!]);
    assertStringIncludes((await exportOf(batch, folder)).stderr, "a: the serial number of the");
    async function assertSeen(batch: string, text: string) {
      const merged = await cli("bulk", "merge", batch, "-o", `${folder}/whole`);
      const exported = await exportOf(batch, folder);
      for (const { code, stdout, stderr } of [merged, exported]) {
        assertEquals(code, 1);
        assertStringIncludes(stdout + stderr, text);
      }
    }
  });
});

const exportOf = (batch: string, folder: string, ...flags: readonly string[]) =>
  cli("bulk", "export", batch, "--to", "csv", "-o", `${folder}/out`, ...flags);
