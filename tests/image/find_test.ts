import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  encodeCustFlash,
  encodeNvs,
  encodeNvsCredentials,
  encodePartition,
  encodePartitionTable,
  encodeTlv,
  findSecureCert,
  formatPem,
  type Found,
  inspect,
  type PartitionTableEntry,
  verify,
} from "../../mod.ts";
import { MAX_CHAINS } from "../../lib/image/find/find.ts";
import { shared, sharedTest } from "../vectors.ts";
import { growsLinearly } from "../growth.ts";
import { present } from "../present.ts";

const SEED = 20261124;
const FLASH = 0x40000;
const MIB = 1024 * 1024;

const OURS: PartitionTableEntry = {
  name: "esp_secure_cert",
  type: 0x3F,
  subtype: 6,
  offset: 0xD000,
  size: 0x2000,
};
const NVS: PartitionTableEntry = {
  name: "nvs",
  type: 1,
  subtype: 2,
  offset: 0x9000,
  size: 0x4000,
};
const APP: PartitionTableEntry = {
  name: "factory",
  type: 0,
  subtype: 0,
  offset: 0x20000,
  size: 0x10000,
};

const entry = (byte: number, length = 20) => ({
  type: 51,
  subtype: byte,
  data: new Uint8Array(length).fill(byte),
});
const IMAGE = encodePartition([entry(1), entry(2), entry(3)], { integrity: true });
const pem = (text: string) =>
  new TextEncoder().encode(formatPem("CERTIFICATE", new TextEncoder().encode(text)) + "\0");
const NVS_IMAGE = encodeNvsCredentials({ deviceCert: pem("a"), caCert: pem("b") });
const PRE_PROV_NVS = encodeNvsCredentials({ deviceCert: pem("a") }, { namespace: "pre_prov" });
const CUST_FLASH = encodeCustFlash({ deviceCert: pem("a") }, { size: 0x3000 });

interface DumpParts {
  readonly entries?: readonly PartitionTableEntry[];
  /** Where the table is; none without. */
  readonly tableAt?: number;
  readonly parts?: readonly (readonly [number, Uint8Array])[];
  readonly length?: number;
}

/** A dump of a whole flash: a bootloader's first byte, and the rest erased but for these parts. */
function dumpOf({ entries = [NVS, OURS, APP], tableAt = 0x8000, parts, length }: DumpParts = {}) {
  const dump = new Uint8Array(FLASH).fill(0xFF);
  dump[0] = 0xE9;
  dump.set(encodePartitionTable(entries), tableAt);
  for (const [offset, bytes] of parts ?? [[0xD000, IMAGE]]) dump.set(bytes, offset);
  return dump.subarray(0, length);
}

function viaTable(found: Found): Extract<Found, { kind: "table" }> {
  assertEquals(found.kind, "table");
  return found as Extract<Found, { kind: "table" }>;
}

function viaScan(found: Found): Extract<Found, { kind: "scan" }> {
  assertEquals(found.kind, "scan");
  return found as Extract<Found, { kind: "scan" }>;
}

/** Bytes that look like ciphertext, the same in every run (xorshift32). */
function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  let state = SEED;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 24;
  });
}

const codesOf = ({ findings }: { findings: readonly { code: string }[] }) =>
  findings.map(({ code }) => code);

Deno.test("an image is found to be one, whatever its layout", () => {
  for (const image of [IMAGE, NVS_IMAGE, PRE_PROV_NVS, CUST_FLASH]) {
    assertEquals(findSecureCert(image), { kind: "image" });
    assertEquals(findSecureCert(image, { tableOffset: 0x9000 }), { kind: "image" });
  }
});

Deno.test("the table says where the partition is, and its bytes are a view of the dump", () => {
  for (const tableAt of [0x8000, 0x7000]) {
    for (const flags of [0, 1]) {
      const dump = dumpOf({ tableAt, entries: [NVS, { ...OURS, flags }, APP] });
      const options = tableAt === 0x8000 ? {} : { tableOffset: tableAt };
      const { table, partition, others } = viaTable(findSecureCert(dump, options));
      assertEquals([table.offset, table.entries.length, table.md5?.ok], [tableAt, 3, true]);
      assertEquals([partition.offset, partition.size], [0xD000, 0x2000]);
      assertEquals([partition.encrypted, others], [flags === 1, []]);
      assertEquals(partition.entry, { ...OURS, flags });
      assertEquals(partition.bytes, dump.subarray(0xD000, 0xF000));
      assertEquals(partition.bytes.buffer, dump.buffer);
    }
  }
});

