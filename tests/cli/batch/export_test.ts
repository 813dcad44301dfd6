/** `bulk export`, on real folders. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { ManifestRow } from "../../../lib/batch/manifest.ts";
import { createDevelopmentCa } from "../../../mod.ts";
import {
  bulkIn,
  cli,
  inFolder,
  issuer,
  makeBatch,
  read,
  setPending,
  swap,
  writeManifest,
} from "./batch.ts";

Deno.test("bulk export writes what each service takes", async () => {
  await inFolder(async (folder) => {
    const ids = Array.from({ length: 12 }, (_, at) => `dev-${at}`);
    const rows = await makeBatch(`${folder}/b`, { ids, issuer, extra: { city: "Pune" } });
    const failed: ManifestRow = { ...rows[11]!, status: "failed", serial: "" };
    await writeManifest(`${folder}/b`, [...rows.slice(0, 11), failed], ["city"]);
    const ca = ["--ca", `${folder}/ca.pem`];
    const made = async (to: string, ...flags: readonly string[]) => {
      const line = ["bulk", "export", `${folder}/b`, "--to", to, "-o", `${folder}/${to}`, "--json"];
      const { code, stdout, stderr } = await cli(...line, ...flags);
      assertEquals(code, 0, stderr);
      const { devices, skipped, files } = JSON.parse(stdout);
      assertEquals([devices, skipped], [11, ["dev-11"]]);
      assertStringIncludes(stderr, "dev-11");
      return files.map((path: string) => path.slice(`${folder}/${to}/`.length));
    };
    assertEquals(await made("aws", ...ca, "--policy", "devices"), [
      "template.json",
      "parameters.ndjson",
    ]);
    const parameters = await read(`${folder}/aws/parameters.ndjson`);
    assertEquals(parameters.map(({ ThingName }) => ThingName), ids.slice(0, 11));
    assertEquals(await made("azure", ...ca), ["enrollment_group.json", "enrollments.ndjson"]);
    const batches = await read(`${folder}/azure/enrollments.ndjson`);
    assertEquals(batches.map(({ enrollments }) => (enrollments as unknown[]).length), [10, 1]);
    assertEquals(await made("rainmaker"), ["node_certs.csv"]);
    const nodes = await Deno.readTextFile(`${folder}/rainmaker/node_certs.csv`);
    assertEquals(nodes.split("\n")[0], "node_id,certs,city");
    assertEquals(await made("csv"), ["devices.csv"]);
    assertEquals([...Deno.readDirSync(`${folder}/csv`)].map(({ name }) => name), ["devices.csv"]);
  });
});

Deno.test("bulk export refuses before it writes", async () => {
  await inFolder(async (folder) => {
    await makeBatch(`${folder}/b`, { ids: ["good", "dev.1", "dev 2"], issuer });
    const line = (to: string, ...flags: string[]) =>
      cli("bulk", "export", `${folder}/b`, "--to", to, "-o", `${folder}/out`, ...flags);
    const ca = ["--ca", `${folder}/ca.pem`];
    const aws = await line("aws", ...ca);
    assertEquals(aws.code, 1);
    assertStringIncludes(aws.stderr, "2 devices not fit for aws");
    assertStringIncludes(aws.stderr, "dev.1, dev 2: a thing's name");
    assertStringIncludes((await line("azure", ...ca)).stderr, "dev 2: a registration ID");
    assert(![...Deno.readDirSync(folder)].some(({ name }) => name === "out"));
    for (
      const [flags, text] of [
        [["azure"], "bulk export needs --ca"],
        [["csv", ...ca], "--ca does not go with --to csv"],
        [["azure", ...ca, "--policy", "p"], "--policy does not go with --to azure"],
        [["azure", ...ca, "--group", "a b"], '--group: "a b" is not a name of a group'],
      ] as const
    ) {
      const [to, ...rest] = flags;
      const { code, stderr } = await line(to, ...rest);
      assertEquals(code, 2, text);
      assertStringIncludes(stderr, text);
    }
    assertEquals((await line("csv")).code, 0);
    assertStringIncludes((await line("csv")).stderr, "give --force");
    assertEquals((await line("csv", "--force")).code, 0);
    await Deno.remove(`${folder}/b/certificates/good.pem`);
    const { code, stderr } = await line("csv", "--force");
    assertEquals(code, 1);
    assertStringIncludes(stderr, "certificates/good.pem: no such file");
  });
});

Deno.test("bulk export of an unfinished batch is refused, or reported as partial", async () => {
  await inFolder(async (folder) => {
    const batch = await bulkIn(folder, "b", "--count", "3");
    setPending(batch, 2);
    const text = await Deno.readTextFile(`${batch}/manifest.ndjson`);
    await Deno.writeTextFile(`${batch}/manifest.ndjson`, text.split("\n").slice(0, 2).join("\n"));
    const line = ["bulk", "export", batch, "--to", "csv", "-o", `${folder}/out`];
    for (const flags of [[], ["--force"]]) {
      const { code, stderr } = await cli(...line, ...flags);
      assertEquals(code, 1);
      assertStringIncludes(stderr, `Cannot export: ${batch} is not done: 1 pending`);
      assertStringIncludes(stderr, "give --partial");
    }
    assert(![...Deno.readDirSync(folder)].some(({ name }) => name === "out"));
    const { code, stderr } = await cli(...line, "--partial");
    assertEquals(code, 0);
    assertStringIncludes(stderr, "warning: left out, because not done: 1 pending");
    assertStringIncludes(stderr, "2 devices for csv");
  });
});

Deno.test("bulk export writes nothing for nothing", async () => {
  await inFolder(async (folder) => {
    const rows = await makeBatch(`${folder}/b`, { ids: ["a"], issuer });
    await makeBatch(`${folder}/none/b`, { ids: [], issuer });
    const flags = ["--ca", `${folder}/ca.pem`, "-o", `${folder}/out`];
    const line = ["bulk", "export", `${folder}/b`, ...flags];
    await writeManifest(`${folder}/b`, [{ ...rows[0]!, status: "failed" }]);
    for (const batch of [`${folder}/b`, `${folder}/none/b`]) {
      for (const to of ["aws", "azure"]) {
        const { code, stderr } = await cli("bulk", "export", batch, ...flags, "--to", to);
        assertEquals(code, 1);
        assertStringIncludes(stderr, "b has no device that is verified");
        assert(![...Deno.readDirSync(folder)].some(({ name }) => name === "out"));
      }
    }
    await writeManifest(`${folder}/b`, rows);
    const { stderr } = await cli(...line, "--to", "aws");
    assertStringIncludes(stderr, "1 device for aws");
  });
});

Deno.test("bulk export checks each certificate before the first file", async () => {
  await inFolder(async (folder) => {
    await makeBatch(`${folder}/b`, { ids: ["a", "b"], issuer });
    const { certificate } = await createDevelopmentCa();
    await Deno.writeFile(`${folder}/stranger.der`, certificate.der);
    const out = ["-o", `${folder}/out`];
    const foreign = ["--to", "azure", "--ca", `${folder}/stranger.der`];
    const refused = await cli("bulk", "export", `${folder}/b`, ...foreign, ...out);
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, "2 devices not fit for azure\n  a, b: ");
    assertStringIncludes(refused.stderr, "did not sign the certificate");
    await swap(`${folder}/b/certificates/a.pem`, `${folder}/b/certificates/b.pem`);
    for (const to of ["csv", "rainmaker"]) {
      const swapped = await cli("bulk", "export", `${folder}/b`, "--to", to, ...out);
      assertEquals(swapped.code, 1);
      assertStringIncludes(
        swapped.stderr,
        "a, b: the certificate is not the one that the manifest",
      );
    }
    assert(![...Deno.readDirSync(folder)].some(({ name }) => name === "out"));
  });
});

Deno.test("bulk export reports a bad policy, a rule once, and columns that it renames", async () => {
  await inFolder(async (folder) => {
    const ids = Array.from({ length: 60 }, (_, at) => `dev ${at}`);
    await makeBatch(`${folder}/b`, { ids, issuer });
    const ca = ["--ca", `${folder}/ca.pem`, "-o", `${folder}/out`];
    const line = ["bulk", "export", `${folder}/b`, "--to"];
    const policy = await cli(...line, "aws", ...ca, "--policy", "a b");
    assertEquals(policy.code, 2);
    assertStringIncludes(policy.stderr, '--policy: "a b" is not a name of a policy');
    const azure = await cli(...line, "azure", ...ca);
    assertEquals(azure.stderr.match(/a registration ID has/g)?.length, 1);
    assertStringIncludes(azure.stderr, "dev 49 and 10 more: a registration ID");
    const rainmaker = await cli(...line, "rainmaker", "-o", `${folder}/out`);
    assertStringIncludes(rainmaker.stderr, "dev 49 and 10 more: a thing's name");
    await makeBatch(`${folder}/c`, { ids: ["a"], issuer, extra: { certs: "x", constructor: "y" } });
    const renamed = await cli("bulk", "export", `${folder}/c`, "--to", "rainmaker", ...ca.slice(2));
    assertStringIncludes(renamed.stderr, "note: the column certs of the list is list_certs here");
    const text = await Deno.readTextFile(`${folder}/out/node_certs.csv`);
    assertEquals(text.split("\n")[0], "node_id,certs,list_certs,constructor");
  });
});
