/** Intel HEX and UF2: what they say of flash, and what is refused. */
import { assertEquals, assertThrows } from "@std/assert";
import { growsLinearly } from "../growth.ts";
import { SecureCertError } from "../../mod.ts";
import { decodeIntelHex } from "../../lib/format/dump/intel_hex.ts";
import { decodeUf2 } from "../../lib/format/dump/uf2.ts";
import { hexRecord, intelHex, uf2, uf2Block } from "../dumps.ts";
import { installed, needing, PROCESSES } from "../needs.ts";

const text = (lines: readonly string[], end = "\n") =>
  new TextEncoder().encode(lines.map((line) => line + end).join(""));
const END = ":00000001FF";
const bytes = (length: number) => Uint8Array.from({ length }, (_, index) => index * 7 & 0xFF);

Deno.test("Intel HEX is read with every kind of address and line break", () => {
  const data = bytes(40);
  for (const end of ["\n", "\r\n", "\r"]) {
    assertEquals(decodeIntelHex(intelHex(0xD000, data, end)), { address: 0xD000, bytes: data });
  }
  const high = intelHex(0x1FFF0, data);
  assertEquals(decodeIntelHex(high), { address: 0x1FFF0, bytes: data });
  const lower = new TextEncoder().encode(new TextDecoder().decode(high).toLowerCase());
  assertEquals(decodeIntelHex(lower).bytes, data);
  // Segment 0x1000, and a record that wraps at the segment's end.
  const segmented = text([
    hexRecord(2, 0, [0x10, 0x00]),
    hexRecord(0, 0xFFFE, [1, 2, 3, 4]),
    hexRecord(3, 0, [0, 0, 0, 0]),
    END,
  ]);
  const { address, bytes: found } = decodeIntelHex(segmented);
  assertEquals([address, found.length, [...found.subarray(0, 2)], [...found.subarray(-2)]], [
    0x10000,
    0x10000,
    [3, 4],
    [1, 2],
  ]);
  const gap = text([
    hexRecord(0, 0, [1]),
    hexRecord(0, 4, [2]),
    hexRecord(5, 0, [0, 0, 0, 0]),
    END,
  ]);
  assertEquals([...decodeIntelHex(gap).bytes], [1, 0xFF, 0xFF, 0xFF, 2]);
  assertEquals(decodeIntelHex(text([END])).bytes.length, 0);
});

Deno.test("Intel HEX of many short records takes linear time", async () => {
  const kinds = {
    empty: () => hexRecord(0, 0, []),
    "a byte each": (at: number) => hexRecord(0, at & 0xFFFF, [0xFF]),
    "the same byte": () => hexRecord(0, 7, [1]),
    "from the end": (at: number) => hexRecord(0, 0xFFFF - (at & 0xFFFF), [at & 0]),
    bases: (at: number) => hexRecord(4, 0, [at >> 4 & 1, at & 0xFF]),
  };
  for (const [kind, record] of Object.entries(kinds)) {
    const work = (count: number) => {
      const file = text([...Array.from({ length: count }, (_, at) => record(at)), END]);
      return () => decodeIntelHex(file);
    };
    assertEquals(await growsLinearly(work, [2000, 64_000]), true, kind);
  }
});

Deno.test("damaged Intel HEX is refused with its line", () => {
  const record = hexRecord(0, 0, [1, 2]);
  const cases: readonly [readonly string[], string, number | undefined][] = [
    [[record], "ERR_TRUNCATED", undefined],
    [[record.slice(0, -2), END], "ERR_LENGTH", 1],
    [[record.replace(/..$/, "00"), END], "ERR_CHECKSUM", 1],
    [["", record, END, record], "ERR_STRAY_BYTES", 4],
    [[record, "x" + record, END], "ERR_TEXT", 2],
    [[record.slice(0, -1), END], "ERR_TEXT", 1],
    [[hexRecord(6, 0, []), END], "ERR_UNSUPPORTED", 1],
    [[hexRecord(4, 0, [1]), END], "ERR_LENGTH", 1],
    [[hexRecord(1, 0, [1])], "ERR_LENGTH", 1],
    [[record, hexRecord(0, 1, [3]), END], "ERR_STRAY_BYTES", undefined],
    [[record, hexRecord(4, 0, [0x40, 0]), record, END], "ERR_TOO_LARGE", undefined],
  ];
  for (const [lines, code, line] of cases) {
    const error = assertThrows(() => decodeIntelHex(text(lines)), SecureCertError);
    assertEquals([error.code, error.place.line], [code, line], lines.join(" "));
  }
  assertEquals([...decodeIntelHex(text([record, record, END])).bytes], [1, 2]);
});