Deno.test("a dump within a larger buffer is read in place", () => {
  const buffer = new Uint8Array(FLASH + 77);
  buffer.set(dumpOf(), 77);
  assertEquals(viaTable(findSecureCert(buffer.subarray(77))).partition.offset, 0xD000);
});

Deno.test("a dump that begins with its table begins where the table is", () => {
  const flash = dumpOf();
  const { table, partition } = viaTable(findSecureCert(flash.subarray(0x8000)));
  assertEquals([table.offset, partition.offset, partition.entry.offset], [0, 0x5000, 0xD000]);
  assertEquals(partition.bytes, flash.subarray(0xD000, 0xF000));
  const moved = dumpOf({ tableAt: 0x9000, entries: [OURS] });
  const options = { tableOffset: 0x9000 };
  assertEquals(viaTable(findSecureCert(moved.subarray(0x9000), options)).partition.offset, 0x4000);
});

Deno.test("partitions are taken in the firmware's order, erased ones last", () => {
  const data = { type: 1, subtype: 2, size: 0x3000 };
  const ordered: readonly PartitionTableEntry[] = [
    OURS,
    { ...data, name: "esp_secure_cert", offset: 0x10000 },
    { ...data, name: "pre_prov", offset: 0x13000 },
    { ...OURS, name: "pre_prov", offset: 0x16000, size: 0x3000 },
  ];
  const contents = [IMAGE, NVS_IMAGE, PRE_PROV_NVS, CUST_FLASH];
  for (let first = 0; first < ordered.length; first++) {
    const parts = ordered.slice(first).map(({ offset }, index) =>
      [offset, contents[first + index]!] as const
    );
    const { partition, others } = viaTable(
      findSecureCert(dumpOf({ entries: ordered.toReversed(), parts })),
    );
    const flagged = ordered.map((each) => ({ ...each, flags: 0 }));
    assertEquals(partition.entry, flagged[first]!, `${first}`);
    assertEquals(others.map((each) => each.entry), flagged.toSpliced(first, 1), `${first}`);
  }
  const bare = viaTable(findSecureCert(dumpOf({ entries: ordered.toReversed(), parts: [] })));
  assertEquals(bare.partition.entry.offset, OURS.offset);
});

Deno.test("a name by itself does not make the partition", () => {
  const entries = [
    { ...OURS, type: 0x40 },
    { ...OURS, name: "esp_secure_cer" },
    { ...NVS, name: "pre_prov", subtype: 4 },
  ];
  const found = viaScan(findSecureCert(dumpOf({ entries })));
  assertEquals([found.table?.offset, found.chains.length], [0x8000, 1]);
  assertEquals(findSecureCert(dumpOf({ entries, parts: [] })).kind, "none");
});

Deno.test("without a table chains are found, each once, at multiples of 16", () => {
  const dump = randomBytes(FLASH);
  const other = encodePartition([entry(9)]);
  dump.set(IMAGE, 0x3000);
  dump.set(other, 0x5010);
  dump.set(other, 0x6008);
  dump.set(IMAGE, FLASH - IMAGE.length);
  assertEquals(viaScan(findSecureCert(dump)).chains, [
    { offset: 0x3000, entries: 4, used: IMAGE.length },
    { offset: 0x5010, entries: 1, used: other.length },
    { offset: FLASH - IMAGE.length, entries: 4, used: IMAGE.length },
  ]);
});

Deno.test("a magic number without an entry is no chain, and hides none", () => {
  const dump = new Uint8Array(FLASH);
  const bad = encodeTlv(entry(1, 3000));
  bad[20]! ^= 1;
  dump.set(bad, 0x100);
  dump.set(encodeTlv(entry(1)).subarray(0, 12), FLASH - 16);
  assertEquals(findSecureCert(dump).kind, "none");
  dump.set(IMAGE, 0x200);
  assertEquals(viaScan(findSecureCert(dump)).chains.map(({ offset }) => offset), [0x200]);
});

Deno.test("an entry with a wrong checksum inside a chain does not end it", () => {
  const image = IMAGE.slice();
  image[60]! ^= 1;
  const dump = dumpOf({ entries: [APP], parts: [[0xD000, image]] });
  const [chain] = viaScan(findSecureCert(dump)).chains;
  assertEquals([chain?.entries, chain?.used], [4, IMAGE.length]);
});

