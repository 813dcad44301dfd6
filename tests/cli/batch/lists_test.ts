/** `bulk` on the lists of a factory: MAC addresses, spreadsheets, faults by the hundred. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseManifestCsv, parseManifestNdjson } from "../../../lib/batch/mod.ts";
import { exportPrivateKey, generateKey, readCertificate } from "../../../mod.ts";
import { readCsv } from "../../../lib/bytes/csv.ts";
import { bulkIn, cli, codesOf, inFolder } from "./batch.ts";

const MACS = ["24:0A:C4:00:01:10", "24:0A:C4:00:01:11", "24:0A:C4:00:01:12"];
const NAMES = MACS.map((mac) => mac.replaceAll(":", "-"));
const listOf = async (folder: string, text: string) => {
  await Deno.writeTextFile(`${folder}/list.csv`, text);
  return `${folder}/list.csv`;
};
const filesIn = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name).sort();

Deno.test("a batch of MAC addresses is made, verified, merged and exported", async () => {
  await inFolder(async (folder) => {
    const list = await listOf(folder, `id,line\n${MACS.map((mac) => `${mac},7\n`).join("")}`);
    const flags = ["--devices", list, "--labels"];
    const [one, two] = [
      await bulkIn(folder, "s1", ...flags, "--shard", "1/2"),
      await bulkIn(folder, "s2", ...flags, "--shard", "2/2"),
    ];
    assertEquals(filesIn(`${one}/images`), [`${NAMES[0]}.bin`, `${NAMES[2]}.bin`]);
    assertEquals(await codesOf(one, "--devices", list), []);
    const merged = await cli("bulk", "merge", one, two, "--devices", list, "-o", `${folder}/w`);
    assertEquals(merged.code, 0, merged.stdout + merged.stderr);
    assertEquals(filesIn(`${folder}/w/secret`), NAMES.map((name) => `${name}.key.pem`));
    assertEquals(await codesOf(`${folder}/w`, "--devices", list), []);
    const rows = parseManifestNdjson(Deno.readTextFileSync(`${folder}/w/manifest.ndjson`));
    assertEquals(rows.map(({ id, line }) => [id, line]), MACS.map((mac) => [mac, "7"]));
    assertEquals(parseManifestCsv(Deno.readTextFileSync(`${folder}/w/manifest.csv`)), rows);
    for (const [at, name] of NAMES.entries()) {
      const pem = Deno.readFileSync(`${folder}/w/certificates/${name}.pem`);
      assertEquals(readCertificate(pem).subject, `CN=${MACS[at]}`);
    }
    for (const to of ["aws", "azure", "csv", "rainmaker"]) {
      const flags = ["aws", "azure"].includes(to) ? ["--ca", `${folder}/ca/ca.pem`] : [];
      const out = ["--to", to, ...flags, "-o", `${folder}/${to}`];
      const exported = await cli("bulk", "export", `${folder}/w`, ...out);
      assertEquals(exported.code, 0, exported.stderr);
    }
    const csv = Deno.readTextFileSync(`${folder}/csv/devices.csv`);
    assertEquals(readCsv(csv).records.slice(1).map(([id]) => id!.text), MACS);
    // A file that has the MAC with colons in its name does not belong to a device.
    if (Deno.build.os === "windows") return;
    await Deno.writeTextFile(`${one}/images/${MACS[1]}.bin`, "");
    assertEquals(await codesOf(one), ["STRAY_FILE"]);
  });
});

Deno.test("two rows with one file name make no device", async () => {
  await inFolder(async (folder) => {
    const list = await listOf(folder, `id\n${MACS[0]}\nx\n${NAMES[0]!.toLowerCase()}\n`);
    const out = ["--ca", `${folder}/ca`, "-o", `${folder}/b`];
    const { code, stderr } = await cli("bulk", "--devices", list, ...out);
    assertEquals(code, 1);
    const name = NAMES[0]!.toLowerCase();
    assertStringIncludes(stderr, `${name}: the id is there twice, in rows 1 and 3`);
    assertStringIncludes(stderr, `the files of ${MACS[0]} would have the same names`);
    assertEquals(filesIn(folder), ["ca.pem", "list.csv"]);
  });
});

Deno.test("a certificate with the name of another device is refused, however it is written", async () => {
  await inFolder(async (folder) => {
    const { issueCertificate, createDevelopmentCa } = await import(
      "../../../mod.ts"
    );
    const issuer = await createDevelopmentCa();
    await Deno.mkdir(`${folder}/hsm`);
    await Deno.writeTextFile(`${folder}/hsm/ca.pem`, issuer.certificate.pem);
    const list = await listOf(folder, `id\n${MACS[0]}\n${MACS[1]}\n`);
    const batch = await bulkIn(folder, "b", "--devices", list, "--csr");
    assertEquals(filesIn(`${batch}/csr`), NAMES.slice(0, 2).map((name) => `${name}.csr`));
    await Deno.mkdir(`${folder}/issued`);
    const issue = async (at: number, subject?: string) => {
      const request = Deno.readFileSync(`${batch}/csr/${NAMES[at]}.csr`);
      const { pem } = await issueCertificate({ issuer, request, subject });
      await Deno.writeTextFile(`${folder}/issued/${at}.pem`, pem);
    };
    await issue(0);
    await issue(1, `CN=${MACS[0]!.toLowerCase()}`);
    const line = ["bulk", "--devices", list, "--certificates", `${folder}/issued`];
    const flags = ["--ca", `${folder}/hsm`, "--workers", "1", "-o", batch];
    const first = await cli(...line, ...flags);
    assertEquals(first.code, 1);
    const problem = `it has the key of ${MACS[1]} and the name of ${MACS[0]}`;
    assertStringIncludes(first.stderr, problem);
    await issue(1);
    const second = await cli(...line, ...flags);
    assertEquals(second.code, 0, second.stderr);
    assertEquals(await codesOf(batch), []);
  });
});

Deno.test("of 500 equal faults ten are printed, and a count", async () => {
  await inFolder(async (folder) => {
    const faults = Array.from({ length: 500 }, (_, n) => `d${n},esp99\n`).join("");
    const list = await listOf(folder, `id,chip\n${faults}a/b,\nc/d,\n`);
    const out = ["--ca", `${folder}/ca`, "-o", `${folder}/b`];
    const { code, stderr } = await cli("bulk", "--devices", list, ...out);
    assertEquals(code, 1);
    assertEquals(stderr.match(/^d\d+: chip "esp99" is not known/gm)?.length, 10);
    assertStringIncludes(stderr, "\nand 490 more of these\n");
    assertStringIncludes(stderr, 'line 502: id "a/b"');
    assertStringIncludes(stderr, 'line 503: id "c/d"');
    assertStringIncludes(stderr, "502 problems in the list, no key was made");
  });
});

Deno.test("columns that are kept are listed once", async () => {
  await inFolder(async (folder) => {
    const rows = Array.from({ length: 20 }, (_, n) => `d${n};x;y;\n`).join("");
    const list = await listOf(folder, `id;lot;Line no;\n${rows}`);
    await cli("ca", "--subject", "CN=x", "-o", `${folder}/ca`);
    const out = ["--ca", `${folder}/ca`, "--workers", "1", "-o", `${folder}/b`];
    const { code, stderr } = await cli("bulk", "--devices", list, ...out);
    assertEquals(code, 0, stderr);
    assertEquals(stderr.match(/kept for the manifest: the columns lot, Line no/g)?.length, 1);
    const [first] = parseManifestNdjson(Deno.readTextFileSync(`${folder}/b/manifest.ndjson`));
    assertEquals([first!.lot, first!["Line no"]], ["x", "y"]);
  });
});

Deno.test("--count has a limit, which is named", async () => {
  await inFolder(async (folder) => {
    for (const count of ["0", "10000001", "999999999999"]) {
      for (const line of [["bulk", "-o", `${folder}/b`], ["bulk", "verify", folder]]) {
        const { code, stderr } = await cli(...line, "--count", count);
        assertEquals(code, 2);
        assertStringIncludes(stderr, "--count is a number from 1 to 10000000");
      }
    }
    assertEquals(filesIn(folder), ["ca.pem"]);
  });
});

Deno.test("cells that would run as formulas are not in the CSVs of a batch", async () => {
  await inFolder(async (folder) => {
    const list = await listOf(folder, 'id,=note\n-1,"=HYPERLINK(""http://x"")"\n+2,@x\n3,\n');
    const batch = await bulkIn(folder, "b", "--devices", list, "--subject", "CN=d{id}");
    const csv = Deno.readTextFileSync(`${batch}/manifest.csv`);
    const rows = parseManifestNdjson(Deno.readTextFileSync(`${batch}/manifest.ndjson`));
    assertEquals(rows.map(({ id }) => id), ["-1", "+2", "3"]);
    assertEquals(rows[0]!["=note"], '=HYPERLINK("http://x")');
    assertEquals(parseManifestCsv(csv), rows);
    assertEquals(await codesOf(batch, "--devices", list), []);
    const exported = await cli("bulk", "export", batch, "--to", "csv", "-o", `${folder}/out`);
    assertEquals(exported.code, 0, exported.stderr);
    for (const text of [csv, Deno.readTextFileSync(`${folder}/out/devices.csv`)]) {
      const cells = readCsv(text, { comments: false }).records.flat().map(({ text }) => text);
      assertEquals(cells.filter((cell) => /^[=+\-@\t\r](?!----BEGIN)/.test(cell)), []);
      assertEquals(cells.includes("'=note") && cells.includes("'-1"), true);
    }
  });
});

Deno.test("keys that were made elsewhere go to devices with MAC addresses", async () => {
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/keys`);
    for (const name of NAMES) {
      await Deno.writeFile(
        `${folder}/keys/${name}.pem`,
        await exportPrivateKey(await generateKey()),
      );
    }
    const list = await listOf(folder, `id\n${MACS.join("\n")}\n`);
    const batch = await bulkIn(folder, "b", "--devices", list, "--keys", `${folder}/keys`);
    for (const name of NAMES) {
      assertEquals(
        Deno.readTextFileSync(`${batch}/secret/${name}.key.pem`),
        Deno.readTextFileSync(`${folder}/keys/${name}.pem`),
      );
    }
    assertEquals(await codesOf(batch), []);
  });
});

Deno.test("a run that comes to nothing leaves no CA that it made, and one in time is shared", async () => {
  await inFolder(async (folder) => {
    const out = (
      name: string,
    ) => ["--workers", "1", "--ca", `${folder}/ca`, "-o", `${folder}/${name}`];
    const wrong: readonly (readonly string[])[] = [
      ["--devices", await listOf(folder, "id\na/b\n")],
      ["--count", "1", "--subject", "CN={nowhere}"],
      ["--count", "1", "--id-template", "x", "--subject", `CN=${"x".repeat(9000)}`],
      ["--count", "2", "--id-template", "x"],
      ["--count", "1", "--key-mode", "rsa-ds"],
    ];
    for (const flags of wrong) {
      const { code } = await cli("bulk", ...flags, ...out("b"));
      assertEquals([code > 0, filesIn(folder)], [true, ["ca.pem", "list.csv"]], flags.join(" "));
    }
    const runs = await Promise.all(
      ["a", "b", "c"].map((name) => cli("bulk", "--count", "2", ...out(name))),
    );
    assertEquals(runs.map(({ code, stderr }) => [code, code === 0 ? "" : stderr]), [
      [0, ""],
      [0, ""],
      [0, ""],
    ]);
    for (const name of ["a", "b", "c"]) {
      assertEquals(await codesOf(`${folder}/${name}`, "--ca", `${folder}/ca/ca.pem`), []);
    }
  });
});
