/** Journals that are there and cannot be read, and manifests that have none beside them. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { openJournal } from "../../lib/cli/batch_journal.ts";
import { DatabaseSync } from "../../lib/cli/bulk/deps.ts";
import { bulkIn, cli, codesOf, copyFolder, inFolder } from "./batch.ts";

Deno.test("a journal that is there and cannot be read is no lack of one", async () => {
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
    const { states, notes } = JSON.parse(stdout);
    assertEquals([code, states.verified, notes.length], [0, 3, 1]);
    assertStringIncludes(notes[0], "cannot be read");
    assertStringIncludes(stderr, notes[0]);
  });
});

Deno.test({
  name: "a journal is read where nothing can be written beside it",
  ignore: Deno.build.os === "windows" || Deno.uid() === 0,
  fn: async () => {
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
});
