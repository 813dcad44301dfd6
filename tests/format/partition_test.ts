import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { tlvTypeName } from "../../lib/format/names.ts";
import { decodePartition, encodePartition, walkPartition } from "../../lib/format/partition.ts";
import { decodeTlv, encodeTlv, type Tlv, tlvSize } from "../../lib/format/tlv.ts";
import { shared, sharedCases, sharedTest, sharedText } from "../vectors.ts";

const SEED = 20261124;

const anyEntry: fc.Arbitrary<Tlv> = fc.record({
  type: fc.integer({ min: 0, max: 255 }),
  subtype: fc.integer({ min: 0, max: 255 }),
  flags: fc.integer({ min: 0, max: 255 }),
  data: fc.uint8Array({ maxLength: 200 }),
});

Deno.test("encodeTlv writes the documented bytes", () => {
  const bytes = encodeTlv({ type: 51, subtype: 2, flags: 0x80, data: new Uint8Array([0xAA]) });
  assertEquals(bytes.subarray(0, 13).toHex(), "11ba5eba80000000330201" + "00aa");
  assertEquals(bytes.length, 32);
  assertEquals(encodeTlv({ type: 51, data: new Uint8Array() }).length, 16);
  assertEquals([0, 1, 15, 16, 17].map(tlvSize), [16, 32, 32, 32, 48]);
});

Deno.test("a partition of any entries decodes to them and encodes to the same bytes", () => {
  fc.assert(
    fc.property(fc.array(anyEntry, { maxLength: 8 }), fc.boolean(), (entries, fill) => {
      const image = encodePartition(entries, { fill });
      const { entries: decoded, used } = decodePartition(image);
      let at = 0;
      const expected = entries.map((entry) => {
        const offset = at;
        at += tlvSize(entry.data.length);
        return { ...entry, typeName: tlvTypeName(entry.type as number), offset };
      });
      assertEquals(
        decoded.map((entry) => ({ ...entry, data: entry.data.slice() })),
        expected as never,
      );
      assertEquals(encodePartition(decoded, { fill, size: fill ? image.length : 0x2000 }), image);
      assertEquals(used, at);
    }),
    { seed: SEED },
  );
});

Deno.test("any bytes end in a value or a SecureCertError", () => {
  const magic = fc.uint8Array({ maxLength: 300 }).map((tail) =>
    new Uint8Array([0x11, 0xBA, 0x5E, 0xBA, ...tail])
  );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), magic), (bytes) => {
      walkPartition(bytes);
      for (const decode of [decodeTlv, decodePartition]) {
        try {
          decode(bytes);
        } catch (error) {
          if (!(error instanceof SecureCertError)) throw error;
        }
      }
    }),
    { seed: SEED, numRuns: 500 },
  );
});

Deno.test("lengths that would wrap a 16-bit walk are refused, and walked once", () => {
  for (const length of [0xFFE1, 0xFFF0, 0xFFF1, 0xFFFF]) {
    const image = new Uint8Array(0x12000);
    image.set(encodeTlv({ type: 51, data: new Uint8Array() }));
    new DataView(image.buffer).setUint16(10, length, true);
    const error = assertThrows(() => decodePartition(image), SecureCertError);
    assertEquals(error.code, "ERR_LENGTH");
    assertEquals(walkPartition(image).entries, []);
  }
});

Deno.test("a plan that does not fit says by how much and names the largest entry", () => {
  const error = assertThrows(
    () =>
      encodePartition([{ type: 1, data: new Uint8Array(0x2000) }, {
        type: 0,
        data: new Uint8Array(9),
      }]),
    SecureCertError,
    "48 more than its 8192; the largest entry is the device certificate",
  );
  assertEquals(error.code, "ERR_TOO_LARGE");
});

sharedTest("golden TLV images decode to the entries listed and re-encode to themselves", () => {
  for (const { name } of sharedCases("plain", "sizes").filter((each) => !each.expect_error)) {
    const image = shared(`generated/${name}/expected.bin`);
    const { tlvs } = JSON.parse(sharedText(`generated/${name}/expected.json`));
    const { entries } = decodePartition(image);
    assertEquals(
      entries.map(({ type, subtype, flags, data }) => ({
        type,
        subtype,
        flags,
        length: data.length,
      })),
      tlvs.map(({ type, subtype, flags, length }: never) => ({ type, subtype, flags, length })),
      name,
    );
    assertEquals(encodePartition(entries), image, name);
  }
});

sharedTest("every entry of the published images decodes and re-encodes to itself", () => {
  for (
    const path of [
      "tools/esp_secure_cert.bin",
      "qemu_test/cust_flash_tlv/cust_flash_tlv.bin",
      "qemu_test/secure_verification/secure_verification.bin",
      "qemu_test/secure_verification_corrupt/secure_verification_corrupt.bin",
    ]
  ) {
    const image = shared(`espressif/${path}`);
    const { entries, used } = walkPartition(image);
    assertEquals(entries.length >= 3, true, path);
    for (const { value, size, offset, crc } of entries) {
      if (crc.stored !== crc.computed) continue;
      assertEquals(encodeTlv(value), image.slice(offset, offset + size), path);
    }
    assertEquals(used > 0, true);
  }
});
