/** What an earlier run left beside an older journal: used again when it fits, and otherwise refused. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  bulk,
  type BulkOptions,
  type BulkProfile,
  type BulkResult,
  countDevices,
  memoryBatch,
} from "../../lib/batch/mod.ts";
import { paths } from "../../lib/batch/files.ts";
import {
  createDevelopmentCa,
  exportPrivateKey,
  generateKey,
  issueCertificate,
  verify,
} from "../../mod.ts";
import { createRequest } from "../../lib/crypto/x509/request.ts";
import { formatBase64 } from "../../lib/bytes/text.ts";

const issuer = await createDevelopmentCa();
type Files = Map<string, Uint8Array>;

/** Runs a batch with a new journal on files that are there. */
async function run(files: Files, options: Partial<BulkOptions> = {}) {
  const { journal: empty } = memoryBatch();
  // A batch with a device that failed is not tried out first.
  const journal = { ...empty, counts: async () => ({ ...await empty.counts(), failed: 1 }) };
  const find = (path: string) => files.get(path);
  const ports = {
    write: (all: readonly { path: string; bytes: Uint8Array }[]) =>
      all.forEach(({ path, bytes }) => files.set(path, bytes)),
    read: (path: string) => files.get(path)!,
    find,
    sync: () => {},
  };
  const results: BulkResult[] = [];
  const batch = { profile: {}, issuer, journal, files: ports, ...options };
  for await (const result of bulk(countDevices(1, "d"), batch)) results.push(result);
  return results[0]!;
}

const PROFILES: Readonly<Record<string, BulkProfile>> = {
  plaintext: {},
  nvs: { format: "nvs" },
  "rsa-ds": { chip: "esp32s3", keyMode: "rsa-ds" },
  "ecdsa-peripheral": { chip: "esp32h2", keyMode: "ecdsa-peripheral" },
  "hmac-encrypted": { chip: "esp32c3", keyMode: "hmac-encrypted" },
  "hmac-derived": { chip: "esp32c3", keyMode: "hmac-derived" },
};

/** A device that was made, and whose journal was lost. */
const made = new Map(
  await Promise.all(
    Object.entries(PROFILES).map(async ([name, profile]) => {
      const files: Files = new Map();
      const { row } = await run(files, { profile });
      return [name, { profile, files, row }] as const;
    }),
  ),
);

const KINDS = ["key", "hmacKey", "salt", "certificate", "image"] as const;
const secretOf = (files: Files) =>
  [paths.key, paths.hmacKey, paths.salt].map((path) => files.get(path("d")));

/** All choices of some of a device's files. */
function* choices(files: Files): Generator<Set<string>> {
  const there = KINDS.filter((kind) => files.has(paths[kind]("d")));
  for (let bits = 0; bits < 1 << there.length; bits++) {
    yield new Set(there.filter((_, at) => bits >> at & 1));
  }
}

Deno.test("a device never gets a second key: the files that it has are used, or refused by name", async () => {
  let [used, refused, again] = [0, 0, 0];
  for (const [name, { profile, files, row }] of made) {
    for (const choice of choices(files)) {
      const left: Files = new Map();
      for (const [path, bytes] of files) {
        const kind = KINDS.find((each) => paths[each]("d") === path);
        if (kind !== undefined && choice.has(kind)) left.set(path, bytes);
      }
      const before = new Map(left);
      const text = `${name}: ${[...choice]}`;
      const result = await run(left, { profile }).catch((error: Error) => error);
      if (result instanceof Error) {
        refused++;
        assertStringIncludes(
          result.message,
          "Cannot make devices that the journal does not list as made: d: ",
        );
        assertEquals(/ (secret|images|certificates)\/d\./.test(result.message), true, text);
        assertEquals(left, before, text);
        continue;
      }
      assertEquals(result.state, "verified", `${text}: ${result.reason}`);
      const isKept = choice.has("key") && result.row.publicKey === row.publicKey;
      if (isKept) used++;
      else again++;
      // A key is made where there was none that anything can have been made with.
      const isUseless = name === "hmac-derived" && !choice.has("certificate") &&
        !choice.has("image");
      assertEquals(isKept || choice.size === 0 || isUseless, true, text);
      if (choice.has("certificate")) assertEquals(result.row.serial, row.serial, text);
      if (choice.has("hmacKey") && isKept) assertEquals(secretOf(left), secretOf(files), text);
      if (choice.has("image") && name !== "rsa-ds") {
        assertEquals(result.row.imageSha256, row.imageSha256, text);
      }
      const options = {
        ca: issuer.certificate,
        chip: profile.chip,
        hmacKey: left.get(paths.hmacKey("d")),
      };
      assertEquals((await verify(left.get(paths.image("d"))!, options)).ok, true, text);
    }
  }
  assertEquals([used > 0, refused > 0, again > 0], [true, true, true]);
});

