/** `bulk --pack`, `--labels` and signing keys as processes: killed, out of disk, in two phases. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { readArchive } from "../../../lib/batch/archive.ts";
import {
  createDevelopmentCa,
  exportPrivateKey,
  formatPem,
  generateKey,
  readCertificate,
  verify,
  verifySignatures,
} from "../../../mod.ts";
import { installed, needing, PROCESSES, processes } from "../../needs.ts";
import { opensslTest } from "../../vectors.ts";
import {
  cli,
  command,
  count,
  inFolder,
  issuer,
  names,
  outOfDisk,
  rowsOf,
  run,
  sha256,
  start,
  starve,
} from "./process.ts";

/** Archives by name; every name stands there once, and each has a whole end. */
function unpack(batch: string): { open: Map<string, Uint8Array>; secret: Map<string, Uint8Array> } {
  const read = (name: string) => {
    const bytes = Deno.readFileSync(`${batch}/${name}`);
    assertEquals(bytes.subarray(-1024).every((byte) => byte === 0), true, name);
    const entries = [...readArchive(bytes)];
    const files = new Map(entries.map((entry) => [entry.name, entry.bytes]));
    assertEquals(files.size, entries.length, `${name} has a file twice`);
    return files;
  };
  return { open: read("files.tar"), secret: read("secret.tar") };
}

/** Everything that must hold of a finished packed folder. */
async function checkPacked(batch: string, ids: readonly string[]): Promise<void> {
  const rows = rowsOf(batch);
  assertEquals(rows.map(({ id }) => id), ids);
  assertEquals(new Set(rows.map(({ publicKey }) => publicKey)).size, ids.length);
  const allowed = ["files.tar", "journal.sqlite", "manifest.csv", "manifest.ndjson", "secret.tar"];
  assertEquals(names(batch), [".lock", ...allowed]);
  const { open, secret } = unpack(batch);
  assertEquals(
    [...open.keys()],
    ids.flatMap((id) => [`certificates/${id}.pem`, `labels/${id}.svg`]),
  );
  assertEquals(
    [...secret.keys()],
    ids.flatMap((id) => [`images/${id}.bin`, `secret/${id}.key.pem`]),
  );
  for (const { id, imageSha256, serial } of rows) {
    assertEquals(await sha256(secret.get(`images/${id}.bin`)!), imageSha256);
    assertStringIncludes(new TextDecoder().decode(open.get(`labels/${id}.svg`)), serial);
  }
  if (Deno.build.os === "windows") return;
  assertEquals(Deno.statSync(`${batch}/secret.tar`).mode! & 0o777, 0o600);
}

processes.test("a packed batch that is killed again and again ends as if nothing had happened", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "1500", "--pack", "--labels", "-o", "batch"];
    let [seed, kills] = [4711, 0];
    for (let round = 0; round < 10; round++) {
      const child = start(command(line, folder));
      seed = seed * 1103515245 + 12345 & 0x7FFFFFFF;
      const timer = setTimeout(() => child.kill("SIGKILL"), 200 + seed % 500);
      const { code } = await child.outcome;
      clearTimeout(timer);
      if (code === 0) break;
      kills++;
    }
    assertEquals((await cli(line, folder)).code, 0);
    assertEquals(kills >= 2, true, `${kills} kills`);
    await checkPacked(`${folder}/batch`, count(1500));
    const verified = await cli(["bulk", "verify", "batch", "--ca", "ca/ca.pem"], folder);
    assertEquals([verified.code, verified.stderr], [0, ""]);
    // A run with nothing left to do changes no byte.
    const before = await sha256(Deno.readFileSync(`${folder}/batch/secret.tar`));
    assertEquals((await cli(line, folder)).code, 0);
    assertEquals(await sha256(Deno.readFileSync(`${folder}/batch/secret.tar`)), before);
  });
});

outOfDisk.test("out of disk, a packed batch goes on later", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "300", "--pack", "--labels", "-o", "batch"];
    await starve(line, folder, [60, 200, 600]);
    await checkPacked(`${folder}/batch`, count(300));
  });
});

processes.test("an archive that lost its end, or --pack forgotten, is refused with a line", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "3", "-o", "batch"];
    assertEquals((await cli([...line, "--pack"], folder)).code, 0);
    const forgotten = await cli(line, folder);
    assertEquals(forgotten.code, 1);
    assertStringIncludes(
      forgotten.stderr,
      "error: --pack is not that of the first run in batch: it was given",
    );
    Deno.truncateSync(`${folder}/batch/secret.tar`, 700);
    const short = await cli([...line, "--pack"], folder);
    assertEquals(short.code, 1);
    assertStringIncludes(short.stderr, "bytes shorter than the journal says");
  });
});

