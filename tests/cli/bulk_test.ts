/** The commands that work on the folder of a finished batch, on real folders. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { denoIo } from "../../lib/cli/io.ts";
import { run } from "../../lib/cli/run.ts";
import { ARCHIVE_END, formatArchiveEntry } from "../../lib/provision/archive.ts";
import { type ManifestRow, parseManifestNdjson } from "../../lib/provision/manifest.ts";
import { createDevelopmentCa, formatPem } from "../../mod.ts";
import { makeBatch, writeManifest } from "./batch.ts";

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function cli(...argv: readonly string[]): Promise<Outcome> {
  const [out, notes]: [string[], string[]] = [[], []];
  const io = {
    ...denoIo(),
    print: (text: string) => void out.push(text),
    note: (text: string) => void notes.push(text),
  };
  const code = await run(argv, io);
  return { code, stdout: out.join("\n"), stderr: notes.join("\n") };
}

async function inFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/ca.pem`, formatPem("CERTIFICATE", issuer.certificate));
    await act(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const issuer = await createDevelopmentCa();

async function codesOf(folder: string, ...flags: readonly string[]): Promise<string[]> {
  const { code, stdout } = await cli("bulk", "verify", folder, "--json", ...flags);
  const { ok, problems } = JSON.parse(stdout) as { ok: boolean; problems: { code: string }[] };
  assertEquals([code, ok], problems.length === 0 ? [0, true] : [1, false]);
  return problems.map((problem) => problem.code);
}

async function read(path: string): Promise<Record<string, unknown>[]> {
  const text = await Deno.readTextFile(path);
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

/** Packs the files of a folder away into an archive. */
async function pack(folder: string, names: readonly string[], archive: string): Promise<void> {
  for (const name of names) {
    for (const { name: file } of [...Deno.readDirSync(`${folder}/${name}`)]) {
      const bytes = await Deno.readFile(`${folder}/${name}/${file}`);
      const entry = formatArchiveEntry(`${name}/${file}`, bytes);
      await Deno.writeFile(`${folder}/${archive}`, entry, { append: true, mode: 0o600 });
    }
    await Deno.remove(`${folder}/${name}`, { recursive: true });
  }
  await Deno.writeFile(`${folder}/${archive}`, ARCHIVE_END, { append: true });
}

