/** Batches in memory: what is made, what is refused, what is made again after a crash. */
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import {
  createCa,
  createDevelopmentCa,
  exportPrivateKey,
  generateKey,
  issueCertificate,
  type Issuer,
  readCertificate,
  SecureCertError,
  verify,
} from "../../mod.ts";
import { readRequest } from "../../lib/crypto/x509/request.ts";
import {
  bulk,
  type BulkJournal,
  type BulkOptions,
  type BulkProfile,
  type BulkResult,
  type BulkSummary,
  countDevices,
  type DeviceRow,
  memoryBatch,
  readCsvDevices,
  readNdjsonDevices,
} from "../../lib/batch/mod.ts";
import { expandTemplate, idProblem } from "../../lib/batch/list/devices.ts";
import { createBulkMaker } from "../../lib/batch/make/maker.ts";
import { rsaKey } from "../rsa_keys.ts";

const issuer = await createDevelopmentCa();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function run(
  devices: AsyncIterable<DeviceRow> | Iterable<DeviceRow>,
  batch: ReturnType<typeof memoryBatch>,
  options: Partial<BulkOptions> = {},
): Promise<{ results: BulkResult[]; summary: BulkSummary }> {
  const results: BulkResult[] = [];
  const made = bulk(devices, { profile: {}, issuer, ...batch, ...options });
  for (;;) {
    const { value, done } = await made.next();
    if (done) return { results, summary: value };
    results.push(value);
  }
}

Deno.test("devices come out in the order of the list, and every image is good", async () => {
  const batch = memoryBatch();
  const profile: BulkProfile = {
    subject: "CN={id},O=Example\\, {line}",
    sans: ["dns:{id}.example"],
    data: [{ type: "user1", string: "SN {n}" }, { type: 55, hex: "00 ff" }],
    chip: "esp32c3",
  };
  const rows = ["id,line,user2", ...Array.from({ length: 150 }, (_, n) => `d-${n},"L,${n}",u`)];
  const { results, summary } = await run(readCsvDevices(rows), batch, { profile, calls: 3 });
  assertEquals(results.map(({ device }) => device.index), results.map((_, at) => at));
  assertEquals([summary.made, summary.counts.verified, summary.failed], [150, 150, 0]);
  assertEquals(new Set(results.map(({ row }) => row.serial)).size, 150);
  for (const { device: { id, fields }, row } of results.slice(0, 20)) {
    const image = batch.files.all.get(`images/${id}.bin`)!;
    const result = await verify(image, { ca: issuer.certificate, chip: "esp32c3" });
    assertEquals(result.findings.map(({ code }) => code), ["PLAINTEXT_KEY"]);
    const info = readCertificate(batch.files.all.get(`certificates/${id}.pem`)!);
    assertEquals(info.subject, `CN=${id},O=Example\\, ${fields.line!.replace(",", "\\,")}`);
    assertEquals([info.sans, info.serial], [[`dns:${id}.example`], row.serial]);
    assertEquals([row.line, row.status, row.user2], [fields.line, "verified", undefined]);
    assertStringIncludes(text(batch.files.all.get(`secret/${id}.key.pem`)!), "PRIVATE KEY");
  }
});

Deno.test("the quick image is the one that provision builds", async () => {
  // An RSA CA signs the same bytes each time, and P-256 keys follow from the source.
  const key = await rsaKey(2048);
  const rsa: Issuer = { key, certificate: await createCa({ subject: "CN=CA", key }) };
  const source = () => {
    let next = 1;
    return (length: number) => Uint8Array.from({ length }, () => next = next * 75 % 65537);
  };
  const images = async (profile: BulkProfile) => {
    const batch = memoryBatch();
    const now = () => new Date("2027-01-01T00:00:00Z");
    await run(countDevices(5, "d{n}"), batch, { profile, issuer: rsa, random: source(), now });
    return batch.files.all;
  };
  const [first, again] = [await images({}), await images({})];
  assertEquals(first, again);
  const quick = first.get("images/d3.bin")!;
  const options = { random: source(), now: () => new Date("2027-01-01T00:00:00Z") };
  const { provision } = await import("../../mod.ts");
  let whole;
  for (let n = 1; n <= 3; n++) {
    whole = await provision({ issuer: rsa, subject: `CN=d${n}`, ...options });
  }
  assertEquals(quick, whole!.image);
});

