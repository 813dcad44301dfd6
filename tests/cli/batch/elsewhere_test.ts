/** `bulk` with keys, signing keys and certificates from elsewhere, as a process. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  createDevelopmentCa,
  exportPrivateKey,
  generateKey,
  issueCertificate,
  readCertificate,
  verify,
  verifySignatures,
} from "../../../mod.ts";
import { needing, POSIX, PROCESSES, processes } from "../../needs.ts";
import { opensslTest } from "../../vectors.ts";
import { CLI, cli, count, inFolder, issuer, names, rowsOf, run } from "./process.ts";

const pipes = needing(PROCESSES, POSIX);

opensslTest(
  "a batch stops for the CA of OpenSSL, and takes its certificates of version 1",
  async () => {
    await inFolder(async (folder) => {
      const line = ["bulk", "--count", "4", "-o", "batch"];
      assertEquals((await cli([...line, "--csr"], folder)).code, 0);
      const open = await cli(["bulk", "verify", "batch"], folder);
      assertStringIncludes(open.stdout, "UNFINISHED_BATCH");
      assertEquals(open.stdout.includes("STRAY_FILE"), false);
      const key = (id: string) => Deno.readFileSync(`${folder}/batch/secret/${id}.key.pem`);
      const keys = count(4).map(key);
      await Deno.mkdir(`${folder}/issued`);
      for (const id of count(4)) {
        const ca = ["-CA", "ca/ca.pem", "-CAkey", "ca/ca.key.pem", "-CAcreateserial"];
        const made = ["-days", "9", "-out", `issued/${id}.pem`];
        const { code, stderr } = await run(
          "openssl",
          ["x509", "-req", "-in", `batch/csr/${id}.csr`, ...ca, ...made],
          folder,
        );
        assertEquals(code, 0, stderr);
        const pem = Deno.readTextFileSync(`${folder}/issued/${id}.pem`);
        const { serial } = readCertificate(new TextEncoder().encode(pem));
        const shown = await run("openssl", ["x509", "-in", `issued/${id}.pem`, "-serial"], folder);
        assertStringIncludes(shown.stdout, `serial=${serial.toUpperCase()}`);
      }
      const { code, stderr } = await cli([...line, "--certificates", "issued"], folder);
      assertEquals(code, 0, stderr);
      assertEquals(count(4).map(key), keys);
      assertEquals(names(`${folder}/batch/images`).length, 4);
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
      await Deno.writeTextFile(`${folder}/f.pem`, foreign.certificate.pem);
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

processes.test("the CA's key is not a device's; lists that would be misread are refused before a folder is made", async () => {
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
        ["case.csv", 'the column "keymode" is not known; did you mean keyMode?'],
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

/** Makes a key and a certificate for each device, and moves the CA to `mine`. */
async function makeCertified(folder: string, ids: readonly string[]): Promise<void> {
  await Deno.rename(`${folder}/ca`, `${folder}/mine`);
  for (const id of ids) {
    const key = await generateKey();
    const { pem } = await issueCertificate({ issuer, publicKey: key, subject: `CN=${id}` });
    await Deno.writeTextFile(`${folder}/${id}.pem`, pem);
    await Deno.writeFile(`${folder}/${id}.key`, exportPrivateKey(key), { mode: 0o600 });
  }
}

processes.test("a list whose rows bring certificates opens no CA, and makes none", async () => {
  await inFolder(async (folder) => {
    await makeCertified(folder, ["a", "b"]);
    await Deno.writeTextFile(
      `${folder}/list.csv`,
      "id,certificate,privateKey\na,a.pem,a.key\nb,b.pem,b.key\n",
    );
    const line = ["bulk", "--devices", "list.csv"];
    const none = await cli([...line, "-o", "none"], folder);
    assertEquals(none.code, 1);
    assertStringIncludes(none.stderr, "no CA in ca");
    assertStringIncludes(none.stderr, "give --ca-cert");
    assertEquals(names(folder).includes("none"), false);
    const stored = await cli([...line, "--ca-cert", "mine/ca.pem", "-o", "stored"], folder);
    assertEquals(stored.code, 0, stored.stderr);
    // The certificate is all that is needed of a CA, to check those of the devices and to store it.
    await Deno.mkdir(`${folder}/public`);
    await Deno.copyFile(`${folder}/mine/ca.pem`, `${folder}/public/ca.pem`);
    const named = await cli([...line, "--ca", "public", "-o", "named"], folder);
    assertEquals(named.code, 0, named.stderr);
    assertEquals(names(folder).includes("ca"), false);
    for (const batch of ["stored", "named"]) {
      const checked = await cli(["bulk", "verify", batch, "--ca", "mine/ca.pem"], folder);
      assertEquals(checked.code, 0, checked.stdout + checked.stderr);
    }
    // A device that wants one is another matter.
    await Deno.writeTextFile(`${folder}/list.csv`, "c,,\n", { append: true });
    const more = await cli([...line, "--ca", "mine", "-o", "named"], folder);
    assertEquals(more.code, 0, more.stderr);
    assertEquals(rowsOf(`${folder}/named`).length, 3);
  });
});

/** How a shell gives a list to `bulk` through a pipe: as stdin, and as a file that comes only once. */
const PIPES = ['cat list | "$@" --devices -', 'cat list | "$@" --devices /dev/stdin'];

for (const script of PIPES) {
  pipes.test(`a list from a pipe is read once, also to know of its certificates: ${script}`, async () => {
    await inFolder(async (folder) => {
      const ids = ["a", "b", "c"];
      await makeCertified(folder, ids);
      // Longer than what a pipe holds.
      const filler = "x".repeat(30_000);
      const rows = ids.map((id) => ({
        id,
        certificate: `${id}.pem`,
        privateKey: `${id}.key`,
        filler,
      }));
      const lists: readonly (readonly [readonly object[], boolean])[] = [
        [rows, true],
        [[...rows, { id: "d" }], false],
        [[{ id: "d" }, ...rows], false],
      ];
      const bulk = async (...flags: readonly string[]) => {
        const words = [Deno.execPath(), "run", "-A", "--no-prompt", CLI, "bulk", ...flags];
        return await run("sh", ["-c", script, "sh", ...words], folder);
      };
      for (const [at, [list, isCertified]] of lists.entries()) {
        const text = list.map((row) => `${JSON.stringify(row)}\n`).join("");
        await Deno.writeTextFile(`${folder}/list`, text);
        if (isCertified) {
          const stored = await bulk("--ca-cert", "mine/ca.pem", "-o", `stored${at}`);
          assertEquals(stored.code, 0, stored.stderr);
          const none = await bulk("-o", `none${at}`);
          assertStringIncludes(none.stderr, "no CA in ca");
          assertEquals(names(folder).filter((name) => /^(ca|none.*)$/.test(name)), []);
        }
        const made = await bulk("--ca", "mine", "-o", `made${at}`);
        assertEquals(made.code, 0, made.stderr);
        const expected = list.map((row) => (row as { id: string }).id);
        assertEquals(rowsOf(`${folder}/made${at}`).map(({ id }) => id), expected);
      }
    });
  });
}
