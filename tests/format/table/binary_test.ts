import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import { formatPartitionCsv, parsePartitionCsv } from "../../../lib/format/table/csv.ts";
import {
  decodePartitionTable,
  encodePartitionTable,
  type PartitionTableEntry,
  readPartitionTable,
} from "../../../lib/format/table/binary.ts";
import { checkPartitionTable } from "../../../lib/format/table/check.ts";
import { openssl, opensslTest, shared, sharedTest, sharedText } from "../../vectors.ts";

const SEED = 20261124;
const ROW = 32;

const GOOD: readonly PartitionTableEntry[] = [
  { name: "nvs", type: 1, subtype: 2, offset: 0x9000, size: 0x3000 },
  { name: "esp_secure_cert", type: 0x3F, subtype: 6, offset: 0xD000, size: 0x2000, flags: 1 },
  { name: "factory", type: 0, subtype: 0, offset: 0x20000, size: 0x100000 },
];

/** The rows and the MD5 of these entries, by Python's struct and hashlib. */
const GOOD_HEX = "aa50010200900000003000006e76730000000000000000000000000000000000" +
  "aa503f0600d00000002000006573705f7365637572655f636572740001000000" +
  "aa5000000000020000001000666163746f727900000000000000000000000000" +
  "ebebffffffffffffffffffffffffffff3c0e29df8097f5ee8a04ad29f8cc7bed";

const u32 = fc.oneof(fc.nat(0xFFFF), fc.integer({ min: 0, max: 0xFFFFFFFF }));
const byte = fc.oneof(fc.constantFrom(0, 1, 2, 6, 0x10, 0x20, 0x3F), fc.nat(255));
const anyEntry = fc.record({
  name: fc.string({ maxLength: 16, unit: "grapheme" }).filter((name) =>
    new TextEncoder().encode(name).length <= 16 && !/[\0\uFEFF]/.test(name)
  ),
  type: byte,
  subtype: byte,
  offset: u32,
  size: u32,
  flags: u32,
});

function table(count: number): PartitionTableEntry[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `p${index}`,
    type: 1,
    subtype: 6,
    offset: 0x10000 + index * 0x1000,
    size: 0x1000,
  }));
}

function refused(run: () => unknown): SecureCertError {
  return assertThrows(run, SecureCertError);
}

Deno.test("encodePartitionTable writes the documented bytes", () => {
  const bytes = encodePartitionTable(GOOD);
  assertEquals(bytes.length, 0xC00);
  assertEquals(bytes.toHex(), GOOD_HEX + "ff".repeat(0xC00 - 128));
  const bare = encodePartitionTable(GOOD, { md5: false });
  assertEquals(bare.toHex(), GOOD_HEX.slice(0, 192) + "ff".repeat(0xC00 - 96));
  assertEquals(decodePartitionTable(bare).md5, undefined);
});

Deno.test("a table of any entries decodes to them and encodes to the same bytes", () => {
  fc.assert(
    fc.property(fc.array(anyEntry, { maxLength: 12 }), fc.boolean(), (entries, md5) => {
      const bytes = encodePartitionTable(entries, { md5 });
      const decoded = decodePartitionTable(bytes);
      assertEquals(decoded.entries, entries);
      assertEquals(decoded.md5?.ok, md5 ? true : undefined);
      assertEquals(decoded.used, (entries.length + (md5 ? 1 : 0)) * ROW);
      assertEquals(
        encodePartitionTable(decoded.entries, { md5: decoded.md5 !== undefined }),
        bytes,
      );
      assertEquals(decodePartitionTable(bytes.subarray(0, decoded.used + ROW)), decoded);
    }),
    { seed: SEED },
  );
});

Deno.test("a table holds 94 partitions with a digest and 95 without", () => {
  for (const [md5, most] of [[true, 94], [false, 95]] as const) {
    const bytes = encodePartitionTable(table(most), { md5 });
    assertEquals(decodePartitionTable(bytes).entries.length, most);
    assertEquals(bytes.subarray(0xC00 - ROW).toHex(), "ff".repeat(ROW));
    const code = refused(() => encodePartitionTable(table(most + 1), { md5 })).code;
    assertEquals(code, "ERR_TOO_LARGE");
  }
});

Deno.test("no flipped bit goes unnoticed where there is a digest", () => {
  const bytes = encodePartitionTable(GOOD);
  for (let bit = 0; bit < bytes.length * 8; bit += bit < 160 * 8 ? 1 : 61) {
    const damaged = bytes.slice();
    damaged[bit >> 3]! ^= 1 << bit % 8;
    refused(() => decodePartitionTable(damaged));
  }
});

Deno.test("every truncation in front of the closing row is refused", () => {
  const bytes = encodePartitionTable(GOOD);
  for (let length = 0; length < 5 * ROW; length++) {
    assertEquals(
      refused(() => decodePartitionTable(bytes.subarray(0, length))).code,
      "ERR_TRUNCATED",
    );
  }
  assertEquals(decodePartitionTable(bytes.subarray(0, 5 * ROW)).entries.length, 3);
});

