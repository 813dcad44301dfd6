import { checkPartitionTable } from "../../../lib/format/table/check.ts";
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import { formatPartitionCsv, parsePartitionCsv } from "../../../lib/format/table/csv.ts";
import { offsetAlignment } from "../../../lib/format/table/binary.ts";

const SEED = 20261124;

Deno.test("parsePartitionCsv reads numbers, names, flags, comments and blanks", () => {
  const text = [
    "# Name, Type, SubType, Offset, Size, Flags\r",
    "\tnvs , data, nvs, 0x9000, 24K,",
    "",
    "   # a comment",
    "esp_secure_cert, 0x3F, , , 0x2000, encrypted",
    "otadata,DATA,ota,,8k,readonly:encrypted:",
    "factory, app, factory, , 1M",
    "ota_1, app, ota_1, , 0X10000,,,",
    "rest, data, 0x82, , -4M,",
    "own, 64, 7, 4096K, 4096",
  ].join("\n");
  assertEquals(parsePartitionCsv(text), [
    { name: "nvs", type: 1, subtype: 2, offset: 0x9000, size: 0x6000, flags: 0 },
    { name: "esp_secure_cert", type: 0x3F, subtype: 6, offset: 0xF000, size: 0x2000, flags: 1 },
    { name: "otadata", type: 1, subtype: 0, offset: 0x11000, size: 0x2000, flags: 3 },
    { name: "factory", type: 0, subtype: 0, offset: 0x20000, size: 0x100000, flags: 0 },
    { name: "ota_1", type: 0, subtype: 0x11, offset: 0x120000, size: 0x10000, flags: 0 },
    { name: "rest", type: 1, subtype: 0x82, offset: 0x130000, size: 0x2D0000, flags: 0 },
    { name: "own", type: 64, subtype: 7, offset: 0x400000, size: 0x1000, flags: 0 },
  ]);
  assertEquals(parsePartitionCsv(""), []);
});

Deno.test("the first blank offset follows the table, wherever it is", () => {
  const offset = (text: string, tableOffset?: number) =>
    parsePartitionCsv(text, tableOffset === undefined ? {} : { tableOffset })[0]?.offset;
  assertEquals(offset("a, data, nvs, , 0x3000"), 0x9000);
  assertEquals(offset("a, data, nvs, , 0x3000", 0x10000), 0x11000);
  assertEquals(offset("a, app, factory, , 1M"), 0x10000);
  assertEquals(offset("a, app, factory, , 1M", 0x10000), 0x20000);
  assertThrows(() => offset("a, data, nvs, , 0x3000", -1), RangeError);
  assertThrows(() => offset("a, data, nvs, , 0x3000", 2 ** 32), RangeError);
});

Deno.test("rows for the bootloader and the table move no other row", () => {
  const text =
    "boot, bootloader, primary, 0x0, 32K\ntable, partition_table, primary, 0x8000, 4K\n" +
    "nvs, data, nvs, , 24K\nsecond, bootloader, ota, , 32K\nlast, data, fat, , 4K\n";
  assertEquals(parsePartitionCsv(text).map(({ offset }) => offset), [
    0,
    0x8000,
    0x9000,
    0xF000,
    0x17000,
  ]);
});

Deno.test("subtypes are named as ESP-IDF names them", () => {
  const subtype = (type: string, name: string) =>
    parsePartitionCsv(`x, ${type}, ${name}, 0x10000, 4K`)[0]?.subtype;
  const data = { ota: 0, phy: 1, nvs: 2, coredump: 3, nvs_keys: 4, efuse: 5, undefined: 6 };
  const more = { esphttpd: 0x80, fat: 0x81, spiffs: 0x82, littlefs: 0x83, tee_ota: 0x90 };
  for (const [name, number] of Object.entries({ ...data, ...more })) {
    assertEquals(subtype("data", name), number);
  }
  const app = { factory: 0, ota_0: 0x10, ota_15: 0x1F, test: 0x20, tee_0: 0x30, tee_1: 0x31 };
  for (const [name, number] of Object.entries(app)) assertEquals(subtype("app", name), number);
  assertEquals(
    ["primary", "ota", "recovery", "0"].map((name) => subtype("bootloader", name)),
    [0, 1, 2, 0],
  );
  assertEquals(["primary", "ota", ""].map((name) => subtype("partition_table", name)), [0, 1, 6]);
});