Deno.test("every key mode and layout can be had in bulk", async () => {
  const cases: readonly (readonly [BulkProfile, string])[] = [
    [{ chip: "esp32s3", keyMode: "rsa-ds", efuseKeyId: 2 }, "hmac.bin"],
    [{ chip: "esp32h2", keyMode: "ecdsa-peripheral" }, "key.pem"],
    [{ chip: "esp32c3", keyMode: "hmac-derived" }, "hmac.bin"],
    [{ chip: "esp32c3", keyMode: "hmac-encrypted" }, "hmac.bin"],
    [{ format: "nvs" }, "key.pem"],
    [{ format: "cust_flash", key: { curve: "P-384" } }, "key.pem"],
  ];
  for (const [profile, secret] of cases) {
    const batch = memoryBatch();
    const { results } = await run(countDevices(2, "d{n}"), batch, { profile });
    const name = JSON.stringify(profile);
    assertEquals(
      results.map(({ state, reason }) => reason ?? state),
      ["verified", "verified"],
      name,
    );
    const mode = profile.keyMode ?? "plaintext";
    assertEquals(results[0]!.row.keyMode, mode);
    assertEquals(results[0]!.row.efuseKeyId, mode === "plaintext" ? null : profile.efuseKeyId ?? 1);
    assertEquals(batch.files.all.has(`secret/d1.${secret}`), true, name);
    assertEquals(batch.files.all.has("efuse/d1.json"), mode !== "plaintext", name);
  }
});

Deno.test("every wrong row is reported, and nothing is made", async () => {
  const rows = [
    "id,chip,sans",
    "ok,,",
    "a/b,,",
    "con.txt,,",
    ",,",
    "OK,,",
    "chip,esp99,",
    "san,,dns:",
    "short",
    'quote,"x"y,',
  ];
  const batch = memoryBatch();
  const profile = { subject: "CN={id},O={nowhere}" };
  const error = await assertRejects(() => run(readCsvDevices(rows), batch, { profile }));
  const problems = (error as SecureCertError).problems.map(({ message }) => message);
  for (
    const part of [
      'line 3: id "a/b"',
      "line 4: id",
      "line 5: id is empty",
      "OK: the id is there twice",
      'chip "esp99" is not known',
      "san: Cannot encode subject alternative name",
      "line 9: 1 field,",
      "line 10: text after",
      'ok: subject: there is no column "nowhere"',
    ]
  ) assertEquals(problems.some((each) => each.includes(part)), true, `${part}: ${problems}`);
  assertEquals(batch.files.all.size, 0);
});

Deno.test("a device that fails does not stop the others, and a key serves one device", async () => {
  const [one, two] = await Promise.all([generateKey(), generateKey()]);
  const pems = [
    await exportPrivateKey(one),
    await exportPrivateKey(one),
    await exportPrivateKey(two),
  ];
  const weak = await exportPrivateKey(await generateKey({ curve: "P-384" }));
  const keys = {
    name: "test",
    take: (devices: readonly { index: number }[]) =>
      devices.map(({ index }) => [...pems, weak][index] ?? { problem: "no key is left" }),
  };
  const { results, summary } = await run(countDevices(5, "d{n}"), memoryBatch(), { keys });
  assertEquals(results.map(({ state, reason }) => reason ?? state), [
    "verified",
    "its key is that of d1 already",
    "verified",
    "its key is P-384, the profile wants P-256",
    "no key is left",
  ]);
  assertEquals([summary.made, summary.failed, summary.counts.failed], [2, 3, 3]);
});