Deno.test("a wrong digest is reported by the one and refused by the other", () => {
  const bytes = encodePartitionTable(GOOD);
  bytes[5]! ^= 0x01;
  const { md5, entries } = readPartitionTable(bytes);
  assertEquals(md5?.ok, false);
  assertEquals(md5?.stored.toHex(), GOOD_HEX.slice(-32));
  assert(md5?.computed.toHex() !== GOOD_HEX.slice(-32));
  assertEquals(entries[0]?.offset, 0x9100);
  const error = refused(() => decodePartitionTable(bytes));
  assertEquals([error.code, error.place.offset], ["ERR_CHECKSUM", 96]);
});

Deno.test("rows of no kind, stray bytes and bad names are refused with their place", () => {
  const cases: [offset: number, value: number, code: string, place: number][] = [
    [0, 0x00, "ERR_MAGIC", 0],
    [64, 0xEB, "ERR_MAGIC", 64],
    [98, 0x00, "ERR_STRAY_BYTES", 98],
    [128, 0xAA, "ERR_STRAY_BYTES", 128],
    [0xBFF, 0x00, "ERR_STRAY_BYTES", 128],
    [12, 0xFF, "ERR_TEXT", 12],
    [27, 0x41, "ERR_TEXT", 12],
  ];
  for (const [offset, value, code, place] of cases) {
    const bytes = encodePartitionTable(GOOD);
    bytes[offset] = value;
    const error = refused(() => readPartitionTable(bytes));
    assertEquals([error.code, error.place.offset], [code, place], `byte ${offset}`);
  }
  const marked = encodePartitionTable(GOOD, { md5: false });
  marked.set([0xEF, 0xBB, 0xBF, 0x41], 12);
  assertEquals(refused(() => decodePartitionTable(marked)).code, "ERR_TEXT");
});

Deno.test("any bytes end in a table or a SecureCertError", () => {
  const row = fc.uint8Array({ minLength: 30, maxLength: 30 }).chain((tail) =>
    fc.constantFrom([0xAA, 0x50], [0xEB, 0xEB], [0xFF, 0xFF]).map((magic) => [...magic, ...tail])
  );
  fc.assert(
    fc.property(fc.array(row, { maxLength: 6 }), fc.boolean(), (rows, closed) => {
      const bytes = new Uint8Array([...rows.flat(), ...closed ? new Array(ROW).fill(0xFF) : []]);
      try {
        const { entries, md5, used } = decodePartitionTable(bytes);
        const again = encodePartitionTable(entries, { md5: md5 !== undefined });
        assertEquals(again.subarray(0, used), bytes.subarray(0, used));
      } catch (error) {
        if (!(error instanceof SecureCertError)) throw error;
      }
    }),
    { seed: SEED, numRuns: 300 },
  );
  assertEquals(
    refused(() => decodePartitionTable(new Uint8Array(0x1000).fill(0xAA))).code,
    "ERR_MAGIC",
  );
  const endless = new Uint8Array(0x100000);
  for (let at = 0; at < endless.length; at += ROW) endless.set([0xAA, 0x50], at);
  assertEquals(refused(() => decodePartitionTable(endless)).place.offset, 0xC00);
});

Deno.test("values that no row can hold are refused", () => {
  const entry = GOOD[0]!;
  const long = refused(() => encodePartitionTable([entry, { ...entry, name: "x".repeat(17) }]));
  assertEquals([long.code, long.place.entry], ["ERR_LENGTH", 1]);
  assertEquals(
    decodePartitionTable(encodePartitionTable([{ ...entry, name: "x".repeat(16) }])).entries[0]
      ?.name,
    "x".repeat(16),
  );
  for (
    const wrong of [{ type: 256 }, { subtype: -1 }, { offset: 2 ** 32 }, { size: 1.5 }, {
      flags: NaN,
    }, { name: "a\0b" }]
  ) {
    assertThrows(() => encodePartitionTable([{ ...entry, ...wrong }]), RangeError);
  }
});

opensslTest("the digest is what openssl computes", async () => {
  const { md5, used } = decodePartitionTable(encodePartitionTable(table(60)));
  const rows = encodePartitionTable(table(60)).subarray(0, used - ROW);
  const said = await openssl(["dgst", "-md5", "-binary"], rows);
  assertEquals(md5?.stored.toHex(), said.toHex());
});

Deno.test("a good table has no findings", () => {
  assertEquals(checkPartitionTable(GOOD, { flashSize: 0x200000, secureBootV1: true }), []);
  assertEquals(checkPartitionTable([]), []);
  assertEquals(
    checkPartitionTable([{ name: "boot", type: 2, subtype: 0, offset: 0x1000, size: 0x7000 }]),
    [],
  );
});