Deno.test("a scan stops at its limit", () => {
  const unit = new Uint8Array([...encodeTlv(entry(0, 0)), ...new Uint8Array(16)]);
  const dump = new Uint8Array(unit.length * (MAX_CHAINS + 50) + 16);
  for (let at = 16; at < dump.length; at += unit.length) dump.set(unit, at);
  const { chains } = viaScan(findSecureCert(dump));
  assertEquals([chains.length, chains.at(-1)?.offset], [MAX_CHAINS, 16 + 99 * unit.length]);
});

Deno.test("an NVS partition of a board is no image, and no table either", () => {
  const other = encodeNvs([{ namespace: "wifi", key: "ssid", type: "string", value: "x" }]);
  const dump = new Uint8Array(FLASH).fill(0xFF);
  dump.set(other);
  assertEquals(present(findSecureCert(dump)), { kind: "none" });
  dump.set(IMAGE, 0x4000);
  assertEquals(viaScan(findSecureCert(dump)).chains[0]?.offset, 0x4000);
});

Deno.test("a table offset that is none is misuse", () => {
  for (const tableOffset of [-1, 1.5, NaN, 2 ** 32]) {
    assertThrows(() => findSecureCert(IMAGE, { tableOffset }), RangeError);
  }
  assertEquals(findSecureCert(dumpOf(), { tableOffset: 0xFFFFFFFF }).kind, "scan");
});

Deno.test("inspect and verify read the partition of a dump as they read its image", async () => {
  const image = encodePartition([entry(1), entry(2)], { size: 0x2000, fill: true });
  const { location: inspected, partitionTable, ...reportAlone } = await inspect(image);
  const { location: verified, ...verdictAlone } = await verify(image);
  assertEquals([inspected, partitionTable, verified], [undefined, undefined, undefined]);
  for (const tableAt of [0x8000, 0x7000]) {
    const dump = dumpOf({ tableAt, parts: [[0xD000, image]] });
    const options = { tableOffset: tableAt };
    const { location, partitionTable, ...report } = await inspect(dump, options);
    assertEquals(report, reportAlone);
    assertEquals(partitionTable?.secureCert?.offset, 0xD000);
    const { location: again, ...verdict } = await verify(dump, options);
    assertEquals(verdict, verdictAlone);
    assertEquals(location, again);
    assertEquals(location, {
      kind: "table",
      tableOffset: tableAt,
      partition: {
        name: "esp_secure_cert",
        type: 0x3F,
        subtype: 6,
        offset: 0xD000,
        size: 0x2000,
        encrypted: false,
        readonly: false,
      },
      offset: 0xD000,
      others: [],
    });
  }
});

Deno.test("other layouts are read through the table", async () => {
  const data = { ...NVS, offset: 0x10000, size: 0x3000 };
  const cases: readonly (readonly [PartitionTableEntry, Uint8Array, string])[] = [
    [{ ...OURS, offset: 0xE000, size: 0x3000 }, CUST_FLASH, "cust_flash"],
    [{ ...data, name: "esp_secure_cert" }, NVS_IMAGE, "nvs"],
    [{ ...data, name: "pre_prov" }, PRE_PROV_NVS, "nvs_legacy"],
  ];
  for (const [place, image, format] of cases) {
    const dump = dumpOf({ entries: [NVS, place, APP], parts: [[place.offset, image]] });
    const { location, ...report } = await inspect(dump);
    assertEquals([report.format, location?.offset], [format, place.offset]);
    assertEquals(report.entries, (await inspect(image)).entries);
  }
});