Deno.test("bulk status counts the devices of a folder", async () => {
  await inFolder(async (folder) => {
    const rows = await makeBatch(`${folder}/b`, { ids: ["a", "b", "c"], issuer });
    const failed: ManifestRow = { ...rows[2]!, status: "failed" };
    await writeManifest(`${folder}/b`, [rows[0]!, rows[1]!, failed]);
    const { code, stdout } = await cli("bulk", "status", `${folder}/b`, "--json");
    assertEquals(code, 0);
    assertEquals(JSON.parse(stdout), {
      folder: `${folder}/b`,
      devices: 3,
      done: true,
      states: { pending: 0, "key made": 0, certified: 0, built: 0, verified: 2, failed: 1 },
      failed: [{ id: "c", reason: "" }],
      keyModes: { plaintext: 2 },
      packed: false,
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
    assertStringIncludes((await cli("bulk", "status", `${folder}/b`)).stdout, "not done");
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

Deno.test("bulk verify finds a good batch good, in folders and packed", async () => {
  await inFolder(async (folder) => {
    const batch = `${folder}/b`;
    const ids = Array.from({ length: 40 }, (_, at) => `dev-${at}`);
    await makeBatch(batch, { ids, issuer, extra: { line: "3, north\nhall", chip: "esp32c3" } });
    assertEquals(await codesOf(batch, "--ca", `${folder}/ca.pem`), []);
    await pack(batch, ["images", "certificates"], "public.tar");
    assertEquals(await codesOf(batch), []);
    const packed = JSON.parse((await cli("bulk", "status", batch, "--json")).stdout);
    assertEquals(packed.packed, true);
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
        ["DUPLICATE_KEY", "WRONG_CERTIFICATE"],
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
    await Deno.writeFile(`${folder}/stranger.der`, stranger);
    const foreign = await codesOf(batch, "--ca", `${folder}/stranger.der`);
    assertEquals(foreign, ["BAD_IMAGE", "BAD_IMAGE"]);
    await Deno.writeTextFile(`${batch}/manifest.ndjson`, "{}\n", { append: true });
    const { code, stderr } = await cli("bulk", "verify", batch);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "id is missing in line 3");
  });
});

Deno.test("bulk merge joins shards with links or copies, and modes stay", async () => {
  await inFolder(async (folder) => {
    await makeBatch(`${folder}/s1`, { ids: ["a", "b"], issuer, extra: { hall: "n" } });
    await makeBatch(`${folder}/s2`, { ids: ["c"], issuer, extra: { lot: "7" } });
    const shards = [`${folder}/s1`, `${folder}/s2`];
    for (const [out, flags] of [["links", []], ["copies", ["--copy"]]] as const) {
      const whole = `${folder}/${out}`;
      const { code, stdout } = await cli(
        "bulk",
        "merge",
        ...shards,
        "-o",
        whole,
        "--json",
        ...flags,
      );
      const { ok, devices, linked, copied } = JSON.parse(stdout);
      assertEquals([code, ok, devices], [0, true, 3]);
      assertEquals([linked, copied], out === "links" ? [9, 0] : [0, 9]);
      assertEquals(await codesOf(whole), []);
      const text = await Deno.readTextFile(`${whole}/manifest.ndjson`);
      assertEquals(parseManifestNdjson(text).map(({ id }) => id), ["a", "c", "b"]);
      const csv = await Deno.readTextFile(`${whole}/manifest.csv`);
      assertEquals(csv.split("\n")[0]!.split(",").slice(-2), ["hall", "lot"]);
      if (Deno.build.os === "windows") continue;
      for (const name of ["images/a.bin", "secret/c.key.pem"]) {
        assertEquals(Deno.statSync(`${whole}/${name}`).mode! & 0o777, 0o600, name);
      }
      assertEquals(Deno.statSync(`${whole}/secret`).mode! & 0o777, 0o700);
    }
    const again = await cli("bulk", "merge", ...shards, "-o", `${folder}/links`);
    assertEquals(again.code, 1);
    assertStringIncludes(again.stderr, "give --force");
    const forced = await cli("bulk", "merge", ...shards, "-o", `${folder}/links`, "--force");
    assertEquals(forced.code, 0);
    assertEquals(await codesOf(`${folder}/links`), []);
  });
});

Deno.test("bulk merge joins archives, also one that was cut within an entry", async () => {
  await inFolder(async (folder) => {
    for (const [name, ids] of [["s1", ["a", "b"]], ["s2", ["c"]]] as const) {
      await makeBatch(`${folder}/${name}`, { ids, issuer });
      await pack(`${folder}/${name}`, ["images", "certificates"], "public.tar");
      await pack(`${folder}/${name}`, ["secret"], "secret.tar");
    }
    const cut = `${folder}/s1/public.tar`;
    const whole = await Deno.readFile(cut);
    const half = formatArchiveEntry("images/half.bin", new Uint8Array(5000)).subarray(0, 3000);
    await Deno.writeFile(cut, whole.subarray(0, whole.length - ARCHIVE_END.length));
    await Deno.writeFile(cut, half, { append: true });
    const out = `${folder}/whole`;
    const { code, stdout, stderr } = await cli(
      "bulk",
      "merge",
      `${folder}/s1`,
      `${folder}/s2`,
      "-o",
      out,
    );
    assertEquals(code, 0, stdout + stderr);
    assertEquals(await codesOf(out), []);
    if (Deno.build.os !== "windows") {
      assertEquals(Deno.statSync(`${out}/secret.tar`).mode! & 0o777, 0o600);
    }
  });
});

Deno.test("bulk merge and bulk verify find what a device list has and the folders have not", async () => {
  await inFolder(async (folder) => {
    await makeBatch(`${folder}/b`, { ids: ["dev-01", "dev-03"], issuer });
    await Deno.writeTextFile(`${folder}/list.csv`, "id,hall\ndev-01,n\ndev-02,s\n");
    await Deno.writeTextFile(`${folder}/list.ndjson`, '{"id":"dev-01"}\n{"id":"dev-02"}\n');
    const wrong = ["MISSING_DEVICE dev-02", "STRAY_DEVICE dev-03"];
    const lists: readonly (readonly [readonly string[], readonly string[]])[] = [
      [["--devices", `${folder}/list.csv`], wrong],
      [["--devices", `${folder}/list.ndjson`], wrong],
      [["--count", "2", "--id-template", "dev-{n:02}"], wrong],
      [["--count", "3", "--id-template", "dev-{n:02}"], ["MISSING_DEVICE dev-02"]],
    ];
    for (const [flags, expected] of lists) {
      for (
        const line of [["verify", `${folder}/b`], ["merge", `${folder}/b`, "-o", `${folder}/w`]]
      ) {
        const { code, stdout } = await cli("bulk", ...line, "--json", ...flags);
        const { problems } = JSON.parse(stdout);
        const found = problems.map(({ code, id }: { code: string; id: string }) => `${code} ${id}`);
        assertEquals([code, found], [1, expected], flags.join(" "));
      }
    }
    const both = ["--count", "3", "--devices", `${folder}/list.csv`];
    assertEquals((await cli("bulk", "verify", `${folder}/b`, ...both)).code, 2);
    await Deno.writeTextFile(`${folder}/list.csv`, 'id\n"\n');
    const bad = await cli("bulk", "verify", `${folder}/b`, "--devices", `${folder}/list.csv`);
    assertEquals(bad.code, 1);
    assertStringIncludes(bad.stderr, "Cannot read device list");
  });
});

Deno.test("bulk merge lists everything that is wrong and writes nothing", async () => {
  await inFolder(async (folder) => {
    const [s1, s2, out] = [`${folder}/s1`, `${folder}/s2`, `${folder}/whole`];
    const rows = await makeBatch(s1, { ids: ["a", "b"], issuer });
    const others = await makeBatch(s2, { ids: ["c", "d"], issuer });
    await writeManifest(s2, [
      { ...others[0]!, publicKey: rows[0]!.publicKey },
      { ...others[1]!, status: "failed" },
    ]);
    await Deno.remove(`${s1}/images/b.bin`);
    const { code, stdout } = await cli("bulk", "merge", s1, s2, s1, "-o", out, "--json");
    const { ok, problems } = JSON.parse(stdout);
    assertEquals([code, ok], [1, false]);
    assertEquals(problems.map(({ code, id }: { code: string; id: string }) => `${code} ${id}`), [
      "MISSING_FILE b",
      "DUPLICATE_KEY c",
      "FAILED_DEVICE d",
      "DUPLICATE_ID a",
      "DUPLICATE_SERIAL a",
      "DUPLICATE_KEY a",
      "DUPLICATE_ID b",
      "DUPLICATE_SERIAL b",
      "DUPLICATE_KEY b",
      "MISSING_FILE b",
    ]);
    assertStringIncludes(problems[1].message, "s2) has the key of a (");
    assertStringIncludes(
      (await cli("bulk", "merge", s1, s2, "-o", out)).stdout,
      "nothing was written",
    );
    assert(![...Deno.readDirSync(folder)].some(({ name }) => name === "whole"));
    await writeManifest(s2, [others[0]!, { ...others[1]!, status: "failed" }]);
    const kept = await cli("bulk", "merge", s2, "-o", out, "--keep-failed");
    assertEquals(kept.code, 0);
    assertStringIncludes(kept.stderr, "2 devices, 1 of them failed");
  });
});

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
    assertStringIncludes(aws.stderr, "aws would refuse 2 devices");
    assertStringIncludes(aws.stderr, "dev.1: a thing's name");
    assertStringIncludes((await line("azure", ...ca)).stderr, "dev 2: a registration ID");
    assert(![...Deno.readDirSync(folder)].some(({ name }) => name === "out"));
    for (
      const [flags, text] of [
        [["azure"], "bulk export needs --ca"],
        [["csv", ...ca], "--ca does not go with --to csv"],
        [["azure", ...ca, "--policy", "p"], "--policy does not go with --to azure"],
        [["azure", ...ca, "--group", "a b"], '--group: "a b" is no name of a group'],
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

async function flip(path: string, at: number): Promise<void> {
  const bytes = await Deno.readFile(path);
  bytes[at]! ^= 1;
  await Deno.writeFile(path, bytes);
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}
