/** Batches whose devices store the CA of a cloud's servers, not the one that issued their certificates. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  createCa,
  createDevelopmentCa,
  exportPrivateKey,
  generateKey,
  issueCertificate,
  openSecureCert,
} from "../../../mod.ts";
import { readRequest } from "../../../lib/crypto/x509/request.ts";
import { bulk, countDevices, memoryBatch } from "../../../lib/batch/mod.ts";
import { cli, inFolder } from "./batch.ts";

const root = await createCa({
  subject: "CN=Amazon Root CA 1,O=Amazon,C=US",
  key: await generateKey(),
});
const other = await createCa({ subject: "CN=Other Root", key: await generateKey() });
const cloud = await createDevelopmentCa();
const ONE = ["--workers", "1"];

/** A folder with the roots, and a way to run `bulk` there. */
async function inCloud(
  act: (
    folder: string,
    run: (...line: readonly string[]) => ReturnType<typeof cli>,
  ) => Promise<void>,
): Promise<void> {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/root.pem`, root.pem);
    await Deno.writeTextFile(`${folder}/other.pem`, other.pem);
    const words = (line: readonly string[]) => line.map((word) => word.replace("@", `${folder}/`));
    await act(folder, (...line) => cli("bulk", ...words(line), ...ONE));
  });
}

/** What a cloud does with the requests of a batch: its CA's own certificate stays with it. */
async function certify(folder: string): Promise<void> {
  await Deno.mkdir(`${folder}/issued`);
  for (const { name } of Deno.readDirSync(`${folder}/out/csr`)) {
    const { publicKey, subject } = await readRequest(
      Deno.readFileSync(`${folder}/out/csr/${name}`),
    );
    const issued = await issueCertificate({ issuer: cloud, publicKey, subject });
    await Deno.writeTextFile(`${folder}/issued/${name}.pem`, issued.pem);
  }
}

async function storedCa(folder: string, id: string): Promise<string> {
  const image = await Deno.readFile(`${folder}/out/images/${id}.bin`);
  return new TextDecoder().decode(await openSecureCert(image).caCert()).replace(/\0$/, "");
}

const times = (text: string, word: string) => text.split(word).length - 1;

Deno.test("bulk --ca-cert: devices store it, the CA issues, and one warning says what that means", async () => {
  await inCloud(async (folder, run) => {
    const line = ["--count", "3", "--ca", "@pki", "--ca-cert", "@root.pem", "-o", "@out"];
    const made = await run(...line);
    assertEquals(made.code, 0, made.stderr);
    assertEquals(times(made.stderr, "CA_NOT_ISSUER"), 1, made.stderr);
    assertMatch(made.stderr, /stores\s+the\s+CA "CN=Amazon Root CA 1/);
    for (const n of [1, 2, 3]) assertEquals(await storedCa(folder, `dev-00000${n}`), root.pem);
    const ca = `${folder}/pki/ca.pem`;
    assertEquals((await cli("bulk", "verify", `${folder}/out`, "--ca", ca)).code, 0);
    assertEquals((await cli("bulk", "verify", `${folder}/out`)).code, 0);
    assertEquals((await cli("bulk", "status", `${folder}/out`)).code, 0);
    const checked = await cli("verify", `${folder}/out/images/dev-000001.bin`, "--ca", ca);
    assertEquals([checked.code, checked.stdout.includes("CA_NOT_ISSUER")], [0, false]);
    // A later run continues, and has nothing more to say.
    const again = await run(...line, "--json");
    assertEquals([again.code, times(again.stderr, "CA_NOT_ISSUER")], [0, 0], again.stderr);
  });
});

Deno.test("bulk: without --ca-cert there is no warning, and with the issuer's own neither", async () => {
  await inCloud(async (folder, run) => {
    const plain = await run("--count", "1", "--ca", "@pki", "-o", "@out");
    assertEquals([plain.code, times(plain.stderr, "CA_NOT_ISSUER")], [0, 0]);
    const own = ["--ca-cert", `${folder}/pki/ca.pem`, "-o", "@own", "--json"];
    const same = await run("--count", "1", "--ca", "@pki", ...own);
    assertEquals([same.code, times(same.stderr, "CA_NOT_ISSUER")], [0, 0]);
  });
});

Deno.test("bulk --json has the warning in its summary", async () => {
  await inCloud(async (_, run) => {
    const { stdout } = await run(
      ...["--count", "1", "--ca", "@pki", "--ca-cert", "@root.pem", "-o", "@out", "--json"],
    );
    const { summary } = JSON.parse(stdout.trim().split("\n").at(-1)!);
    assertEquals(summary.ok, true);
    assertEquals(summary.findings.map(({ code }: { code: string }) => code), ["CA_NOT_ISSUER"]);
  });
});

Deno.test("bulk: a run with another --ca-cert is refused, and so is one without it", async () => {
  await inCloud(async (_, run) => {
    const line = ["--count", "2", "--ca", "@pki", "-o"];
    assertEquals((await run(...line, "@out", "--ca-cert", "@root.pem")).code, 0);
    const changed = await run(...line, "@out", "--ca-cert", "@other.pem");
    assertEquals(changed.code, 1);
    assertMatch(changed.stderr, /the CA that the devices store is not that of the first run/);
    const without = await run(...line, "@out");
    assertEquals(without.code, 1);
    assertMatch(without.stderr, /the CA that the devices store .*: it was one of --ca-cert/);
    assertEquals((await run(...line, "@plain")).code, 0);
    const added = await run(...line, "@plain", "--ca-cert", "@root.pem");
    assertEquals(added.code, 1);
    assertMatch(added.stderr, /the CA that the devices store .*: it was their issuer/);
  });
});

Deno.test("bulk --certificates takes a cloud's certificates, whose CA is nowhere", async () => {
  await inCloud(async (folder, run) => {
    const begun = await run("--count", "2", "--csr", "--ca-cert", "@root.pem", "-o", "@out");
    assertEquals(begun.code, 0, begun.stderr);
    assertStringIncludes(begun.stderr, "--certificates DIR and the same --ca-cert");
    await certify(folder);
    const line = ["--count", "2", "--certificates", "@issued", "-o", "@out"];
    const without = await run(...line);
    assertEquals(without.code, 1);
    assertStringIncludes(without.stderr, "--ca-cert");
    const changed = await run(...line, "--ca-cert", "@other.pem");
    assertMatch(changed.stderr, /the CA that the devices store is not that of the first run/);
    const made = await run(...line, "--ca-cert", "@root.pem");
    assertEquals(made.code, 0, made.stderr);
    assertEquals(times(made.stderr, "CA_NOT_ISSUER"), 1, made.stderr);
    assertEquals(await storedCa(folder, "dev-000002"), root.pem);
    assertEquals((await cli("bulk", "verify", `${folder}/out`)).code, 0);
    await Deno.writeTextFile(`${folder}/cloud.pem`, cloud.certificate.pem);
    const verified = await cli("bulk", "verify", `${folder}/out`, "--ca", `${folder}/cloud.pem`);
    assertEquals(verified.code, 0, verified.stdout);
  });
});

Deno.test("bulk --certificates with --ca and --ca-cert refuses what that CA did not issue", async () => {
  await inCloud(async (folder, run) => {
    await run("--count", "1", "--csr", "-o", "@out");
    await certify(folder);
    await Deno.mkdir(`${folder}/pki`);
    await Deno.writeTextFile(`${folder}/pki/ca.pem`, other.pem);
    const line = ["--count", "1", "--certificates", "@issued", "--ca-cert", "@root.pem"];
    const refused = await run(...line, "--ca", "@pki", "-o", "@out");
    assertEquals(refused.code, 1);
    assertMatch(refused.stderr, /refused .*the CA did not issue it/);
  });
});

Deno.test("bulk: a profile's caCert is a file beside the profile, and --ca-cert overrides it", async () => {
  await inCloud(async (folder, run) => {
    await Deno.mkdir(`${folder}/profiles`);
    await Deno.copyFile(`${folder}/root.pem`, `${folder}/profiles/root.pem`);
    await Deno.writeTextFile(`${folder}/profiles/p.json`, `{ "caCert": "root.pem" }`);
    const line = ["--count", "1", "--ca", "@pki", "--profile", "@profiles/p.json", "-o"];
    assertEquals((await run(...line, "@out")).code, 0);
    assertEquals(await storedCa(folder, "dev-000001"), root.pem);
    // The file may be elsewhere in a later run.
    const moved = ["--count", "1", "--ca", "@pki", "--ca-cert", "@root.pem", "-o", "@out"];
    assertEquals((await run(...moved)).code, 0);
    assertEquals((await run(...line, "@flag", "--ca-cert", "@other.pem")).code, 0);
    const image = await Deno.readFile(`${folder}/flag/images/dev-000001.bin`);
    const stored = new TextDecoder().decode(await openSecureCert(image).caCert());
    assertEquals(stored, `${other.pem}\0`);
    await Deno.remove(`${folder}/profiles/root.pem`);
    const missing = await run(...line, "@none");
    assertEquals(missing.code, 1);
    assertStringIncludes(missing.stderr, "profiles/root.pem");
  });
});

Deno.test("bulk: rows that bring a cloud's certificate and key store its server's CA", async () => {
  await inCloud(async (folder, run) => {
    const key = await generateKey();
    const issued = await issueCertificate({ issuer: cloud, publicKey: key, subject: "CN=d" });
    await Deno.writeFile(`${folder}/d.key`, exportPrivateKey(key));
    await Deno.writeTextFile(`${folder}/d.pem`, issued.pem);
    await Deno.writeTextFile(
      `${folder}/list.csv`,
      `id,certificate,privateKey\nd,${folder}/d.pem,${folder}/d.key\n`,
    );
    const line = ["--devices", "@list.csv", "--ca-cert", "@root.pem", "-o", "@out"];
    const cwd = Deno.cwd();
    try {
      // Not the CA of the default folder, which issued none of them and is not made.
      Deno.chdir(folder);
      const made = await run(...line);
      assertEquals(made.code, 0, made.stderr);
      assertEquals(times(made.stderr, "CA_NOT_ISSUER"), 1);
    } finally {
      Deno.chdir(cwd);
    }
    assertEquals(await storedCa(folder, "d"), root.pem);
    const name = [...line.slice(0, -1), "@named", "--ca", "@pki"];
    assertStringIncludes((await run(...name)).stderr, `no CA in ${folder}/pki`);
    assertEquals((await cli("ca", "--subject", "CN=C", "-o", `${folder}/pki`)).code, 0);
    const named = await run(...name);
    assertEquals(named.code, 1);
    assertStringIncludes(named.stderr, "the CA did not issue its certificate");
  });
});

Deno.test("bulk merge refuses shards whose devices store different CAs", async () => {
  await inCloud(async (folder, run) => {
    assertEquals((await cli("ca", "--subject", "CN=C", "-o", `${folder}/pki`)).code, 0);
    const line = ["--count", "2", "--ca", "@pki"];
    await run(...line, "--shard", "1/2", "--ca-cert", "@root.pem", "-o", "@one");
    await run(...line, "--shard", "2/2", "--ca-cert", "@other.pem", "-o", "@two");
    await run(...line, "--shard", "2/2", "--ca-cert", "@root.pem", "-o", "@three");
    const merge = (second: string) =>
      cli("bulk", "merge", `${folder}/one`, `${folder}/${second}`, "-o", `${folder}/all-${second}`);
    const refused = await merge("two");
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stdout + refused.stderr, "its devices store another CA");
    assertEquals((await merge("three")).code, 0);
  });
});

Deno.test("bulk in the library takes caCert, and a profile that names one needs it", async () => {
  const profile = { caCert: "root.pem" };
  const { journal, files } = memoryBatch();
  const options = { profile, issuer: cloud, journal, files };
  const devices = () => countDevices(1, "dev-{n:06}");
  let message = "";
  try {
    for await (const _ of bulk(devices(), options)) { /* none */ }
  } catch (error) {
    message = (error as Error).message;
  }
  assertStringIncludes(message, "caCert");
  for await (const { state } of bulk(devices(), { ...options, caCert: root.pem })) {
    assertEquals(state, "verified");
  }
});

Deno.test("bulk export warns when the devices cannot verify the service's servers", async () => {
  await inCloud(async (folder, run) => {
    const line = ["--count", "1", "--ca", "@pki", "-o"];
    await run(...line, "@out", "--ca-cert", "@root.pem");
    await run(...line, "@plain");
    const exported = async (batch: string, to: string, ...flags: readonly string[]) => {
      const out = ["-o", `${folder}/${batch}-${to}`, "--json"];
      const made = await cli("bulk", "export", `${folder}/${batch}`, "--to", to, ...out, ...flags);
      assertEquals(made.code, 0, made.stderr);
      const { warnings } = JSON.parse(made.stdout);
      assertEquals(times(made.stderr, "warning: the devices store"), warnings.length);
      return warnings.join();
    };
    const ca = ["--ca", `${folder}/pki/ca.pem`];
    assertEquals(await exported("out", "aws", ...ca), "");
    assertEquals(await exported("out", "rainmaker"), "");
    assertMatch(await exported("out", "azure", ...ca), /--ca-cert DigiCertGlobalRootG2.pem/);
    assertMatch(await exported("plain", "aws", ...ca), /--ca-cert AmazonRootCA1.pem/);
    assertMatch(await exported("plain", "rainmaker"), /servers of ESP RainMaker/);
    assertEquals(await exported("plain", "csv"), "");
  });
});