Deno.test("an erased, encrypted, cut or absent partition is reported", async () => {
  const encrypted = { ...OURS, flags: 1 };
  const random = randomBytes(0x2000);
  const gone = randomBytes(FLASH).fill(0xFF, 0, 0x1000).fill(0xFF, 0x7000, 0x8000);
  const cases: readonly (readonly [string, Uint8Array, readonly string[]])[] = [
    ["erased", dumpOf({ parts: [] }), ["LOOKS_ERASED"]],
    ["encrypted", dumpOf({ entries: [encrypted], parts: [[0xD000, random]] }), ["LOOKS_ENCRYPTED"]],
    ["encrypted, its end erased", dumpOf({ parts: [[0xD000, random.subarray(0, 1488)]] }), [
      "LOOKS_ENCRYPTED",
    ]],
    ["all encrypted", gone, ["LOOKS_ENCRYPTED"]],
    ["all erased", new Uint8Array(FLASH).fill(0xFF), ["LOOKS_ERASED"]],
    ["zeros", dumpOf({ parts: [[0xD000, new Uint8Array(0x2000)]] }), ["NOT_AN_IMAGE"]],
    ["outside", dumpOf({ length: 0xC000 }), ["TRUNCATED"]],
    ["no partition", dumpOf({ entries: [NVS], parts: [] }), ["NOT_AN_IMAGE"]],
  ];
  for (const [name, dump, expected] of cases) {
    const verdict = await verify(dump);
    assertEquals(
      [verdict.ok, verdict.format, codesOf(verdict)],
      [false, "unknown", expected],
      name,
    );
    assertEquals(verdict.checks, [{ name: "format", ok: false, state: "error" }], name);
    assertEquals((await inspect(dump)).findings, verdict.findings, name);
  }
});

Deno.test("a dump that ends within the partition is TRUNCATED, and what is there is read", async () => {
  const cut = await inspect(dumpOf({ length: 0xD000 + 0x100 }));
  assertEquals([cut.entries.length, cut.size, codesOf(cut)[0]], [4, 0x100, "TRUNCATED"]);
  const short = await inspect(dumpOf({ length: 0xD000 + 60 }));
  assertEquals([short.entries.length, codesOf(short).slice(0, 2)], [1, ["TRUNCATED", "TRUNCATED"]]);
});

Deno.test("a table that the firmware refuses makes the verdict bad", async () => {
  const dump = dumpOf();
  dump[0x8000 + 8]! ^= 0x40;
  assertEquals(codesOf(await verify(dump))[0], "BAD_CHECKSUM");
  const broken = dumpOf();
  broken[0x8000 + 32] = 0;
  const { findings: [first] } = await verify(broken);
  assertEquals([first?.severity, first?.code], ["error", "BAD_MAGIC"]);
  assertMatch(first!.message, /row at 32 has no magic number/);
});

Deno.test("bytes after the row that ends a table do not hide it", () => {
  const dump = dumpOf();
  dump.fill(0, 0x8A00, 0x8C00);
  assertEquals(findSecureCert(dump).kind, "table");
});

Deno.test("what a scan found is checked as far as it goes, and the rest is listed", async () => {
  const dump = new Uint8Array(FLASH).fill(0xFF);
  dump.set(IMAGE, 0x2000);
  dump.set(IMAGE, 0x3100);
  dump.set(new Uint8Array(64), 0x3000);
  const report = await inspect(dump);
  assertEquals(report.location, {
    kind: "scan",
    tableOffset: null,
    partition: null,
    offset: 0x2000,
    others: [{ offset: 0x3100, entries: 4, used: IMAGE.length }],
  });
  assertEquals([report.format, report.size, report.entries.length], ["tlv", 0x1000, 4]);
  assertEquals(codesOf(report).includes("STRAY_BYTES"), false);
  assertEquals([report.findings[0]?.severity, report.findings[0]?.code], ["warning", "BAD_MAGIC"]);
});

Deno.test("an image whose first entry is damaged is not taken for one that begins later", async () => {
  const image = encodePartition([entry(1), entry(2), entry(3)], { integrity: true, fill: true });
  image[0] = 0;
  const verdict = await verify(image);
  assertEquals([verdict.ok, verdict.format, codesOf(verdict)], [false, "unknown", ["BAD_MAGIC"]]);
  assertMatch(verdict.findings[0]!.message, /start at 0x30 \(3\)$/);
});

Deno.test("a table that names no partition makes an image beside it bad", async () => {
  const verdict = await verify(dumpOf({ entries: [NVS, APP] }));
  assertEquals([verdict.ok, verdict.format, codesOf(verdict)[0]], [false, "tlv", "NOT_AN_IMAGE"]);
  assertEquals(verdict.location?.tableOffset, 0x8000);
  const shifted = await verify(dumpOf({ entries: [NVS, APP], parts: [[0xD010, IMAGE]] }));
  assertEquals([shifted.format, codesOf(shifted)], ["unknown", ["NOT_AN_IMAGE", "BAD_MAGIC"]]);
});