Deno.test("an interrupted run continues, and makes no device twice", async () => {
  const batch = memoryBatch();
  const seen = new Map<string, string>();
  const errors: unknown[] = [];
  for (let cut = 0; cut < 6; cut++) {
    let left = 20;
    const files = {
      ...batch.files,
      write: (files: Parameters<typeof batch.files.write>[0]) => {
        if (cut < 5 && left-- === 0) throw new Error("the disk is full");
        return batch.files.write(files);
      },
    };
    const made = bulk(countDevices(100, "d{n}"), {
      profile: {},
      issuer,
      ...batch,
      files,
    });
    try {
      for await (const { device: { id }, row } of made) {
        assertEquals(seen.has(id), false, id);
        seen.set(id, row.serial);
      }
    } catch (error) {
      errors.push(error);
    }
  }
  assertEquals([seen.size, errors.length > 0], [100, true]);
  for (const { device: { id }, row } of batch.journal.results()) {
    const { serial } = readCertificate(batch.files.all.get(`certificates/${id}.pem`)!);
    assertEquals([serial, seen.get(id)], [row.serial, row.serial]);
  }
});

Deno.test("a stop finishes what is under way; a shard takes its part", async () => {
  const batch = memoryBatch();
  const stop = new AbortController();
  const options = { ...batch, profile: {}, issuer, signal: stop.signal };
  const made = bulk(countDevices(5000, "d{n}"), options);
  let count = 0;
  for await (const _ of made) if (++count === 10) stop.abort();
  const { verified, pending } = await batch.journal.counts();
  assertEquals([verified, verified + pending, count < 5000], [count, 5000, true]);
  const ids = new Set<string>();
  for (const index of [1, 2, 3]) {
    const { results } = await run(countDevices(20, "d{n}"), memoryBatch(), {
      shard: { index, count: 3 },
    });
    for (const { device } of results) assertEquals(ids.size, ids.add(device.id).size - 1);
  }
  assertEquals(ids.size, 20);
});

Deno.test("requests first, certificates from elsewhere later", async () => {
  for (const profile of [{}, { chip: "esp32c3", keyMode: "hmac-derived" }] as BulkProfile[]) {
    const batch = memoryBatch();
    const first = await run(countDevices(3, "d{n}"), batch, { profile, phase: "requests" });
    assertEquals(first.summary.counts["key made"], 3);
    const wrong = await generateKey();
    for (const { device: { id } } of first.results) {
      const request = batch.files.all.get(`csr/${id}.csr`)!;
      assertEquals((await readRequest(request)).subject, `CN=${id}`);
      const of = id === "d2" ? { publicKey: wrong.publicKey, subject: "CN=d2" } : { request };
      const certificate = await issueCertificate({ issuer, ...of });
      batch.journal.certify(id, certificate.pem);
    }
    const { results } = await run(countDevices(3, "d{n}"), batch, {
      profile,
      phase: "certificates",
      issuer: { certificate: issuer.certificate },
      certificateOf: ({ certificate }) => new TextEncoder().encode(certificate!),
    });
    assertEquals(results.map(({ state, reason }) => reason ?? state), [
      "verified",
      "its certificate is for another key",
      "verified",
    ]);
    assertEquals(results[0]!.row.publicKey, first.results[0]!.row.publicKey);
  }
});

