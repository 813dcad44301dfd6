import { assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { concat } from "../../lib/bytes/pack.ts";
import {
  append,
  createDevelopmentCa,
  type Diff,
  diff,
  encodeNvs,
  encodePartition,
  encodePartitionTable,
  encodeTlv,
  issueCertificate,
  provision,
  SecureCertError,
} from "../../mod.ts";
import { shared, sharedTest, vector } from "../vectors.ts";
import { growsLinearly } from "../growth.ts";
import { present } from "../present.ts";

const issuer = await createDevelopmentCa();
const device = await provision({ issuer, subject: "CN=device", sans: ["dns:a.example"] });
const [A, B, C] = [51, 52, 53].map((type) => ({ type, data: new Uint8Array([type]) }));

const changes = ({ entries }: Diff) =>
  entries.map(({ change, type, subtype }) => `${change} ${type}.${subtype}`);
const fields = ({ entries }: Diff) => entries[0]!.fields.map(({ field }) => field);

Deno.test("an image is the same as itself, with an erased tail or without", async () => {
  const same = { same: true, layout: [], entries: [] };
  assertEquals(present(await diff(device.image, device.image)), same);
  const flash = concat(device.image, new Uint8Array(500).fill(0xFF));
  assertEquals(present(await diff(device.image, flash)), same);
  assertEquals(present(await diff(vector("nvs_full.bin"), vector("nvs_full.bin"))), same);
  const erased = new Uint8Array(4096).fill(0xFF);
  assertEquals(present(await diff(erased, erased.subarray(0, 16))), same);
});

Deno.test("data beside the credentials in NVS that differs is named, its value not shown", async () => {
  const bytes = (text: string) => new TextEncoder().encode(`${text}\0`);
  const of = (ssid: string, n: number, other: "x" | "y") =>
    encodeNvs([
      { namespace: "esp_secure_cert", key: "ds_key_id", type: "u8", value: 1 },
      { namespace: "wifi", key: "ssid", type: "string", value: bytes(ssid) },
      { namespace: "wifi", key: "n", type: "u8", value: n },
      { namespace: "wifi", key: other, type: "u8", value: 1 },
    ]);
  const first = of("hidden-one", 1, "x");
  const result = await diff(first, of("hidden-two", 1, "y"));
  assertEquals([result.same, result.layout, result.entries], [false, [], []]);
  assertEquals(
    result.others?.map(({ change, key, differs }) => [change, key, ...differs]),
    [["changed", "ssid", "value"], ["removed", "x"], ["added", "y"]],
  );
  assertEquals(JSON.stringify(result).includes("hidden"), false);
  assertEquals((await diff(first, of("hidden-one", 2, "x"))).others?.[0]?.differs, ["value"]);
  assertEquals(present(await diff(first, first)), { same: true, layout: [], entries: [] });
});

Deno.test("entries that are added, removed, changed and moved are distinguished", async () => {
  const cases: readonly (readonly [Parameters<typeof encodePartition>[0], readonly string[]])[] = [
    [[A!, B!, C!], []],
    [[A!, C!], ["removed 52.0"]],
    [[A!, B!, C!, { ...A!, subtype: 1 }], ["added 51.1"]],
    [[A!, { ...B!, data: new Uint8Array(9) }, C!], ["changed 52.0"]],
    [[A!, { ...B!, flags: 1 }, C!], ["changed 52.0"]],
    [[B!, C!, A!], ["moved 51.0"]],
    [[C!, A!, B!], ["moved 53.0"]],
    [[C!, { ...B!, data: new Uint8Array(9) }, { ...A!, subtype: 1 }], [
      "removed 51.0",
      "changed 52.0",
      "added 51.1",
    ]],
  ];
  const first = encodePartition([A!, B!, C!]);
  for (const [entries, expected] of cases) {
    const result = await diff(first, encodePartition(entries));
    assertEquals(changes(result), [...expected]);
    assertEquals(result.same, expected.length === 0);
  }
  const moved = await diff(first, encodePartition([B!, C!, A!]));
  assertEquals(moved.entries[0]?.fields, [{ field: "position", a: 0, b: 2 }]);
});

Deno.test("a renewed certificate differs in what was renewed", async () => {
  const certificate = await issueCertificate({
    issuer,
    publicKey: device.key.publicKey,
    subject: "CN=device",
    sans: ["dns:b.example"],
    days: 30,
  });
  const data = new TextEncoder().encode(certificate.pem);
  const { image } = await append(device.image, { replace: [{ type: 1, data }] });
  const result = await diff(device.image, image);
  assertEquals(changes(result), ["changed 1.0", "changed 9.0"]);
  const names = fields(result);
  for (const name of ["serial", "notAfter", "sans"]) {
    assertEquals(names.includes(`certificate.${name}`), true, name);
  }
  for (const name of ["subject", "issuer", "key"]) {
    assertEquals(names.includes(`certificate.${name}`), false, name);
  }
  const sans = result.entries[0]!.fields.find(({ field }) => field === "certificate.sans");
  assertEquals(sans, { field: "certificate.sans", a: "dns:a.example", b: "dns:b.example" });
});

Deno.test("no private key is in a difference", async () => {
  const other = await provision({ issuer, subject: "CN=other" });
  const result = await diff(device.image, other.image);
  assertEquals(changes(result).includes("changed 2.0"), true);
  assertEquals(JSON.stringify(result).includes("PRIVATE KEY"), false);
});

Deno.test("bytes that belong to no value differ too", async () => {
  const image = encodePartition([A!]);
  const padded = encodeTlv({ ...A!, padding: new Uint8Array(15).fill(1) });
  assertEquals((await diff(image, padded)).layout.map(({ field }) => field), [
    "bytes outside the values",
  ]);
  const stray = concat(image, Uint8Array.of(0xFF, 0xFF, 0, 0));
  assertEquals((await diff(image, stray)).layout, [
    { field: "bytes after the entries", a: 0, b: 4 },
  ]);
  const wrong = image.with(-1, image.at(-1)! ^ 1);
  assertEquals(fields(await diff(image, wrong)), ["checksum"]);
});

Deno.test("erased flash lacks every entry, and what is not an image is refused", async () => {
  const erased = new Uint8Array(0x2000).fill(0xFF);
  assertEquals(changes(await diff(erased, encodePartition([A!, B!]))), [
    "added 51.0",
    "added 52.0",
  ]);
  const random = crypto.getRandomValues(new Uint8Array(0x1000));
  for (const bytes of [random, new Uint8Array(), new TextEncoder().encode("text")]) {
    const error = await assertRejects(() => diff(device.image, bytes), SecureCertError, "second");
    assertEquals(error.code, "ERR_MAGIC");
    await assertRejects(() => diff(bytes, device.image), SecureCertError, "first");
  }
});

Deno.test("an image is found in a dump of flash", async () => {
  const entry = { name: "esp_secure_cert", type: 0x3F, subtype: 6, offset: 0xD000, size: 0x2000 };
  const dump = new Uint8Array(0x20000).fill(0xFF);
  dump.set(encodePartitionTable([entry]), 0x8000);
  dump.set(device.image, 0xD000);
  dump.fill(0xA5, 0x10000);
  assertEquals(present(await diff(device.image, dump)), { same: true, layout: [], entries: [] });
  dump.fill(0xFF, 0xD000, 0xF000);
  const { entries } = await diff(device.image, dump);
  assertEquals(entries.map(({ change }) => change), Array(4).fill("removed"));
});

Deno.test("two ways of comparing agree, and equal lists never differ", async () => {
  const entry = fc.record({
    type: fc.integer({ min: 51, max: 54 }),
    subtype: fc.integer({ min: 0, max: 1 }),
    data: fc.uint8Array({ maxLength: 2 }),
  });
  const list = fc.array(entry, { maxLength: 8 }).map((all) => encodePartition([A!, ...all]));
  const count = ({ entries }: Diff, change: string) =>
    entries.filter((each) => each.change === change).length;
  const property = fc.asyncProperty(list, list, async (a, b) => {
    const [one, other] = [await diff(a, b), await diff(b, a)];
    assertEquals(count(one, "added"), count(other, "removed"));
    assertEquals(count(one, "removed"), count(other, "added"));
    assertEquals(one.same, a.length === b.length && a.every((byte, at) => byte === b[at]));
  });
  await fc.assert(property, { seed: 20261124, numRuns: 200 });
});

Deno.test("a long list is compared in linear time", async () => {
  const compare = (length: number) => {
    const entries = Array.from({ length }, (_, at) => ({
      type: 51 + at % 5,
      subtype: Math.floor(at / 5) % 254,
      data: new Uint8Array([at & 0xFF]),
    }));
    const [a, b] = [entries, entries.toReversed()].map((list) =>
      encodePartition(list, { size: 0xFF00 })
    );
    return () => diff(a!, b!);
  };
  assertEquals(await growsLinearly(compare, [100, 1200]), true);
});

sharedTest("the same credentials in other layouts differ only in their layout", async () => {
  const result = await diff(
    shared("generated/cf_ec/expected.bin"),
    shared("generated/nvs_full/expected.bin"),
  );
  assertEquals(result.layout, [{ field: "format", a: "cust_flash", b: "nvs" }]);
  assertEquals(result.entries.some(({ change }) => change === "moved"), false);
});
