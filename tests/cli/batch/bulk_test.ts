/** `bulk status` and `bulk verify`, on real folders. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseManifestNdjson } from "../../../lib/batch/manifest.ts";
import { DatabaseSync } from "../../../lib/cli/batch/deps.ts";
import { createDevelopmentCa, createRequest, importPrivateKey } from "../../../mod.ts";
import {
  bulkIn,
  cli,
  codesOf,
  copyFolder,
  flip,
  inFolder,
  issuer,
  makeBatch,
  writeManifest,
} from "./batch.ts";

Deno.test("bulk status counts the devices of a folder", async () => {
  await inFolder(async (folder) => {
    const batch = await bulkIn(folder, "b", "--count", "3", "--id-template", "d{n}");
    const manifest = Deno.readTextFileSync(`${batch}/manifest.ndjson`);
    const [one, two, three] = parseManifestNdjson(manifest);
    await writeManifest(batch, [one!, two!, { ...three!, status: "failed" }]);
    const database = new DatabaseSync(`${batch}/journal.sqlite`);
    database.exec("UPDATE devices SET state = 'failed', reason = 'why' WHERE n = 2");
    database.close();
    const { code, stdout } = await cli("bulk", "status", `${folder}/b`, "--json");
    assertEquals(code, 0);
    assertEquals(JSON.parse(stdout), {
      folder: `${folder}/b`,
      devices: 3,
      done: true,
      states: { pending: 0, "key made": 0, certified: 0, built: 0, verified: 2, failed: 1 },
      failed: [{ id: "d3", reason: "why" }],
      keyModes: { plaintext: 2 },
      notes: [],
    });
    assertStringIncludes((await cli("bulk", "status", `${folder}/b`)).stdout, "2 plaintext");
    const missing = await cli("bulk", "status", `${folder}/none`);
    assertEquals(missing.code, 1);
    assertStringIncludes(missing.stderr, "none/manifest.ndjson: no such file");
  });
});

Deno.test("bulk status, verify and merge read the journal of a batch that is not done", async () => {
  await inFolder(async (folder) => {
    const made = await cli("ca", "--subject", "CN=x", "-o", `${folder}/ca`);
    assertEquals(made.code, 0, made.stderr);
    const line = ["bulk", "--count", "3", "--ca", `${folder}/ca`, "-o", `${folder}/b`];
    const requests = await cli(...line, "--csr");
    assertEquals(requests.code, 0, requests.stderr);
    const { stdout } = await cli("bulk", "status", `${folder}/b`, "--json");
    const { devices, done, states } = JSON.parse(stdout);
    assertEquals([devices, done, states["key made"]], [3, false, 3]);
    assertStringIncludes(
      (await cli("bulk", "status", `${folder}/b`)).stdout,
      "not done; run bulk again with --certificates DIR",
    );
    assertEquals((await codesOf(`${folder}/b`))[0], "UNFINISHED_BATCH");
    const merged = await cli("bulk", "merge", `${folder}/b`, "-o", `${folder}/w`);
    assertEquals(merged.code, 1);
    assertStringIncludes(merged.stdout, "3 key made");
    await Deno.mkdir(`${folder}/keys`);
    await Deno.copyFile(`${folder}/ca/ca.key.pem`, `${folder}/keys/a.pem`);
    const some = ["bulk", "--count", "2", "--id-template", "d{n}", "--keys", `${folder}/keys`];
    assertEquals((await cli(...some, "--ca", `${folder}/ca`, "-o", `${folder}/f`)).code, 1);
    const failed = JSON.parse((await cli("bulk", "status", `${folder}/f`, "--json")).stdout);
    assertEquals([failed.done, failed.states.failed, failed.failed[0].id], [true, 2, "d1"]);
    assertStringIncludes(failed.failed[0].reason, "its key is that of the CA");
    assertEquals(await codesOf(`${folder}/f`), ["FAILED_DEVICE", "FAILED_DEVICE"]);
  });
});

Deno.test("bulk verify finds a good batch good", async () => {
  await inFolder(async (folder) => {
    const batch = `${folder}/b`;
    const ids = Array.from({ length: 12 }, (_, at) => `dev-${at}`);
    await makeBatch(batch, { ids, issuer, extra: { line: "3, north\nhall", chip: "esp32c3" } });
    assertEquals(await codesOf(batch, "--ca", `${folder}/ca.pem`), []);
  });
});

Deno.test("bulk verify finds each thing that is wrong, and all of them", async () => {
  await inFolder(async (folder) => {
    const batch = `${folder}/b`;
    const rows = await makeBatch(batch, { ids: ["a", "b"], issuer });
    await makeBatch(`${folder}/o`, { ids: ["a", "b"] });
    const image = `${batch}/images/a.bin`;
    const certificate = `${batch}/certificates/b.pem`;
    const spoil: readonly (readonly [string[], () => void | Promise<void>])[] = [
      [["WRONG_IMAGE", "BAD_IMAGE"], () => flip(image, 40)],
      [["MISSING_FILE"], () => Deno.removeSync(image)],
      [
        ["WRONG_IMAGE", "WRONG_CERTIFICATE"],
        () => Deno.copyFileSync(`${folder}/o/images/a.bin`, image),
      ],
      [
        ["WRONG_CERTIFICATE"],
        () => Deno.copyFileSync(`${folder}/o/certificates/b.pem`, certificate),
      ],
      [["WRONG_CERTIFICATE"], () => Deno.writeTextFileSync(certificate, "nothing")],
      [["MISSING_FILE"], () => Deno.removeSync(certificate)],
      [["STRAY_FILE"], () => Deno.writeTextFileSync(`${batch}/images/b.bin.tmp`, "half")],
      [["STRAY_FILE"], () => Deno.copyFileSync(image, `${batch}/images/c.bin`)],
      [
        ["DUPLICATE_ID", "DUPLICATE_SERIAL", "DUPLICATE_KEY"],
        () => writeManifest(batch, [...rows, rows[0]!]),
      ],
      [
        ["DUPLICATE_SERIAL", "WRONG_CERTIFICATE"],
        () => writeManifest(batch, [rows[0]!, { ...rows[1]!, serial: rows[0]!.serial }]),
      ],
      [
        ["DUPLICATE_KEY", "WRONG_CERTIFICATE", "WRONG_KEY"],
        () => writeManifest(batch, [rows[0]!, { ...rows[1]!, publicKey: rows[0]!.publicKey }]),
      ],
      [
        ["FAILED_DEVICE"],
        () => writeManifest(batch, [rows[0]!, { ...rows[1]!, status: "failed" }]),
      ],
      [
        ["WRONG_KEY_MODE", "MISSING_FILE"],
        () => writeManifest(batch, [rows[0]!, { ...rows[1]!, keyMode: "rsa-ds", efuseKeyId: 1 }]),
      ],
      [["BAD_MANIFEST", "FAILED_DEVICE"], async () => {
        await writeManifest(batch, [rows[0]!, { ...rows[1]!, status: "failed" }]);
        const text = Deno.readTextFileSync(`${batch}/manifest.ndjson`);
        Deno.writeTextFileSync(`${batch}/manifest.ndjson`, `{"id":"x\n${text}`);
      }],
      [["BAD_MANIFEST"], () => Deno.removeSync(`${batch}/manifest.csv`)],
      [["BAD_MANIFEST"], () => flip(`${batch}/manifest.csv`, 90)],
      [["BAD_MANIFEST"], () => {
        Deno.writeTextFileSync(`${batch}/manifest.csv`, "more\n", { append: true });
      }],
      [["BAD_MANIFEST"], () => {
        const text = Deno.readTextFileSync(`${batch}/manifest.csv`);
        Deno.writeTextFileSync(`${batch}/manifest.csv`, text.slice(0, -9));
      }],
    ];
    await copyFolder(batch, `${folder}/good`);
    for (const [codes, act] of spoil) {
      await act();
      assertEquals([...new Set(await codesOf(batch))], codes, act.toString());
      await Deno.remove(batch, { recursive: true });
      await copyFolder(`${folder}/good`, batch);
    }
    const { certificate: stranger } = await createDevelopmentCa();
    await Deno.writeFile(`${folder}/stranger.der`, stranger.der);
    const foreign = await codesOf(batch, "--ca", `${folder}/stranger.der`);
    assertEquals(foreign, ["BAD_IMAGE", "BAD_IMAGE"]);
    await Deno.writeTextFile(`${batch}/manifest.ndjson`, "{}\n", { append: true });
    const { code, stdout } = await cli("bulk", "verify", batch);
    assertEquals(code, 1);
    assertStringIncludes(stdout, "id is missing in line 3");
    const exported = await cli("bulk", "export", batch, "--to", "csv", "-o", `${folder}/csv`);
    assertEquals(exported.code, 1);
    assertStringIncludes(exported.stderr, "id is missing in line 3");
  });
});

Deno.test("bulk verify knows a foreign signing request, and secrets that others may read", async () => {
  await inFolder(async (folder) => {
    const batch = `${folder}/b`;
    await makeBatch(batch, { ids: ["a", "b"], issuer });
    await Deno.mkdir(`${batch}/csr`);
    const key = await importPrivateKey(await Deno.readFile(`${batch}/secret/a.key.pem`));
    const request = await createRequest({ key, subject: "CN=a" });
    await Deno.writeFile(`${batch}/csr/a.csr`, request.der);
    assertEquals(await codesOf(batch), []);
    await Deno.writeFile(`${batch}/csr/b.csr`, request.der);
    assertEquals(await codesOf(batch), ["WRONG_REQUEST"]);
    await Deno.writeTextFile(`${batch}/csr/b.csr`, "nothing");
    assertEquals(await codesOf(batch), ["WRONG_REQUEST"]);
    await Deno.remove(`${batch}/csr/b.csr`);
    if (Deno.build.os === "windows") return;
    const notes = async () =>
      JSON.parse((await cli("bulk", "verify", batch, "--json")).stdout).notes;
    for (const name of ["images/a.bin", "secret/a.key.pem", "images/b.bin", "secret/b.key.pem"]) {
      await Deno.chmod(`${batch}/${name}`, 0o600);
    }
    assertEquals(await notes(), []);
    await Deno.chmod(`${batch}/secret/b.key.pem`, 0o640);
    const [note, ...others] = await notes();
    assertStringIncludes(
      note,
      "1 file with secrets can be read by others than its owner, such as ",
    );
    assertStringIncludes(note, "b.key.pem; chmod -R go= ");
    assertEquals(others, []);
  });
});