Deno.test("an intermediate CA goes with the certificate that it issued", async () => {
  const key = await generateKey();
  const certificate = await createCa({ subject: "CN=Fab 1", key, issuer });
  const fab: Issuer = { key, certificate };
  const batch = memoryBatch();
  const { results: [first] } = await run(countDevices(1, "d{n}"), batch, { phase: "requests" });
  const request = batch.files.all.get("csr/d1.csr")!;
  const pems = [await issueCertificate({ issuer: fab, request }), issuer.certificate, certificate];
  const bundle = pems.map(({ pem }) => pem);
  batch.journal.certify(first!.device.id, bundle.join(""));
  const { results } = await run(countDevices(1, "d{n}"), batch, {
    phase: "certificates",
    issuer: { certificate: issuer.certificate },
    certificateOf: ({ certificate }) => new TextEncoder().encode(certificate!),
  });
  assertEquals(results.map(({ state, reason }) => reason ?? state), ["verified"]);
  assertEquals(text(batch.files.all.get("certificates/d1.pem")!), bundle[0]! + bundle[2]!);
  assertStringIncludes(text(batch.files.all.get("images/d1.bin")!), bundle[0]! + bundle[2]!);
});

Deno.test("a file that is not read back as it was written fails its device", async () => {
  const batch = memoryBatch();
  const read = async (path: string) => {
    const bytes = await batch.files.read(path);
    if (path === "images/d2.bin") bytes[40]! ^= 1;
    return bytes;
  };
  const files = { ...batch.files, read };
  const { results } = await run(countDevices(3, "d{n}"), batch, { files });
  assertEquals(results.map(({ state }) => state), ["verified", "failed", "verified"]);
  assertEquals(results[1]!.reached, "built");
  assertStringIncludes(results[1]!.reason!, "not what was written");
});

Deno.test("what is wrong with the CA is known before the first key, and fails every device", async () => {
  const now = () => new Date("2025-01-01T00:00:00Z");
  const batch = memoryBatch();
  const error = await assertRejects(() => run(countDevices(20, "d{n}"), batch, { now }));
  assertStringIncludes((error as Error).message, "CERT_NOT_YET_VALID");
  assertEquals(batch.files.all.size, 0);
  const maker = await createBulkMaker({ profile: {}, issuer, files: memoryBatch().files, now });
  const list = [...countDevices(20, "d{n}")].flatMap((row) => "device" in row ? [row] : []);
  const results = await maker(list);
  assertEquals(results.filter(({ reason }) => reason?.includes("CERT_NOT_YET_VALID")).length, 20);
});

Deno.test("what no partition holds is reported for the largest devices of each kind, and no key is made", async () => {
  const rows = ["id,keyMode,user1"];
  for (let n = 0; n < 9; n++) rows.push(`d${n},,${"x".repeat(n * 40)}`);
  rows.push(`w,hmac-encrypted,${"y".repeat(3000)}`);
  const profile: BulkProfile = { chip: "esp32c3", size: 1824 };
  const batch = memoryBatch();
  const error = await assertRejects(() => run(readCsvDevices(rows), batch, { profile }));
  const problems = (error as SecureCertError).problems.map(({ message }) => message);
  assertMatch(problems[0]!, /^d8: Cannot encode partition: 20.. bytes, 2.. more than its 1824/);
  assertMatch(problems.at(-1)!, /^w: Cannot encode partition: /);
  assertEquals([problems.length < 9, batch.files.all.size], [true, 0]);
  const fitting = { ...profile, size: 8192 };
  const { summary } = await run(readCsvDevices(rows), batch, { profile: fitting });
  assertEquals(summary.counts.verified, 10);
  for (const phase of ["requests", "all"] as const) {
    const made = run(countDevices(30, "d{n}"), memoryBatch(), { profile: { size: 512 }, phase });
    const { problems } = await assertRejects(() => made) as SecureCertError;
    assertStringIncludes(problems.at(-1)!.message, "and maybe others");
  }
});