needing(PROCESSES, installed("tar")).test("tar unpacks a packed batch", async () => {
  await inFolder(async (folder) => {
    assertEquals((await cli(["bulk", "--count", "2", "--pack", "-o", "batch"], folder)).code, 0);
    const out = await run("tar", ["-xf", "batch/secret.tar", "images/dev-000002.bin"], folder);
    assertEquals([out.code, out.stderr], [0, ""]);
    const image = Deno.readFileSync(`${folder}/images/dev-000002.bin`);
    assertEquals((await verify(image, { ca: issuer.certificate })).ok, true);
  });
});

opensslTest(
  "a packed batch stops for the CA of OpenSSL, and takes its certificates of version 1",
  async () => {
    await inFolder(async (folder) => {
      const line = ["bulk", "--count", "4", "--pack", "-o", "batch"];
      assertEquals((await cli([...line, "--csr"], folder)).code, 0);
      const open = await cli(["bulk", "verify", "batch"], folder);
      assertStringIncludes(open.stdout, "UNFINISHED_BATCH");
      assertEquals(open.stdout.includes("STRAY_FILE"), false);
      const keys = unpack(`${folder}/batch`).secret;
      await Deno.mkdir(`${folder}/issued`);
      for (const [name, bytes] of unpack(`${folder}/batch`).open) {
        const id = name.slice(4, -4);
        await Deno.writeFile(`${folder}/${id}.csr`, bytes);
        const ca = ["-CA", "ca/ca.pem", "-CAkey", "ca/ca.key.pem", "-CAcreateserial"];
        const made = ["-days", "9", "-out", `issued/${id}.pem`];
        const { code, stderr } = await run(
          "openssl",
          ["x509", "-req", "-in", `${id}.csr`, ...ca, ...made],
          folder,
        );
        assertEquals(code, 0, stderr);
        const pem = Deno.readTextFileSync(`${folder}/issued/${id}.pem`);
        const { serial } = readCertificate(new TextEncoder().encode(pem));
        const told = await run("openssl", ["x509", "-in", `issued/${id}.pem`, "-serial"], folder);
        assertStringIncludes(told.stdout, `serial=${serial.toUpperCase()}`);
      }
      const { code, stderr } = await cli([...line, "--certificates", "issued"], folder);
      assertEquals(code, 0, stderr);
      const { secret } = unpack(`${folder}/batch`);
      for (const [name, bytes] of keys) assertEquals(secret.get(name), bytes, name);
      assertEquals(secret.size, 8);
      const verified = await cli(["bulk", "verify", "batch", "--ca", "ca/ca.pem"], folder);
      assertEquals(verified.code, 0, verified.stdout);
    });
  },
);