Deno.test("the key of an image that has it only is not lost to a second one", async () => {
  const { files } = made.get("plaintext")!;
  const image = new Map([[paths.image("d"), files.get(paths.image("d"))!]]);
  const error = await assertRejects(() => run(image), Error);
  assertStringIncludes(error.message, "images/d.bin is there, but secret/d.key.pem is not");
});

Deno.test("files that do not fit the key are refused by name, and stay", async () => {
  const key = await generateKey();
  const other = await exportPrivateKey(key);
  const text = (value: string) => new TextEncoder().encode(value);
  const foreign = await issueCertificate({ issuer, publicKey: key, subject: "CN=d" });
  const stranger = await createRequest({ key, subject: "CN=d" });
  const p384 = await exportPrivateKey(await generateKey({ curve: "P-384" }));
  const cases: readonly (readonly [string, keyof typeof paths, Uint8Array, string])[] = [
    ["plaintext", "key", other, "certificates/d.pem is for another key"],
    ["plaintext", "key", p384, "secret/d.key.pem is not for this batch: its key is P-384"],
    ["plaintext", "key", text("junk"), "secret/d.key.pem is not a key"],
    ["plaintext", "key", text("-----BEGIN PRIV"), "secret/d.key.pem is not a key"],
    ["plaintext", "certificate", text(foreign.pem), "certificates/d.pem is for another key"],
    ["plaintext", "certificate", text("junk"), "certificates/d.pem is not one"],
    ["plaintext", "request", text(stranger.pem), "csr/d.csr is for another key"],
    ["plaintext", "image", text("junk"), "images/d.bin has another device certificate"],
    ["plaintext", "hmacKey", new Uint8Array(32), "secret/d.hmac.bin does not go with plaintext"],
    ["rsa-ds", "hmacKey", new Uint8Array(32).fill(7), "images/d.bin is not valid: DS_BLOB"],
    ["rsa-ds", "hmacKey", new Uint8Array(31), "secret/d.hmac.bin has 31 bytes, not 32"],
    ["rsa-ds", "salt", new Uint8Array(32), "secret/d.salt.bin does not go with rsa-ds"],
    ["hmac-encrypted", "hmacKey", new Uint8Array(32).fill(7), "images/d.bin is not valid"],
    ["hmac-derived", "hmacKey", new Uint8Array(32).fill(7), "secret/d.salt.bin and the HMAC key"],
    ["hmac-derived", "salt", new Uint8Array(32).fill(7), "secret/d.salt.bin and the HMAC key"],
    ["hmac-derived", "key", other, "secret/d.salt.bin and the HMAC key give another key"],
  ];
  for (const [name, kind, bytes, message] of cases) {
    const { profile, files } = made.get(name)!;
    const left = new Map(files);
    left.set(paths[kind]("d"), bytes);
    const before = new Map(left);
    const error = await assertRejects(() => run(left, { profile }), Error, message);
    assertStringIncludes(error.message, "or move the files of these devices away");
    assertEquals(/MIGH|[0-9a-f]{32}/.test(error.message), false, error.message);
    assertEquals(left, before);
  }
});

Deno.test("an image of another device with the same CA is refused", async () => {
  const { files } = made.get("plaintext")!;
  const twin: Files = new Map();
  await run(twin);
  const left = new Map(files);
  left.set(paths.image("d"), twin.get(paths.image("d"))!);
  await assertRejects(() => run(left), Error, "images/d.bin has another device certificate");
});