Deno.test("each rule has its finding, and all are listed", () => {
  const [nvs, cert, app] = GOOD as [
    PartitionTableEntry,
    PartitionTableEntry,
    PartitionTableEntry,
  ];
  const ota = { name: "otadata", type: 1, subtype: 0, offset: 0xF000, size: 0x2000 };
  const cases: [
    readonly PartitionTableEntry[],
    ReturnType<typeof checkPartitionTable>,
    Parameters<typeof checkPartitionTable>[1]?,
  ][] = [
    [[{ ...cert, offset: 0xD100 }], [
      { kind: "alignment", entry: 0, field: "offset", unit: 0x1000 },
    ]],
    [[{ ...app, offset: 0x21000 }], [
      { kind: "alignment", entry: 0, field: "offset", unit: 0x10000 },
    ]],
    [[{ ...app, size: 0x100100 }], [
      { kind: "alignment", entry: 0, field: "size", unit: 0x1000 },
    ]],
    [[{ ...app, size: 0x101000 }], []],
    [[{ ...app, size: 0x101000 }], [
      { kind: "alignment", entry: 0, field: "size", unit: 0x10000 },
    ], { secureBootV1: true }],
    [[nvs, { ...cert, offset: 0xB000 }], [{ kind: "overlap", entry: 1, of: 0 }]],
    [[{ ...cert, offset: 0xB000 }, nvs], [{ kind: "overlap", entry: 0, of: 1 }]],
    [[nvs, { ...cert, offset: 0xC000 }], []],
    [[nvs, { ...cert, name: "nvs" }], [{ kind: "duplicate-name", entry: 1, of: 0 }]],
    [[{ ...cert, name: "x".repeat(17) }], [{ kind: "name-length", entry: 0, length: 17 }]],
    [[{ ...cert, offset: 0x8000 }], [{ kind: "before-table-end", entry: 0, end: 0x9000 }]],
    [GOOD, [{ kind: "before-table-end", entry: 0, end: 0xA000 }], { tableOffset: 0x9000 }],
    [GOOD, [{ kind: "past-flash-end", entry: 2, end: 0x120000 }], { flashSize: 0x100000 }],
    [[{ ...cert, size: 0 }], [{ kind: "empty", entry: 0 }]],
    [[{ ...ota, size: 0x1000 }], [{ kind: "otadata-size", entry: 0, size: 0x1000 }]],
    [[ota, { ...ota, name: "other", offset: 0x11000 }], [
      { kind: "otadata-twice", entry: 1, of: 0 },
    ]],
    [[ota, { ...ota, name: "tee", subtype: 0x90, offset: 0x11000 }], []],
    [[{ ...ota, subtype: 0x90, size: 0x3000 }], [
      { kind: "otadata-size", entry: 0, size: 0x3000 },
    ]],
    [[{ ...ota, flags: 2 }], [{ kind: "never-readonly", entry: 0 }]],
    [[{ ...ota, subtype: 3, flags: 2 }], [{ kind: "never-readonly", entry: 0 }]],
    [[{ ...ota, subtype: 0x81, flags: 2 }], []],
    [[{ ...ota, type: 2, subtype: 1, offset: 0x1000 }], [
      { kind: "before-table-end", entry: 0, end: 0x9000 },
    ]],
    [[{ ...nvs, size: 0x2000 }], [{ kind: "nvs-too-small", entry: 0, size: 0x2000 }]],
    [[{ ...nvs, size: 0x2000, flags: 2 }], []],
    [table(94), []],
    [table(95), [{ kind: "too-many", entry: 94, limit: 94 }]],
    [table(95), [], { md5: false }],
    [[{ ...nvs, size: 0x2001 }, { ...nvs, offset: 0xA000 }], [
      { kind: "nvs-too-small", entry: 0, size: 0x2001 },
      { kind: "duplicate-name", entry: 1, of: 0 },
      { kind: "overlap", entry: 1, of: 0 },
    ]],
  ];
  for (const [entries, findings, options] of cases) {
    assertEquals(checkPartitionTable(entries, options), findings);
  }
});

sharedTest("published tables are what their texts say, both ways", () => {
  for (const name of ["cust_flash", "cust_flash_legacy", "cust_flash_tlv", "nvs", "nvs_legacy"]) {
    const folder = `espressif/qemu_test/${name}`;
    const binary = shared(`${folder}/partition-table.bin`);
    const parsed = parsePartitionCsv(sharedText(`${folder}/partitions.csv`));
    // The text of cust_flash_tlv was given the flag `encrypted` after its table was built.
    const entries = name === "cust_flash_tlv"
      ? parsed.map((entry) => ({ ...entry, flags: entry.flags! & ~1 }))
      : parsed;
    assertEquals(encodePartitionTable(entries), binary, name);
    const decoded = decodePartitionTable(binary);
    assertEquals(decoded.entries, entries, name);
    assertEquals(parsePartitionCsv(formatPartitionCsv(decoded.entries)), entries, name);
    assertEquals(checkPartitionTable(decoded.entries), [], name);
  }
});

sharedTest("every published table decodes and encodes to itself", () => {
  for (const name of ["secure_verification", "secure_verification_corrupt"]) {
    const binary = shared(`espressif/qemu_test/${name}/partition-table.bin`);
    const { entries, md5 } = decodePartitionTable(binary);
    assertEquals(md5?.ok, true);
    assertEquals(encodePartitionTable(entries), binary);
  }
});