Deno.test("leaving the loop early leaves nothing under way, and the next run has the same keys", async () => {
  const { journal, files } = memoryBatch();
  let [writes, underWay] = [0, 0];
  const turn = () => new Promise((resolve) => setTimeout(resolve));
  const slow = {
    ...files,
    write: async (all: Parameters<typeof files.write>[0]) => {
      underWay++;
      for (let turns = ++writes % 4; turns > 0; turns--) await turn();
      await files.write(all);
      underWay--;
    },
  };
  const options = { profile: {}, issuer, journal, calls: 3 };
  for await (const _ of bulk(countDevices(400, "d{n}"), { ...options, files: slow })) break;
  const before = files.all.size;
  assertEquals(underWay, 0);
  for (let turns = 50; turns > 0; turns--) await turn();
  assertEquals(files.all.size, before);
  const { verified } = await journal.counts();
  assertEquals(before, 3 * verified);
  for await (const _ of bulk(countDevices(400, "d{n}"), { ...options, files }));
  const results = journal.results();
  assertEquals(results.map(({ state }) => state), Array(400).fill("verified"));
  for (const { row } of results) {
    const pem = files.all.get(`certificates/${row.id}.pem`)!;
    assertEquals(readCertificate(pem).serial, row.serial);
  }
});

Deno.test("a batch in memory keeps no key of a device that failed, and takes a serial number once", async () => {
  const batch = memoryBatch();
  const random = (length: number) => new Uint8Array(length).fill(7);
  const keys = [await generateKey(), await generateKey()];
  const certificates = await Promise.all(
    keys.map(({ publicKey }) => issueCertificate({ issuer, publicKey, subject: "CN=x", random })),
  );
  const jobOf = async ({ index }: { index: number }) => ({
    key: await exportPrivateKey(keys[index]!),
    certificate: certificates[index]!.der,
  });
  const { results } = await run(countDevices(2, "d{n}"), batch, { jobOf });
  assertEquals(results.map(({ reason }) => reason), [
    undefined,
    "its serial number is that of d1 already",
  ]);
  assertEquals([...batch.files.all.keys()].filter((name) => name.includes("d2")), []);
});

Deno.test("rows have templates of their own, and names with commas in them", async () => {
  const rows = [
    JSON.stringify({
      id: "a",
      subject: "CN={id},O={line}",
      line: "L,1",
      sans: ["uri:urn:a,b;c", "dns:{id}.x"],
    }),
  ];
  const batch = memoryBatch();
  const { results } = await run(readNdjsonDevices(rows), batch);
  assertEquals(results[0]!.state, "verified");
  const { subject, sans } = readCertificate(batch.files.all.get("certificates/a.pem")!);
  assertEquals([subject, sans], ["CN=a,O=L\\,1", ["uri:urn:a,b;c", "dns:a.x"]]);
  const csv = ["id,sans", "a,dns:a.x; dns:b.x", 'b,"uri:urn:x\\,y, ip:10.0.0.1"'];
  const listed = memoryBatch();
  await run(readCsvDevices(csv), listed);
  const names = ["a", "b"].map((id) =>
    readCertificate(listed.files.all.get(`certificates/${id}.pem`)!).sans
  );
  assertEquals(names, [["dns:a.x", "dns:b.x"], ["uri:urn:x,y", "ip:10.0.0.1"]]);
});

Deno.test("rows that no reader of lists gives are refused, and shards that there are not", async () => {
  const row = (id: string, index: number) => ({ device: { id, index, fields: {} } });
  for (
    const [rows, problem] of [
      [[row("../x", 0)], "has a character that file names cannot have"],
      [[row("a", 0), row("b", 0)], "b: its index 0 is not after that of the row before, 0"],
      [[row("a", 0.5)], "a: its index 0.5"],
    ] as const
  ) {
    await assertRejects(() => run(rows, memoryBatch()), SecureCertError, problem);
  }
  for (const shard of [{ index: 5, count: 3 }, { index: 0, count: 1 }, { index: 1.5, count: 2 }]) {
    await assertRejects(() => run(countDevices(1, "a"), memoryBatch(), { shard }), RangeError);
  }
});

