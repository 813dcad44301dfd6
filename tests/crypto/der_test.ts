import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { parseHex } from "../../lib/bytes/text.ts";
import {
  bitsOf,
  childrenOf,
  contentOf,
  derOid,
  enterDer,
  nextDer,
  numberOf,
  oidOf,
  optionalDer,
  rawOf,
  readDer,
  TAG,
  unsignedOf,
} from "../../lib/crypto/der.ts";
import { derElement, derSequence, derUnsigned } from "../der.ts";

const SEED = 20261124;

Deno.test("what is written is read", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 70000 }),
      fc.array(fc.bigInt({ min: 0n, max: 2n ** 128n }), { maxLength: 6 }),
      fc.integer({ min: 0, max: 2 }),
      fc.bigInt({ min: 0n, max: 39n }),
      (bytes, arcs, root, second) => {
        const [inner] = childrenOf(readDer(derSequence(derElement(4, bytes)), "test"));
        assertEquals(contentOf(inner!), new Uint8Array(bytes));
        const oid = [root, root < 2 ? second : second * 1000n, ...arcs].join(".");
        assertEquals(oidOf(readDer(derOid(oid), "test", TAG.oid)), oid);
        const number = readDer(derUnsigned(bytes), "test", TAG.integer);
        const first = bytes.findIndex((byte) => byte !== 0);
        assertEquals(unsignedOf(number), first < 0 ? new Uint8Array(1) : bytes.subarray(first));
      },
    ),
    { numRuns: 60, seed: SEED },
  );
});

Deno.test("elements are read in order, with those that may be absent", () => {
  const bytes = parseHex("300e0201050403616263030206400500ff");
  const fields = enterDer(readDer(bytes, "test"));
  assertEquals(optionalDer(fields, TAG.boolean), undefined);
  assertEquals(numberOf(nextDer(fields, TAG.integer)), 5);
  assertEquals(rawOf(nextDer(fields, TAG.octetString)), parseHex("0403616263"));
  assertEquals(bitsOf(nextDer(fields, TAG.bitString)), parseHex("40"));
  assertEquals(optionalDer(fields, TAG.null)?.end, bytes.length - 1);
  assertEquals(optionalDer(fields, TAG.null), undefined);
});

const WRONG: readonly (readonly [string, number, string])[] = [
  ["", 0, "need sequence (tag 0x30), found the end"],
  ["02", 0, "need sequence (tag 0x30), found integer (tag 0x02)"],
  ["30", 0, "need 2 bytes, have 1"],
  ["3080020101", 0, "indefinite length"],
  ["3004020101", 0, "need 6 bytes, have 5"],
  ["30840300000102", 0, "need 50331655 bytes, have 7"],
  ["3084ffffffff02", 0, "need 4294967301 bytes, have 7"],
  ["308500000000010200", 0, "length of 5 bytes"],
  ["308201", 0, "need 5 bytes, have 3"],
  ["30030202010203", 2, "need 4 bytes, have 3"],
  ["3003028001", 2, "indefinite length"],
  ["3003040101", 2, "need integer (tag 0x02), found octetString (tag 0x04)"],
  ["3003a00101", 2, "need integer (tag 0x02), found tag 0xa0"],
  ["3000", 2, "need integer (tag 0x02), found the end"],
];

Deno.test("what is malformed is refused with its place and the reason", () => {
  for (const [hex, offset, problem] of WRONG) {
    const read = () => {
      const root = readDer(parseHex(hex), "test", TAG.sequence, "ERR_CERTIFICATE");
      nextDer(enterDer(root), TAG.integer);
    };
    const { code, message, place } = assertThrows(read, SecureCertError, undefined, hex);
    assertEquals([code, message, place], [
      "ERR_CERTIFICATE",
      `Cannot decode test: element at ${offset}: ${problem}`,
      { offset },
    ]);
  }
});

Deno.test("what the device takes is taken: long lengths, and bytes after the value", () => {
  for (const hex of ["3003020101", "308103020101", "3082000302010100", "308400000003020101ffff"]) {
    const root = readDer(parseHex(hex), "test");
    assertEquals(childrenOf(root).map(numberOf), [1]);
  }
});

Deno.test("an object identifier is dotted only when it is written as DER has it", () => {
  const cases = {
    "0603550403": "2.5.4.3",
    "06062a864886f70d": "1.2.840.113549",
    "060127": "0.39",
    "060128": "1.0",
    "06028837": "2.999",
    // A UUID: 2.25 and 128 bits (X.667).
    "0614698381808080808080808080808080808080807f": "2.25.255876389188596305533982859103966331007",
  };
  for (const [hex, oid] of Object.entries(cases)) {
    assertEquals(oidOf(readDer(parseHex(hex), "test", TAG.oid)), oid);
  }
  const others = ["0600", "06018f", "060455048003", "0604550403ff", `0623${"ff".repeat(34)}7f`];
  for (const hex of others) {
    assertEquals(oidOf(readDer(parseHex(hex), "test", TAG.oid)), `#${hex}`);
  }
});

Deno.test("any number of arcs, elements and levels is read in linear time", () => {
  const size = 400_000;
  const arcs = derElement(TAG.oid, new Uint8Array(size).fill(1));
  assertEquals(oidOf(readDer(arcs, "test", TAG.oid)).length, 2 * size + 1);
  const arc = derElement(TAG.oid, new Uint8Array(size).fill(0xFF).with(size - 1, 1));
  assertEquals(oidOf(readDer(arc, "test", TAG.oid)).startsWith("#06"), true);
  const nulls = derSequence(new Uint8Array(size).map((_, at) => at % 2 === 0 ? TAG.null : 0));
  assertEquals(childrenOf(readDer(nulls, "test")).length, size / 2);
  const number = derElement(TAG.integer, new Uint8Array(size).fill(0x7F));
  assertEquals(numberOf(readDer(number, "test", TAG.integer)), Infinity);
  const levels = parseHex("30840000ffff".repeat(60_000));
  assertThrows(() => readDer(levels.subarray(0, 1000), "test"), SecureCertError);
  assertEquals(contentOf(readDer(levels, "test")).length, 0xFFFF);
});

Deno.test("any bytes end in elements within them or in a SecureCertError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        const root = readDer(derSequence(bytes), "test");
        const rest = childrenOf(root).map(rawOf).flatMap((raw) => [...raw]);
        assertEquals(rest, [...bytes]);
      } catch (error) {
        if (!(error instanceof SecureCertError)) throw error;
        assertEquals(error.code, "ERR_DER");
      }
    }),
    { numRuns: 2000, seed: SEED },
  );
});
