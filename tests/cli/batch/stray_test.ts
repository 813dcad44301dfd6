/** What `bulk verify` finds in a folder that its devices do not need, or that cannot be read. */
import { assertEquals } from "@std/assert";
import { parseManifestRow } from "../../../lib/batch/manifest.ts";
import {
  type CheckedDevices,
  type CheckTask,
  deviceChecker,
  type ListedDevice,
} from "../../../lib/cli/batch/check/devices.ts";
import { startHelpers } from "../../../lib/cli/threads/share.ts";
import { bulkIn, codesOf, copyFolder, edit, inFolder } from "./batch.ts";

const A = "dev-000001";

type Harm = (batch: string) => void | Promise<void>;

async function assertFinds(
  flags: readonly string[],
  harms: readonly (readonly [code: string, harm: Harm])[],
): Promise<void> {
  await inFolder(async (folder) => {
    const good = await bulkIn(folder, "b", "--count", "2", ...flags);
    assertEquals(await codesOf(good), []);
    for (const [code, harm] of harms) {
      await copyFolder(good, `${good}-bad`);
      await harm(`${good}-bad`);
      assertEquals([...new Set(await codesOf(`${good}-bad`))].sort(), code.split(" "), `${harm}`);
      await Deno.remove(`${good}-bad`, { recursive: true });
    }
  });
}

Deno.test("bulk verify finds what a device of its key mode does not have", async () => {
  await assertFinds([], [
    ["STRAY_FILE", (batch) => {
      Deno.mkdirSync(`${batch}/efuse`);
      Deno.writeTextFileSync(`${batch}/efuse/${A}.json`, "{}");
    }],
    ["STRAY_FILE", (batch) => Deno.writeTextFile(`${batch}/secret/${A}.hmac.bin`, "x")],
    ["STRAY_FILE", (batch) => Deno.writeTextFile(`${batch}/secret/${A}.salt.bin`, "x")],
  ]);
  await assertFinds(["--key-mode", "hmac-encrypted", "--chip", "esp32c3"], [
    ["STRAY_FILE", (batch) => Deno.writeTextFile(`${batch}/secret/${A}.salt.bin`, "x")],
    ["WRONG_EFUSE_PLAN", (batch) => edit(`${batch}/efuse/${A}.json`, /^\{/g, '{"then": "burn",')],
  ]);
});

Deno.test("bulk verify finds what is beside a certificate in its file", async () => {
  const append = (text: string | Uint8Array): Harm => async (batch) => {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    await Deno.writeFile(`${batch}/certificates/${A}.pem`, bytes, { append: true });
  };
  await assertFinds([], [
    ["WRONG_CERTIFICATE", append("note")],
    ["WRONG_CERTIFICATE", append("-----BEGIN NOTE-----\nAAAA\n-----END NOTE-----\n")],
    [
      "WRONG_CERTIFICATE",
      (batch) => append(Deno.readFileSync(`${batch}/secret/${A}.key.pem`))(batch),
    ],
    ["WRONG_CERTIFICATE", (batch) => edit(`${batch}/certificates/${A}.pem`, /^/g, "note\n")],
  ]);
  await inFolder(async (folder) => {
    const batch = await bulkIn(folder, "b", "--count", "2");
    await append(`\r\n${await Deno.readTextFile(`${folder}/ca.pem`)}\n`)(batch);
    assertEquals(await codesOf(batch), []);
  });
});

Deno.test("bulk verify continues after what cannot be read, and finds folders and links", async () => {
  await assertFinds([], [
    ["STRAY_FILE", (batch) => Deno.mkdir(`${batch}/images/more`)],
    ["STRAY_FILE", (batch) => Deno.writeTextFile(`${batch}/efuse`, "")],
    ["MISSING_FILE STRAY_FILE", async (batch) => {
      await Deno.remove(`${batch}/images/${A}.bin`);
      await Deno.mkdir(`${batch}/images/${A}.bin`);
    }],
    ["MISSING_FILE STRAY_FILE", async (batch) => {
      await Deno.remove(`${batch}/images`, { recursive: true });
      await Deno.writeTextFile(`${batch}/images`, "");
    }],
    ...Deno.build.os === "windows" ? [] : [
      ["STRAY_FILE", (batch: string) => Deno.symlink("../certificates", `${batch}/secret/more`)],
      ["STRAY_FILE", (batch: string) => Deno.symlink("nothing", `${batch}/secret/more`)],
    ] as const,
  ]);
});

Deno.test("another thread finds in a batch what this one does", async () => {
  await inFolder(async (folder) => {
    const batch = await bulkIn(folder, "b", "--count", "3");
    await edit(`${batch}/certificates/dev-000002.pem`, /^/g, "note\n");
    await Deno.remove(`${batch}/secret/dev-000003.key.pem`);
    const manifest = await Deno.readTextFile(`${batch}/manifest.ndjson`);
    const devices = manifest.trimEnd().split("\n")
      .map((line, at): ListedDevice => ({
        row: parseManifestRow(line, at + 1),
        ownChip: undefined,
      }));
    const task: CheckTask = { folder: batch, kept: { secrets: true, labels: false } };
    const here = await (await deviceChecker(task))(devices);
    assertEquals(
      here.map((found) => found.map(({ code }) => code)),
      [[], ["WRONG_CERTIFICATE"], ["MISSING_FILE"]],
    );
    const thread = new URL("../../../lib/cli/batch/check/worker.ts", import.meta.url);
    const helpers = await startHelpers<CheckTask, ListedDevice[], CheckedDevices>(thread, task);
    // With one core there is none.
    for (const starting of helpers.each) assertEquals(await (await starting)?.(devices), here);
    helpers.end();
  });
});