Deno.test("an id that another shard's row has is reported", async () => {
  const rows = ["id", "a", "b", "A", "c"];
  for (const index of [1, 2, 3]) {
    const shard = { index, count: 3 };
    const error = await assertRejects(() => run(readCsvDevices(rows), memoryBatch(), { shard }));
    assertStringIncludes((error as Error).message, "the id is there twice, in rows 1 and 3");
  }
});

Deno.test("a journal that cannot write ends the run", async () => {
  const batch = memoryBatch();
  const commit: BulkJournal["commit"] = () => Promise.reject(new Error("no space"));
  const journal = { ...batch.journal, commit };
  await assertRejects(() => run(countDevices(3, "d{n}"), batch, { journal }), Error, "no space");
});

Deno.test("device lists: NDJSON, quotes over lines, ids that file systems take", async () => {
  const rows = async (list: AsyncIterable<DeviceRow>) => await Array.fromAsync(list);
  const json = ['{"id":"a","sans":["dns:a","dns:b"],"n":7}', "", "{", "[]", '{"id":"b","x":{}}'];
  assertEquals(
    (await rows(readNdjsonDevices(json))).map((row) =>
      "device" in row ? row.device.fields : row.problem
    ),
    [
      { sans: "dns:a,dns:b", n: "7" },
      "line 3: not JSON",
      "line 4: a JSON array, where each line is an object",
      'line 5: "x" is neither text nor a number',
    ],
  );
  const csv = ["\uFEFFid,text", 'a,"one', 'two"', "", "b,"];
  const devices = (await rows(readCsvDevices(csv))).map((row) => "device" in row && row.device);
  assertEquals(devices, [
    { index: 0, id: "a", fields: { text: "one\ntwo" } },
    { index: 1, id: "b", fields: { text: "" } },
  ]);
  const odd = await rows(
    readCsvDevices(["id,c", '# 5" panel,', "a,1\rb,2", "#7,x", "c,3", "# no", '"d"x,4']),
  );
  assertEquals(odd.map((row) => "device" in row ? row.device.id : row.problem), [
    "line 2: quote within a field without quotes",
    "a",
    "b",
    "#7",
    "c",
    "line 6: 1 field, the header has 2; a device list has no comments",
    "line 7: text after a closing quote",
  ]);
  for (
    const name of ["serial", "status", "publicKey", "keymode", "Private Key", "__proto__", "Serial"]
  ) {
    const lists = [readCsvDevices([`id,${name}`, "a,1"]), readNdjsonDevices([`{"${name}":1}`])];
    for (const list of lists) {
      const [row] = await rows(list as AsyncIterable<DeviceRow>);
      assertStringIncludes((row as { problem: string }).problem, `"${name}"`);
    }
  }
  for (
    const id of [
      "",
      ".",
      "..",
      "a/b",
      "a\\b",
      "a*b",
      "NUL",
      "CONOUT$",
      "nul .x",
      "com1.x",
      "a\u0007",
      "x".repeat(101),
      "a.",
    ]
  ) {
    assertEquals(typeof idProblem(id), "string", id);
  }
  for (
    const id of ["a", "dev-1", "gerät 7", "A.b_c", "console", "24:0A:C4:00:01:10", "a'b", "-1"]
  ) {
    assertEquals(idProblem(id), undefined);
  }
  assertEquals(expandTemplate("{n:06}-{{x}}", { n: "42" }), { text: "000042-{x}" });
});

Deno.test("of devices under way at once, the first in the list is the one that ends the run", async () => {
  const ends = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
  const maker: BulkOptions["maker"] = async ([job]) => {
    const { id, index } = job!.device;
    // The last one ends first.
    if (index < 3) await ends[index + 1]!.promise;
    ends[index]!.resolve();
    throw new SecureCertError("ERR_PLAN", `${id} does not fit`);
  };
  await assertRejects(
    () => run(countDevices(9, "d{n}"), memoryBatch(), { maker, calls: 4 }),
    SecureCertError,
    "d1 does not fit",
  );
});
