/** `bulk --keys`: a key file that is named after a device is that device's, and no other's. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { namesakesOf } from "../../../lib/batch/files.ts";
import { parseManifestNdjson } from "../../../lib/batch/manifest.ts";
import { formatBase64 } from "../../../lib/bytes/text.ts";
import { type EcCurve, exportPrivateKey, generateKey } from "../../../mod.ts";
import { bulkIn, cli, codesOf, inFolder } from "./batch.ts";

const MACS = ["24:0A:C4:00:01:10", "24:0A:C4:00:01:11", "24:0A:C4:00:01:12", "24:0A:C4:00:01:13"];
const named = (mac: string | undefined) => mac!.replaceAll(":", "-");

/** A folder with a list and keys; gives their public keys by file name. */
async function prepare(
  folder: string,
  ids: readonly string[],
  files: Readonly<Record<string, EcCurve>> | readonly string[],
): Promise<Record<string, string>> {
  await Deno.writeTextFile(`${folder}/list.csv`, `id\n${ids.join("\n")}\n`);
  await Deno.mkdir(`${folder}/keys`, { recursive: true });
  const kinds = Array.isArray(files) ? files.map((name) => [name, "P-256"]) : Object.entries(files);
  const keys: Record<string, string> = {};
  for (const [name, curve] of kinds) {
    const key = await generateKey({ type: "ec", curve });
    await Deno.writeFile(`${folder}/keys/${name}`, exportPrivateKey(key));
    keys[formatBase64(key.publicKey)] = name;
  }
  return keys;
}

/** The name of the file whose key each verified device has. */
function filesOf(batch: string, keys: Readonly<Record<string, string>>): Record<string, string> {
  const rows = parseManifestNdjson(Deno.readTextFileSync(`${batch}/manifest.ndjson`));
  const made = rows.filter(({ status }) => status === "verified");
  return Object.fromEntries(made.map(({ id, publicKey }) => [id, keys[publicKey]!]));
}

const flagsOf = (folder: string) => ["--devices", `${folder}/list.csv`, "--keys", `${folder}/keys`];
const fails = async (folder: string, name: string, ...flags: readonly string[]) => {
  const where = ["--ca", `${folder}/ca`, "--workers", "1", "-o", `${folder}/${name}`];
  const { code, stderr } = await cli("bulk", ...flagsOf(folder), ...where, ...flags);
  assertEquals(code, 1, stderr);
  return stderr;
};

Deno.test("a file is named after devices by its whole name, without an ending, and as a batch's", () => {
  assertEquals(namesakesOf("24-0A-C4.pem"), ["24-0a-c4.pem", "24-0a-c4"]);
  assertEquals(namesakesOf("24:0A:C4"), ["24-0a-c4"]);
  assertEquals(namesakesOf("É.key.PEM"), ["é.key.pem", "é.key", "é"]);
  assertEquals(namesakesOf("a.1.der"), ["a.1.der", "a.1"]);
  assertEquals(namesakesOf(".pem"), [".pem"]);
});

Deno.test("named keys go to their devices, in any order, and others to those without one", async () => {
  await inFolder(async (folder) => {
    const [one, two, three, four] = MACS;
    const keys = await prepare(folder, MACS, [
      `${named(one).toLowerCase()}.key.pem`,
      `${named(four)}.pem`,
      "0.pem",
      "zz.pem",
    ]);
    await Deno.writeTextFile(`${folder}/keys/${named(four)}.crt`, "a certificate");
    const batch = await bulkIn(folder, "b", ...flagsOf(folder));
    assertEquals(filesOf(batch, keys), {
      [one!]: `${named(one).toLowerCase()}.key.pem`,
      [two!]: "0.pem",
      [three!]: "zz.pem",
      [four!]: `${named(four)}.pem`,
    });
    assertEquals(await codesOf(batch), []);
  });
});