Deno.test("UF2 is read in any order, with the blocks of Espressif's family", () => {
  const data = bytes(1000);
  const whole = uf2(0xD000, data);
  assertEquals(decodeUf2(whole), { address: 0xD000, bytes: data });
  const blocks = Array.from(
    { length: whole.length / 512 },
    (_, index) => whole.subarray(512 * index, 512 * index + 512),
  );
  const join = (parts: readonly Uint8Array[]) => new Uint8Array(parts.flatMap((each) => [...each]));
  assertEquals(decodeUf2(join(blocks.toReversed())).bytes, data);
  // Two files for two addresses, and one for another chip.
  const second = uf2(0x8000, bytes(100));
  const other = uf2(0x10000000, bytes(10), { family: 0xE48BFF56 });
  const joined = decodeUf2(join([whole, other, second]));
  assertEquals([joined.address, joined.bytes.length], [0x8000, 0x5000 + 1000]);
  assertEquals(joined.bytes.subarray(0x5000), data);
  const without = uf2(0, data, { md5: false, family: undefined });
  assertEquals(decodeUf2(without), { address: 0, bytes: data });
  const skipped = uf2Block({ number: 1, total: 2, address: 9, bytes: bytes(3), flags: 1 });
  const flash = uf2Block({ number: 0, total: 2, address: 0, bytes: bytes(3) });
  assertEquals(decodeUf2(join([flash, skipped])).bytes, bytes(3));
  // esptool sets the flag of the MD5 also where it writes none.
  const flagged = uf2Block({ number: 0, total: 1, address: 0, bytes: bytes(476), flags: 0x4000 });
  assertEquals(decodeUf2(flagged).bytes, bytes(476));
});

Deno.test("damaged UF2 is refused with its block", () => {
  const whole = uf2(0xD000, bytes(1000));
  const changed = (at: number, value: number) => {
    const copy = whole.slice();
    copy[at] = value;
    return copy;
  };
  const families = [uf2(0, bytes(3)), uf2(0, bytes(3), { family: 0x1C5F21B0 })];
  const cases: readonly [Uint8Array, string, number | undefined][] = [
    [whole.subarray(0, 700), "ERR_TRUNCATED", 512],
    [whole.subarray(0, 1024), "ERR_TRUNCATED", 1024],
    [changed(512, 0), "ERR_MAGIC", 512],
    [changed(1023, 0), "ERR_MAGIC", 512],
    [changed(17, 0xFF), "ERR_LENGTH", 0],
    [changed(20, 9), "ERR_LENGTH", 0],
    [changed(600, 0x55), "ERR_CHECKSUM", 512],
    [new Uint8Array(families.flatMap((each) => [...each])), "ERR_UNSUPPORTED", undefined],
  ];
  for (const [file, code, offset] of cases) {
    const error = assertThrows(() => decodeUf2(file), SecureCertError);
    assertEquals([error.code, error.place.offset], [code, offset]);
  }
});

needing(PROCESSES, installed("objcopy")).test("Intel HEX is what objcopy means by it", async () => {
  const folder = await Deno.makeTempDir();
  const data = new Uint8Array(70_001).map((_, index) => index * 31 >> 3);
  try {
    await Deno.writeFile(`${folder}/a`, data);
    for (const address of [0, 0xD000, 0xFFF0, 0x1234567]) {
      const args = ["-I", "binary", "-O", "ihex", "--change-addresses", String(address)];
      const { success } = await new Deno.Command("objcopy", {
        args: [...args, `${folder}/a`, `${folder}/b`],
      }).output();
      assertEquals(success, true);
      const part = decodeIntelHex(await Deno.readFile(`${folder}/b`));
      assertEquals([part.address, part.bytes.length], [address, data.length]);
      assertEquals(part.bytes, data);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