Deno.test("rows are read as gen_esp32part reads them", () => {
  const rows: [row: string, size: number, flags: number][] = [
    ["x, data, nvs, 0x9000, 12k,", 0x3000, 0],
    ["x, data, nvs, 0x9000, 0x3K, encrypted:readonly", 0xC00, 3],
    ["x, data, nvs, 0x9000, 1M, readonly, # a comment", 0x100000, 2],
    ["x, data, nvs, 0x9000, 12_288, , a, b, c", 0x3000, 0],
    ["x, data, nvs, 0x9000, 4K, :readonly::encrypted:readonly: ", 0x1000, 3],
    ["x, data, nvs, 0x9000, 0b11K", 0xC00, 0],
    ["x, data, nvs, 0x9000, +4096", 0x1000, 0],
    ["X , DATA , NVS , 0X9000 , 4096 ,", 0x1000, 0],
  ];
  for (const [row, size, flags] of rows) {
    const [entry] = parsePartitionCsv(`# Name, Type\r\n\r\n${row}\r\n`);
    assertEquals([entry?.offset, entry?.size, entry?.flags], [0x9000, size, flags], row);
  }
});

Deno.test("rows out of order are found in text, and only there", () => {
  const rows = parsePartitionCsv("a, data, nvs, 0x20000, 12K\nb, data, phy, 0x10000, 4K\n");
  const found = checkPartitionTable(rows, { ordered: true });
  assertEquals(found, [{ kind: "out-of-order", entry: 1, of: 0 }]);
  assertEquals(checkPartitionTable(rows), []);
});

Deno.test("a row that cannot be read is refused with its line and field", () => {
  const rows: [row: string, field: string | undefined][] = [
    ["x", "type"],
    ["x, , nvs, , 4K", "type"],
    ["x, 256, 0, , 4K", "type"],
    ["x, 1K, 0, , 4K", "type"],
    ["x, -1, 0, , 4K", "type"],
    ["x, toString, 0, , 4K", "type"],
    ["x, app, , , 4K", "subtype"],
    ["x, app, nvs, , 4K", "subtype"],
    ["x, data, ota_0, , 4K", "subtype"],
    ["x, app, ota_16, , 4K", "subtype"],
    ["x, 0x40, nvs, , 4K", "subtype"],
    ["x, data, constructor, , 4K", "subtype"],
    ["x, data, nvs, N/A, 4K", "offset"],
    ["x, data, nvs, -4K, 4K", "offset"],
    ["x, data, nvs, 010, 4K", "offset"],
    ["x, data, nvs, 1e5, 4K", "offset"],
    ["x, data, nvs, 4096M, 4K", "offset"],
    ["x, data, nvs, , ", "size"],
    ["x, data, nvs, , 4G", "size"],
    ["x, data, nvs, , 0x", "size"],
    ["x, data, nvs, , $(SIZE)", "size"],
    ["x, data, nvs, , 0x100000000", "size"],
    ["x, data, nvs, , " + "9".repeat(400), "size"],
    ["x, data, nvs, 1M, -64K", "size"],
    ["x, data, nvs, , 4K, Encrypted", "flags"],
    ["x, data, nvs, , 4K, encrypted:hidden", "flags"],
    ["x, data, nvs, , 4K, encrypted : readonly", "flags"],
    ["x, data, nvs, , 4K, encrypted: readonly", "flags"],
    ["x, data, nvs, , 4K, encrypted readonly", "flags"],
    ["x, data, nvs, , 4K, encrypted|readonly", "flags"],
    ["x, data, nvs, , 4K, READONLY", "flags"],
    ["x, data, nvs, , 4K, 1", "flags"],
    ["x, data, nvs, , 4K, # a comment", "flags"],
    ["x;data;nvs;0x9000;0x3000", undefined],
  ];
  for (const [row, field] of rows) {
    const error = assertThrows(
      () => parsePartitionCsv(`# heading\n\na, data, nvs, 0x9000, 12K\n${row}\n`),
      SecureCertError,
      "in line 4",
    );
    assertEquals([error.code, error.place.line, error.place.field], ["ERR_CSV", 4, field], row);
  }
});