Deno.test("the secrets of a batch are ready keys for the same devices", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/list.csv`, `id\n${MACS.toReversed().join("\n")}\n`);
    const first = await bulkIn(folder, "a", "--devices", `${folder}/list.csv`);
    await Deno.writeTextFile(`${folder}/list.csv`, `id\n${MACS.join("\n")}\n`);
    const flags = ["--devices", `${folder}/list.csv`, "--keys", `${first}/secret`];
    const second = await bulkIn(folder, "b", ...flags);
    for (const mac of MACS) {
      const [was, is] = [first, second].map((batch) =>
        Deno.readTextFileSync(`${batch}/secret/${named(mac)}.key.pem`)
      );
      assertEquals(is, was);
    }
  });
});

Deno.test("a shard takes no file that is named after another shard's device", async () => {
  await inFolder(async (folder) => {
    const [one, two, three, four] = MACS;
    const names = [two, three, four].map((mac) => `${named(mac)}.pem`);
    const keys = await prepare(folder, MACS, ["zz.pem", ...names]);
    const flags = flagsOf(folder);
    const s1 = await bulkIn(folder, "s1", ...flags, "--shard", "1/2");
    const s2 = await bulkIn(folder, "s2", ...flags, "--shard", "2/2");
    assertEquals(filesOf(s1, keys), { [one!]: "zz.pem", [three!]: `${named(three)}.pem` });
    assertEquals(filesOf(s2, keys), {
      [two!]: `${named(two)}.pem`,
      [four!]: `${named(four)}.pem`,
    });
    await Deno.remove(`${folder}/keys/zz.pem`);
    const stderr = await fails(folder, "s3", "--shard", "1/2");
    assertStringIncludes(stderr, `failed ${one}: no P-256 key is left in ${folder}/keys`);
    assertEquals(filesOf(`${folder}/s3`, keys), { [three!]: `${named(three)}.pem` });
  });
});

Deno.test("two keys for one device are an error with both names, and no key is made", async () => {
  await inFolder(async (folder) => {
    await prepare(folder, ["a", "B", "c"], ["a.pem", "a.key", "b.pem", "B.pem", "c.pem"]);
    const stderr = await fails(folder, "b");
    assertStringIncludes(
      stderr,
      `a: ${folder}/keys/a.key and ${folder}/keys/a.pem are both its key`,
    );
    assertStringIncludes(
      stderr,
      `B: ${folder}/keys/B.pem and ${folder}/keys/b.pem are both its key`,
    );
    assertEquals([...Deno.readDirSync(folder)].some(({ name }) => name === "b"), false);
    await Deno.remove(`${folder}/keys/a.key`);
    await Deno.remove(`${folder}/keys/b.pem`);
    assertEquals(await codesOf(await bulkIn(folder, "b", ...flagsOf(folder))), []);
  });
});

Deno.test("a device whose own file is of no use gets no other key, and a retry takes the right one", async () => {
  await inFolder(async (folder) => {
    const keys = await prepare(folder, ["a", "b", "c"], { "a.pem": "P-384", "0.pem": "P-256" });
    await Deno.writeTextFile(`${folder}/keys/b.pem`, "no key");
    const stderr = await fails(folder, "x");
    assertStringIncludes(
      stderr,
      `failed a: ${folder}/keys/a.pem: its key is P-384, the profile wants P-256`,
    );
    assertStringIncludes(stderr, `failed b: its key ${folder}/keys/b.pem: `);
    assertEquals(filesOf(`${folder}/x`, keys), { c: "0.pem" });
    Object.assign(keys, await prepare(folder, ["a", "b", "c"], ["a.pem", "b.pem"]));
    const batch = await bulkIn(folder, "x", ...flagsOf(folder), "--retry-failed");
    assertEquals(filesOf(batch, keys), { a: "a.pem", b: "b.pem", c: "0.pem" });
    assertEquals(await codesOf(batch), []);
  });
});

Deno.test("a device of a longer list finds its own key only where no other device has it", async () => {
  await inFolder(async (folder) => {
    const keys = await prepare(folder, ["a"], ["b.pem", "c.pem"]);
    await bulkIn(folder, "x", ...flagsOf(folder));
    await Deno.writeTextFile(`${folder}/list.csv`, "id\na\nb\nc\n");
    const stderr = await fails(folder, "x");
    assertStringIncludes(stderr, `failed b: its key ${folder}/keys/b.pem is that of a already`);
    assertEquals(filesOf(`${folder}/x`, keys), { a: "b.pem", c: "c.pem" });
  });
});

Deno.test("a row with a key of its own does not get one of the folder", async () => {
  await inFolder(async (folder) => {
    const keys = await prepare(folder, [], ["own.pem", "0.pem"]);
    await Deno.rename(`${folder}/keys/own.pem`, `${folder}/own.pem`);
    await Deno.writeTextFile(`${folder}/list.csv`, `id,privateKey\na,${folder}/own.pem\nb,\n`);
    const batch = await bulkIn(folder, "x", ...flagsOf(folder));
    assertEquals(filesOf(batch, keys), { a: "own.pem", b: "0.pem" });
  });
});
