import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  bitLength,
  decodeBigInteger,
  encodeBigInteger,
  montgomeryFactor,
  montgomeryInverse,
} from "../../lib/bytes/big_integer.ts";

const SEED = 20261124;

Deno.test("numbers and bytes are each other's inverse", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const value = decodeBigInteger(bytes);
      assertEquals(encodeBigInteger(value, bytes.length), new Uint8Array(bytes));
      assertEquals(value, bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n));
      assertEquals(value >> BigInt(bitLength(value)), 0n);
      if (value > 0n) assertEquals(value >> BigInt(bitLength(value) - 1), 1n);
    }),
    { seed: SEED },
  );
  assertEquals(encodeBigInteger(0n, 0), new Uint8Array());
});

Deno.test("a number that does not fit is refused", () => {
  assertThrows(() => encodeBigInteger(256n, 1), RangeError);
  assertThrows(() => encodeBigInteger(1n, 0), RangeError);
  assertThrows(() => encodeBigInteger(-1n, 4), RangeError);
});

Deno.test("the Montgomery inverse times the modulus is -1", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 4096n }), (half) => {
      const inverse = montgomeryInverse(2n * half + 1n);
      assertEquals(BigInt.asUintN(32, BigInt(inverse) * (2n * half + 1n)), 0xFFFFFFFFn);
      assertEquals(inverse >>> 0, inverse);
    }),
    { seed: SEED },
  );
  assertThrows(() => montgomeryInverse(4n), RangeError);
  assertThrows(() => montgomeryFactor(0n, 32), RangeError);
  assertEquals(montgomeryFactor(7n, 3), 1n);
});