processes.test("signing keys of the profile sign every image, and labels come with them", async () => {
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/keys`);
    const signers = [await generateKey({ curve: "P-256" }), await generateKey({ curve: "P-256" })];
    for (const [at, key] of signers.entries()) {
      await Deno.writeFile(`${folder}/keys/${at}.pem`, await exportPrivateKey(key));
    }
    const profile = { chip: "esp32c6", signingKeys: ["0.pem", "1.pem"] };
    await Deno.writeTextFile(`${folder}/keys/profile.json`, JSON.stringify(profile));
    const line = ["bulk", "--count", "3", "--profile", "keys/profile.json", "-o", "batch"];
    const { code, stderr } = await cli([...line, "--labels"], folder);
    assertEquals(code, 0, stderr);
    assertEquals(names(`${folder}/batch/labels`), count(3).map((id) => `${id}.svg`));
    for (const id of count(3)) {
      const image = Deno.readFileSync(`${folder}/batch/images/${id}.bin`);
      const found = await verifySignatures(image);
      assertEquals(found.map(({ ok }) => ok), [true, true], id);
      assertEquals((await verify(image, { ca: issuer.certificate })).ok, true, id);
    }
    assertEquals((await cli(["bulk", "verify", "batch", "--ca", "ca/ca.pem"], folder)).code, 0);
    const database = new TextDecoder("latin1").decode(
      Deno.readFileSync(`${folder}/batch/journal.sqlite`),
    );
    assertEquals(database.includes("PRIVATE KEY"), false);

    const wrong = await cli([...line.slice(0, -1), "other", "--format", "nvs"], folder);
    assertEquals(wrong.code, 2);
    assertStringIncludes(wrong.stderr, "signingKeys: a nvs image takes no signature");
    await Deno.writeFile(
      `${folder}/keys/0.pem`,
      await exportPrivateKey(await generateKey({ type: "rsa" })),
    );
    const unfit = await cli([...line.slice(0, -1), "third"], folder);
    assertEquals(unfit.code, 1);
    assertStringIncludes(unfit.stderr, "keys/0.pem");
    await Deno.remove(`${folder}/keys/0.pem`);
    const missing = await cli([...line.slice(0, -1), "third"], folder);
    assertEquals([missing.code, missing.stderr.split("\n")[0]], [
      1,
      "error: Cannot read keys/0.pem: no such file",
    ]);
    assertEquals(names(folder), ["batch", "ca", "keys"]);
  });
});

opensslTest(
  "a wrong certificate costs no key: the right one is taken with --retry-failed",
  async () => {
    await inFolder(async (folder) => {
      const foreign = await createDevelopmentCa();
      await Deno.writeTextFile(`${folder}/f.pem`, formatPem("CERTIFICATE", foreign.certificate));
      await Deno.writeFile(`${folder}/f.key.pem`, await exportPrivateKey(foreign.key));
      const line = ["bulk", "--count", "2", "-o", "batch"];
      assertEquals((await cli([...line, "--csr"], folder)).code, 0);
      await Deno.mkdir(`${folder}/issued`);
      const issue = async (id: string, ca: string, key: string, serial: string) => {
        const out = ["-days", "9", "-set_serial", serial, "-out", `issued/${id}.pem`];
        const request = ["x509", "-req", "-in", `batch/csr/${id}.csr`, "-CA", ca, "-CAkey", key];
        assertEquals((await run("openssl", [...request, ...out], folder)).code, 0);
      };
      const take = () =>
        cli([...line, "--certificates", "issued", "--retry-failed", "--ca", "ca"], folder);
      await issue("dev-000001", "ca/ca.pem", "ca/ca.key.pem", "77");
      await issue("dev-000002", "f.pem", "f.key.pem", "78");
      const key = Deno.readTextFileSync(`${folder}/batch/secret/dev-000002.key.pem`);
      const refused = await take();
      assertEquals(refused.code, 1);
      assertStringIncludes(refused.stderr, "dev-000002");
      assertEquals(Deno.readTextFileSync(`${folder}/batch/secret/dev-000002.key.pem`), key);
      await issue("dev-000002", "ca/ca.pem", "ca/ca.key.pem", "77");
      const twin = await take();
      assertStringIncludes(twin.stderr, "its serial number is that of dev-000001 already");
      await issue("dev-000002", "ca/ca.pem", "ca/ca.key.pem", "79");
      const { code, stderr } = await take();
      assertEquals(code, 0, stderr);
      assertEquals((await cli(["bulk", "verify", "batch", "--ca", "ca/ca.pem"], folder)).code, 0);
    });
  },
);

processes.test("the CA's key is no device's; lists that would be misread are refused before a folder is made", async () => {
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/keys`);
    await Deno.copyFile(`${folder}/ca/ca.key.pem`, `${folder}/keys/a.pem`);
    const { code, stderr } = await cli(
      ["bulk", "--count", "1", "--keys", "keys", "-o", "batch"],
      folder,
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, "its key is that of the CA");
    await Deno.writeTextFile(`${folder}/case.csv`, "id,keymode\nx,hmac-derived\n");
    await Deno.writeTextFile(`${folder}/none.csv`, "id\n");
    await Deno.writeTextFile(`${folder}/file.csv`, "id,privateKey\nx,ca/ca.pem\ny,nowhere.pem\n");
    for (
      const [list, message] of [
        ["case.csv", 'the column "keymode" must be "keyMode"'],
        ["none.csv", "the list has no devices"],
        ["file.csv", "y: Cannot read nowhere.pem: no such file"],
      ] as const
    ) {
      const refused = await cli(["bulk", "--devices", list, "-o", "lists"], folder);
      assertEquals(refused.code, 1);
      assertStringIncludes(refused.stderr, message);
    }
    await Deno.writeFile(`${folder}/ec.pem`, await exportPrivateKey(await generateKey()));
    const p384 = await generateKey({ curve: "P-384" });
    await Deno.writeFile(`${folder}/p384.pem`, await exportPrivateKey(p384));
    const user1 = [{ type: "user1", string: "x" }];
    for (
      const [profile, message] of [
        [{ format: "cust_flash", data: user1 }, "a cust_flash image carries none"],
        [
          { format: "nvs", keyMode: "hmac-derived", chip: "esp32c3" },
          "carries no hmac-derived key",
        ],
        [{ data: [...user1, ...user1] }, "two entries of type and subtype 51.0"],
        [{ data: [{ type: 2, hex: "00" }] }, "2.0 are those of the device's own"],
        [{ data: [{ type: 50, hex: "00" }] }, "never stored"],
        [{ signingKeys: ["ec.pem", "p384.pem"] }, "do not go together"],
      ] as const
    ) {
      await Deno.writeTextFile(`${folder}/profile.json`, JSON.stringify(profile));
      const line = ["bulk", "--count", "2", "--profile", "profile.json", "-o", "other"];
      const refused = await cli(line, folder);
      assertEquals([refused.code > 0, names(folder).includes("other")], [true, false]);
      assertStringIncludes(refused.stderr, message);
    }
    for (const flags of [["--shard", "0/3"], ["--workers", "9999"], ["--count", "0"]]) {
      const refused = await cli(["bulk", "--count", "2", ...flags, "-o", "other"], folder);
      assertEquals([refused.code, names(folder).includes("other")], [2, false], refused.stderr);
    }
  });
});