Deno.test("inspect shows a partition table, binary or as text", async () => {
  const entries = [NVS, { ...OURS, flags: 1 }, { ...APP, offset: 0xE000 }];
  const binary = encodePartitionTable(entries);
  const text = new TextEncoder().encode(
    "# Name, Type, SubType, Offset, Size, Flags\nnvs, data, nvs, 0x9000, 0x4000\n" +
      "esp_secure_cert, 0x3F, , , 0x2000, encrypted\nfactory, app, factory, 0xE000, 0x10000\n",
  );
  for (const bytes of [binary, text, new Uint8Array([...binary, ...new Uint8Array(0x400)])]) {
    const { format, size, partitionTable, credentials, findings } = await inspect(bytes);
    assertEquals([format, size, findings], ["partition_table", bytes.length, []]);
    assertEquals(credentials.deviceCert, false);
    assertEquals(partitionTable?.entries.map(({ name }) => name), [
      "nvs",
      "esp_secure_cert",
      "factory",
    ]);
    assertEquals(partitionTable?.secureCert, partitionTable?.entries[1]);
    assertEquals(partitionTable?.secureCert?.encrypted, true);
    assertEquals(partitionTable?.md5?.ok, bytes === text ? undefined : true);
    assertEquals(partitionTable?.findings.map(({ kind, message }) => `${kind}: ${message}`), [
      "alignment: the offset of factory is not a multiple of 0x10000",
      "overlap: factory overlaps esp_secure_cert",
    ]);
    const verdict = await verify(bytes);
    assertEquals([verdict.ok, codesOf(verdict)], [false, ["NOT_AN_IMAGE"]]);
    assertMatch(verdict.findings[0]!.message, /partition table/);
  }
});

Deno.test("every rule of a table has its words", async () => {
  const data = (name: string, subtype: number, offset: number, size: number, flags = 0) => ({
    name,
    type: 1,
    subtype,
    offset,
    size,
    flags,
  });
  const entries = [
    data("early", 6, 0x1000, 0x1000),
    data("same", 6, 0xA000, 0),
    data("same", 2, 0xB000, 0x1000),
    data("ota", 0, 0xC000, 0x1000, 2),
    data("ota2", 0, 0xE000, 0x2000),
  ];
  const { partitionTable } = await inspect(encodePartitionTable(entries));
  assertEquals(partitionTable?.findings.map(({ message }) => message), [
    "early starts before the partition table ends, at 0x9000",
    "same has no bytes",
    "same has 0x1000 bytes; NVS that is written takes 0x3000",
    "ota has 0x1000 bytes, OTA data takes 0x2000",
    "ota is read-only, and the firmware must write it",
    "a second partition is named same",
    "ota2 is a second partition for OTA data",
  ]);
});

Deno.test("a damaged table says what is wrong with it", async () => {
  const wrong = encodePartitionTable([OURS]);
  wrong[8]! ^= 1;
  const report = await inspect(wrong);
  assertEquals([report.format, codesOf(report)], ["partition_table", ["BAD_CHECKSUM"]]);
  const text = "# Name, Type, SubType, Offset, Size, Flags\nnvs, data, what, 0x9000, 0x4000\n";
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [encodePartitionTable([OURS]).subarray(0, 64), /partition table: .* need 32 bytes, have 0/],
    [new TextEncoder().encode(text), /text of a partition table: .*'what'.* in line 2/],
    [new TextEncoder().encode("# nothing, but a comment\n"), /^looks like text$/],
  ];
  for (const [bytes, message] of cases) {
    const { format, findings } = await inspect(bytes);
    assertEquals([format, findings[0]?.code], ["unknown", "NOT_AN_IMAGE"]);
    assertMatch(findings[0]!.message, message);
  }
});

