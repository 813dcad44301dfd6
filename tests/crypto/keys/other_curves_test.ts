import { assertEquals, assertThrows } from "@std/assert";
import { encodeUtf8, parseHex } from "../../../lib/bytes/text.ts";
import { CURVES, DOMAINS, type EcCurve } from "../../../lib/crypto/keys/curves.ts";
import { curveOperations } from "../../../lib/crypto/keys/other_curves.ts";
import { digest } from "../../../lib/crypto/signing.ts";

const operationsOf = (curve: EcCurve) => curveOperations(DOMAINS[CURVES[curve].oid]!);
const { publicPoint, signDigest, verifyDigest } = operationsOf("P-192");

const sha256 = (text: string) => digest("SHA-256", encodeUtf8(text));
/** RFC 6979, A.2.3. */
const D = parseHex("6FAB034934E4C0FC9AE67F5B5659A9D7D1FEFD187EE09FD4");
const POINT = parseHex(
  "04ac2c77f529f91689fea0ea5efec7f210d8eea0b9e047ed563bc723e57670bd4887ebc732c523063d0a7c957bc97c1c43",
);
const SIGNATURES = {
  sample: "4b0b8ce98a92866a2820e20aa6b75b56382e0f9bfd5ecb55" +
    "ccdb006926ea9565cbadc840829d8c384e06de1f1e381b85",
  test: "3a718bd8b4926c3b52ee6bbe67ef79b18cb6eb62b1ad97ae" +
    "5662e6848a4a19b1f1ae2f72acd4b8bbe50f1eac65d9124f",
};

Deno.test("P-192 signs as RFC 6979 says", async () => {
  assertEquals(publicPoint(D), POINT);
  for (const [text, signature] of Object.entries(SIGNATURES)) {
    const hash = await sha256(text);
    assertEquals(signDigest(hash, D), parseHex(signature));
    assertEquals(verifyDigest(parseHex(signature), hash, POINT), true);
  }
});

Deno.test("P-192 takes no wrong digest, signature, point or key", async () => {
  const hash = await sha256("sample");
  const signature = parseHex(SIGNATURES.sample);
  assertEquals(verifyDigest(signature, await sha256("test"), POINT), false);
  assertEquals(verifyDigest(parseHex(SIGNATURES.test), hash, POINT), false);
  assertEquals(verifyDigest(signature, hash, POINT.with(48, 0)), false, "not on the curve");
  assertEquals(verifyDigest(signature, hash, new Uint8Array(49)), false);
  assertEquals(verifyDigest(new Uint8Array(48), hash, POINT), false, "zero");
  assertEquals(verifyDigest(new Uint8Array(48).fill(0xFF), hash, POINT), false, "too large");
  assertEquals(verifyDigest(signature.subarray(1), hash, POINT), false);
  assertThrows(() => publicPoint(new Uint8Array(24)));
  assertThrows(() => signDigest(hash, new Uint8Array(24).fill(0xFF)));
});

Deno.test("every curve signs, and knows its own signatures", async () => {
  for (const curve of Object.keys(CURVES) as EcCurve[]) {
    const operations = operationsOf(curve);
    const scalar = new Uint8Array(CURVES[curve].size).fill(7, 1);
    const point = operations.publicPoint(scalar);
    for (const hash of ["MD5", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512"] as const) {
      const hashed = await digest(hash, encodeUtf8("sample"));
      const signature = operations.signDigest(hashed, scalar);
      assertEquals(operations.verifyDigest(signature, hashed, point), true, `${curve} ${hash}`);
      assertEquals(operations.verifyDigest(signature, hashed.with(0, 1), point), false);
    }
  }
});