Deno.test("what a crash cut off before it was a key is made again", async () => {
  for (
    const bytes of ["", "-", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nMIGH"]
  ) {
    const left: Files = new Map([[paths.key("d"), new TextEncoder().encode(bytes)]]);
    left.set(paths.certificate("d"), new Uint8Array());
    assertEquals((await run(left)).state, "verified", bytes);
  }
  const locked =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGH\n-----END ENCRYPTED PRIVATE KEY-----\n";
  const left: Files = new Map([[paths.key("d"), new TextEncoder().encode(locked)]]);
  await assertRejects(() => run(left), Error, "secret/d.key.pem is not a key");
});

Deno.test("a key program that would give another key is not heard, a row that names one is refused", async () => {
  const { files, row } = made.get("plaintext")!;
  const der = await exportPrivateKey(await generateKey(), { form: "der" });
  for (const given of [der, { problem: "the program is gone" }]) {
    const left = new Map(files);
    const result = await run(left, { keys: { name: "x", take: () => [given] } });
    assertEquals([result.state, result.row.publicKey], ["verified", row.publicKey]);
  }
  const journal = memoryBatch();
  const device = { index: 0, id: "d", fields: { privateKey: "d.pem" } };
  const rows = bulk([{ device }], {
    profile: {},
    issuer,
    journal: journal.journal,
    files: { ...journal.files, find: (path) => files.get(path) },
    jobOf: () => ({ key: der }),
  });
  await assertRejects(() => rows.next(), Error, "is not the key that the list names");
});

Deno.test("a device that cannot be made with a key that is there ends the run, and keeps it", async () => {
  const { files } = made.get("plaintext")!;
  const left: Files = new Map([[paths.key("d"), files.get(paths.key("d"))!]]);
  const profile = { data: [{ type: "user1", hex: "00".repeat(7000) }] };
  const journal = memoryBatch();
  // A device that failed before is not tried out again.
  const run = bulk(countDevices(1, "d"), {
    profile,
    issuer,
    journal: {
      ...journal.journal,
      counts: async () => ({ ...await journal.journal.counts(), failed: 1 }),
    },
    files: { ...journal.files, find: (path) => left.get(path) },
  });
  const error = await assertRejects(() => run.next(), Error, "Cannot make d with secret/d.key.pem");
  assertStringIncludes(error.message, "of an earlier run");
  assertEquals(left.size, 1);
});

Deno.test("a request that was made is used again, and so is its key", async () => {
  for (const name of ["plaintext", "rsa-ds", "hmac-derived"]) {
    const { profile } = made.get(name)!;
    const files: Files = new Map();
    const first = await run(files, { profile, phase: "requests" });
    const again = await run(new Map(files), { profile, phase: "requests" });
    assertEquals([again.state, again.row.publicKey], ["key made", first.row.publicKey]);
    files.delete(paths.key("d"));
    await assertRejects(
      () => run(files, { profile, phase: "requests" }),
      Error,
      "but secret/d",
    );
  }
});

Deno.test("an HMAC key that may be burned is used again when the certificate comes", async () => {
  const { profile } = made.get("rsa-ds")!;
  const batch = memoryBatch();
  for await (
    const _ of bulk(countDevices(1, "d"), { profile, ...batch, phase: "requests" })
  );
  const certify = async () => {
    const request = batch.files.all.get(paths.request("d"))!;
    batch.journal.certify("d", (await issueCertificate({ issuer, request })).pem);
  };
  await certify();
  const hmacKey = new Uint8Array(32).fill(3);
  await batch.files.write([{ path: paths.hmacKey("d"), bytes: hmacKey }]);
  const run = bulk(countDevices(1, "d"), {
    profile,
    issuer: { certificate: issuer.certificate },
    ...batch,
    phase: "certificates",
    certificateOf: ({ certificate }) => new TextEncoder().encode(certificate),
  });
  const { value } = await run.next();
  assertEquals((value as BulkResult).state, "verified", (value as BulkResult).reason);
  assertEquals(formatBase64(batch.files.all.get(paths.hmacKey("d"))!), formatBase64(hmacKey));
});
