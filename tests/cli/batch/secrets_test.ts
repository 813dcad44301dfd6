/** `bulk verify` and what belongs to a device beside its image: keys, eFuse plans, labels. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { bulkIn, cli, codesOf, copyFolder, edit, inFolder, setFact, swap } from "./batch.ts";

const A = "dev-000001";
const B = "dev-000002";

type Spoil = readonly [string[], (batch: string) => void | Promise<void>];

/** Every way to spoil a batch is found. */
async function assertFound(good: string, spoil: readonly Spoil[]): Promise<void> {
  assertEquals(await codesOf(good), []);
  for (const [codes, act] of spoil) {
    const batch = `${good}-bad`;
    await copyFolder(good, batch);
    await act(batch);
    const found = [...new Set(await codesOf(batch))].sort();
    assertEquals(found, codes.toSorted(), `${act}`);
    await Deno.remove(batch, { recursive: true });
  }
}

const both = (batch: string, path: (id: string) => string) =>
  [`${batch}/${path(A)}`, `${batch}/${path(B)}`] as const;
const key = (id: string) => `secret/${id}.key.pem`;
const hmac = (id: string) => `secret/${id}.hmac.bin`;
const salt = (id: string) => `secret/${id}.salt.bin`;
const plan = (id: string) => `efuse/${id}.json`;
const forget = (batch: string) => {
  for (const name of ["", "-wal", "-shm"]) {
    try {
      Deno.removeSync(`${batch}/journal.sqlite${name}`);
    } catch { /* it is not there */ }
  }
};

Deno.test("keys and labels are those of their devices", async () => {
  await inFolder(async (folder) => {
    await assertFound(await bulkIn(folder, "b", "--count", "2", "--labels"), [
      [["WRONG_KEY"], (batch) => swap(...both(batch, key))],
      [["WRONG_KEY"], (batch) => Deno.writeTextFileSync(`${batch}/${key(A)}`, "none")],
      [["MISSING_FILE"], (batch) => Deno.removeSync(`${batch}/${key(A)}`)],
      [["STRAY_FILE"], (batch) => Deno.copyFileSync(`${batch}/${key(A)}`, `${batch}/${key("c")}`)],
      [["WRONG_LABEL"], (batch) => swap(...both(batch, (id) => `labels/${id}.svg`))],
      [["MISSING_FILE"], (batch) => {
        forget(batch);
        Deno.removeSync(`${batch}/labels/${A}.svg`);
      }],
      [["MISSING_FILE"], (batch) => {
        setFact(batch, "labels", "true");
        Deno.removeSync(`${batch}/labels/${A}.svg`);
      }],
    ]);
  });
});

Deno.test("what an HMAC key opens is opened with it", async () => {
  await inFolder(async (folder) => {
    for (const mode of ["hmac-derived", "hmac-encrypted"]) {
      const flags = ["--count", "2", "--key-mode", mode, "--chip", "esp32c3"];
      await assertFound(await bulkIn(folder, mode, ...flags), [
        [["WRONG_KEY"], (batch) => swap(...both(batch, hmac))],
        [["WRONG_KEY"], (batch) => Deno.truncateSync(`${batch}/${hmac(A)}`, 31)],
        [["MISSING_FILE"], (batch) => Deno.removeSync(`${batch}/${hmac(A)}`)],
        [["MISSING_FILE"], (batch) => Deno.removeSync(`${batch}/${plan(A)}`)],
        ...mode === "hmac-derived"
          ? [
            [["WRONG_KEY"], (batch) => swap(...both(batch, salt))],
            [["MISSING_FILE"], (batch) => Deno.removeSync(`${batch}/${salt(A)}`)],
          ] satisfies Spoil[]
          : [],
      ]);
    }
  });
});

Deno.test("an eFuse plan burns the device's own key where manifest and image say", async () => {
  await inFolder(async (folder) => {
    const flags = ["--count", "2", "--key-mode", "rsa-ds", "--chip", "esp32c3"];
    const good = await bulkIn(folder, "b", ...flags);
    const rows = (batch: string) => ["ndjson", "csv"].map((name) => `${batch}/manifest.${name}`);
    await assertFound(good, [
      [["WRONG_KEY"], (batch) => swap(...both(batch, hmac))],
      [["WRONG_EFUSE_PLAN"], (batch) => swap(...both(batch, plan))],
      [["WRONG_EFUSE_PLAN"], (batch) => Deno.writeTextFileSync(`${batch}/${plan(A)}`, "{}")],
      [["WRONG_EFUSE_PLAN"], (batch) => edit(`${batch}/${plan(A)}`, "BLOCK_KEY1", "BLOCK_KEY2")],
      [["WRONG_EFUSE_PLAN"], (batch) => edit(`${batch}/${plan(A)}`, "rsa-ds", "hmac-derived")],
      [["WRONG_EFUSE_PLAN"], (batch) => edit(`${batch}/${plan(A)}`, "esp32c3", "esp32s3")],
      [["WRONG_EFUSE_PLAN", "WRONG_KEY_MODE"], async (batch) => {
        forget(batch);
        const [ndjson, csv] = rows(batch);
        await edit(ndjson!, '"efuseKeyId":1', '"efuseKeyId":2');
        await edit(csv!, "rsa-ds,1,", "rsa-ds,2,");
      }],
      [["BAD_IMAGE"], async (batch) => {
        forget(batch);
        for (const path of both(batch, plan)) await edit(path, "esp32c3", "esp32s2");
      }],
    ]);
    const { stdout } = await cli("bulk", "verify", good, "--chip", "esp32s2");
    assertStringIncludes(stdout, "is for esp32c3, not esp32s2");
  });
});

Deno.test("each device is checked for its own chip, of the list or the profile", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/list.csv`, "id,chip\na,esp32c3\nb,esp32c6\nc,\n");
    const flags = ["--devices", `${folder}/list.csv`, "--key-mode", "hmac-derived"];
    const batch = await bulkIn(folder, "b", ...flags, "--chip", "esp32s3");
    assertEquals(await codesOf(batch), []);
    await swap(`${batch}/efuse/a.json`, `${batch}/efuse/b.json`);
    const { stdout } = await cli("bulk", "verify", batch);
    assertStringIncludes(stdout, "a: its eFuse plan is for esp32c6, not esp32c3");
  });
});

Deno.test("a copy without its keys is good, and reported as without them", async () => {
  await inFolder(async (folder) => {
    const batch = await bulkIn(folder, "b", "--count", "2");
    await Deno.remove(`${batch}/secret`, { recursive: true });
    const { code, stdout, stderr } = await cli("bulk", "verify", batch, "--json");
    assertEquals([code, JSON.parse(stdout).notes.length], [0, 1], stdout);
    assertStringIncludes(stderr, "has no secrets, so that no key was checked");
    const merged = await cli("bulk", "merge", batch, "-o", `${folder}/w`);
    assertEquals(merged.code, 0, merged.stdout);
    assertStringIncludes(merged.stderr, "b has no secrets");
  });
});