Deno.test("a minus in front of zero leaves zero", () => {
  const { offset, size } = parsePartitionCsv("x, data, fat, -0, -0K")[0]!;
  assertEquals([Object.is(offset, 0), Object.is(size, 0)], [true, true]);
});

Deno.test("a blank offset past 32 bits is refused", () => {
  const text = "a, data, fat, 0xFFFFF000, 4K\nb, data, fat, , 4K\n";
  const error = assertThrows(() => parsePartitionCsv(text), SecureCertError);
  assertEquals([error.place.line, error.place.field], [2, "offset"]);
});

Deno.test("formatPartitionCsv writes names where there are names", () => {
  assertEquals(
    formatPartitionCsv([
      { name: "nvs", type: 1, subtype: 2, offset: 0x9000, size: 0x6000 },
      { name: "esp_secure_cert", type: 0x3F, subtype: 6, offset: 0xD000, size: 0x2000, flags: 1 },
      { name: "slot", type: 0, subtype: 0x1A, offset: 0x20000, size: 0x100000, flags: 3 },
    ]),
    "# Name, Type, SubType, Offset, Size, Flags\n" +
      "nvs, data, nvs, 0x9000, 0x6000,\n" +
      "esp_secure_cert, 0x3f, 0x6, 0xd000, 0x2000, encrypted\n" +
      "slot, app, ota_10, 0x20000, 0x100000, encrypted:readonly\n",
  );
});

Deno.test("what a text cannot carry is refused", () => {
  const entry = { name: "x", type: 1, subtype: 2, offset: 0, size: 0 };
  for (const name of ["a,b", "a\nb", "a\rb", "#a", " a", "a\t", "\u00A0a"]) {
    const error = assertThrows(
      () => formatPartitionCsv([entry, { ...entry, name }]),
      SecureCertError,
    );
    assertEquals([error.code, error.place.entry, error.place.field], ["ERR_CSV", 1, "name"]);
  }
  for (const flags of [4, 5, 0x80000000]) {
    const error = assertThrows(() => formatPartitionCsv([{ ...entry, flags }]), SecureCertError);
    assertEquals([error.code, error.place.field], ["ERR_CSV", "flags"]);
  }
});

Deno.test("a formatted table parses to the same entries", () => {
  const u32 = fc.integer({ min: 0, max: 0xFFFFFFFF });
  const entry = fc.record({
    name: fc.string({ maxLength: 16, unit: "grapheme" }),
    type: fc.nat(255),
    subtype: fc.nat(255),
    offset: u32,
    size: u32,
    flags: fc.nat(3),
  });
  let parsed = 0;
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 4 }), (entries) => {
      let text: string;
      try {
        text = formatPartitionCsv(entries);
      } catch (error) {
        if (!(error instanceof SecureCertError)) throw error;
        return;
      }
      assertEquals(parsePartitionCsv(text), entries);
      parsed++;
    }),
    { seed: SEED, numRuns: 400 },
  );
  assertEquals(parsed > 200, true);
});

Deno.test("any text ends in entries of 32-bit numbers or a SecureCertError", () => {
  const cell = fc.oneof(
    fc.constantFrom("app", "data", "nvs", "", "0x1000", "-1M", "4K", "encrypted", "-0", "0"),
    fc.string({ maxLength: 5 }),
  );
  const row = fc.array(cell, { maxLength: 7 }).map((cells) => cells.join(","));
  fc.assert(
    fc.property(fc.array(row, { maxLength: 4 }), (rows) => {
      try {
        for (const { offset, size } of parsePartitionCsv(rows.join("\n"))) {
          for (const value of [offset, size]) {
            assertEquals(Object.is(value >>> 0, value), true);
          }
        }
      } catch (error) {
        if (!(error instanceof SecureCertError)) throw error;
      }
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

Deno.test("only apps need pages of 64 KiB", () => {
  assertEquals([0, 1, 2, 0x3F].map(offsetAlignment), [0x10000, 0x1000, 0x1000, 0x1000]);
});