Deno.test("any bytes get an answer, and a partition that is found is within them", async () => {
  const table = encodePartitionTable([NVS, OURS]).subarray(0, 128);
  const pieces = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.constantFrom(IMAGE, table, encodeTlv(entry(1)), new Uint8Array(200).fill(0xFF)),
      fc.constantFrom(NVS_IMAGE, CUST_FLASH.subarray(0, 100)),
    ),
    { maxLength: 6 },
  ).map((list) => new Uint8Array(list.flatMap((piece) => [...piece])));
  const flips = fc.array(fc.tuple(fc.nat(FLASH - 1), fc.nat(255)), { maxLength: 8 }).map((list) => {
    const dump = dumpOf();
    // Half of the changes go where they matter.
    for (const [at, byte] of list) dump[at % 2 ? at : 0x8000 + at % 160] = byte;
    return dump;
  });
  const tableOffset = fc.constantFrom(0, 16, 0x100, 0x8000, 0xFFFFFFFF);
  await fc.assert(
    fc.asyncProperty(fc.oneof(pieces, flips), tableOffset, async (dump, tableOffset) => {
      const before = dump.slice();
      const found = findSecureCert(dump, { tableOffset });
      if (found.kind === "table") {
        const { bytes, offset, size } = found.partition;
        assert(bytes.length <= size);
        if (bytes.length > 0) assertEquals(bytes, dump.subarray(offset, offset + bytes.length));
      }
      if (found.kind === "scan") {
        for (const { offset, used } of found.chains) assert(offset + used <= dump.length);
      }
      assertEquals(typeof (await verify(dump, { tableOffset })).ok, "boolean");
      JSON.stringify(await inspect(dump, { tableOffset }));
      assertEquals(dump, before);
    }),
    { seed: SEED, numRuns: 300 },
  );
});

/** A dump filled with 16 bytes, its first left out so that it is no image. */
function filled(length: number, unit: Uint8Array): Uint8Array {
  const dump = new Uint8Array(length);
  for (let at = 16; at + unit.length <= length; at += unit.length) dump.set(unit, at);
  return dump;
}

function header(length: number): Uint8Array {
  const bytes = encodeTlv(entry(0, 0)).slice();
  new DataView(bytes.buffer).setUint16(10, length, true);
  bytes[12]! ^= 1;
  return bytes;
}

Deno.test("finding takes time linear in the length of the dump, whatever it is made of", async () => {
  const units = [header(0), header(4080), header(0xFFE0), header(0xFFFF), encodeTlv(entry(0, 0))];
  for (const [index, unit] of [...units, new Uint8Array(16).fill(0x11)].entries()) {
    const find = (length: number) => {
      const dump = filled(length, unit);
      return () => findSecureCert(dump);
    };
    assert(await growsLinearly(find, [MIB / 8, 2 * MIB]), `unit ${index}`);
  }
});

Deno.test("16 MiB are searched without a copy", async () => {
  const dump = new Uint8Array(16 * MIB).fill(0xFF);
  for (let at = 0x20000; at < 8 * MIB; at += 0x10000) dump.set(randomBytes(0x10000), at);
  const without = dump.slice();
  dump.set(dumpOf().subarray(0, 0x10000));
  without.set(IMAGE, 0xD000);
  for (const [each, kind] of [[dump, "table"], [without, "scan"]] as const) {
    findSecureCert(each);
    const before = Deno.memoryUsage();
    assertEquals(findSecureCert(each).kind, kind);
    await inspect(each);
    const after = Deno.memoryUsage();
    const grown = after.external + after.heapUsed - before.external - before.heapUsed;
    assert(grown < 2 * each.length, `${kind}: ${grown} bytes`);
  }
});

sharedTest("published tables say where the published images are", async () => {
  const formats = { nvs: "nvs", nvs_legacy: "nvs_legacy", cust_flash: "cust_flash" };
  const all = { ...formats, cust_flash_legacy: "cust_flash_legacy", cust_flash_tlv: "tlv" };
  for (const [name, format] of Object.entries(all)) {
    const folder = `espressif/qemu_test/${name}`;
    const [binary, text] = [
      shared(`${folder}/partition-table.bin`),
      shared(`${folder}/partitions.csv`),
    ];
    const report = await inspect(binary);
    const { md5, ...table } = report.partitionTable!;
    const { md5: none, ...sameTable } = (await inspect(text)).partitionTable!;
    assertEquals([md5?.ok, none, table.findings], [true, null, []], name);
    // The text of cust_flash_tlv was given the flag `encrypted` after its table was built.
    if (name !== "cust_flash_tlv") assertEquals(table, sameTable, name);
    assertEquals(table.secureCert?.offset, 0xD000, name);
    const image = shared(`${folder}/${name}.bin`);
    const dump = new Uint8Array(0x20000).fill(0xFF);
    dump.set(binary, 0x8000);
    dump.set(image, 0xD000);
    const found = await inspect(dump);
    assertEquals([found.format, found.location?.kind], [format, "table"], name);
    assertEquals(found.entries, (await inspect(image)).entries, name);
  }
});
