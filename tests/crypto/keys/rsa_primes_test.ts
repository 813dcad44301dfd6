import { assert, assertEquals, assertThrows } from "@std/assert";
import { SecureCertError } from "../../../mod.ts";
import {
  bitLength,
  encodeBigInteger,
  inverseModulo,
  powerModulo,
} from "../../../lib/bytes/big_integer.ts";
import {
  decodeKeyParts,
  isConsistentRsa,
  type RsaParts,
} from "../../../lib/crypto/keys/encoding.ts";
import { completeRsaKey } from "../../../lib/crypto/rsa.ts";
import { installed, needing, PROCESSES } from "../../needs.ts";
import { type RsaBits, rsaPkcs8 } from "../../rsa_keys.ts";

const partsOf = (der: Uint8Array) => decodeKeyParts(der) as RsaParts;
const SIZES: readonly RsaBits[] = [1024, 1536, 2048, 3072, 4096];

Deno.test("an RSA key is whole again from modulus and exponents", () => {
  for (const bits of SIZES) {
    const parts = partsOf(rsaPkcs8(bits));
    assertEquals(completeRsaKey(parts), parts.pkcs1);
  }
});

needing(PROCESSES, installed("openssl")).test(
  "RSA keys with other public exponents are whole again, too",
  async () => {
    for (const exponent of ["3", "5", "17", "257", "4294967297", "18446744073709551629"]) {
      const args = ["genpkey", "-algorithm", "RSA", "-outform", "DER"];
      const options = ["rsa_keygen_bits:1024", `rsa_keygen_pubexp:${exponent}`];
      const made = new Deno.Command("openssl", {
        args: [...args, ...options.flatMap((option) => ["-pkeyopt", option])],
        stderr: "null",
      });
      const parts = partsOf((await made.output()).stdout);
      assertEquals(completeRsaKey(parts), parts.pkcs1, exponent);
    }
  },
);

Deno.test("an RSA key with a public exponent as long as its modulus is whole again", () => {
  const [p, q] = [2n ** 521n - 1n, 2n ** 127n - 1n];
  const order = (p - 1n) * (q - 1n);
  let [d, e] = [powerModulo(3n, 1001n, order), undefined as bigint | undefined];
  for (; e === undefined; d++) e = inverseModulo(d + 1n, order);
  assert(bitLength(d) > 600 && bitLength(e) > 600);
  const [modulus, privateExponent, publicExponent] = [p * q, d, e]
    .map((number) => encodeBigInteger(number, 81)) as [Uint8Array, Uint8Array, Uint8Array];
  const parts = partsOf(completeRsaKey({ modulus, privateExponent, publicExponent }));
  assert(isConsistentRsa(parts));
});

Deno.test("numbers that do not belong together are refused", () => {
  const parts = partsOf(rsaPkcs8(4096));
  const other = partsOf(rsaPkcs8(4096, 2));
  const one = Uint8Array.of(1);
  const none = new Uint8Array();
  for (
    const wrong of [
      { modulus: other.modulus },
      { privateExponent: other.privateExponent },
      { publicExponent: Uint8Array.of(3) },
      { publicExponent: other.modulus },
      { publicExponent: one },
      { publicExponent: none },
      { privateExponent: one },
      { privateExponent: none },
      { modulus: one },
      { modulus: none },
      { modulus: new Uint8Array(512).fill(0xFE) },
    ]
  ) {
    const error = assertThrows(() => completeRsaKey({ ...parts, ...wrong }), SecureCertError);
    assertEquals(error.code, "ERR_KEY");
  }
});

Deno.test("inverses and powers modulo a number", () => {
  for (let modulus = 2n; modulus < 40n; modulus++) {
    for (let value = 0n; value < 80n; value++) {
      const inverse = inverseModulo(value, modulus);
      if (inverse !== undefined) assertEquals(value * inverse % modulus, 1n % modulus);
      assertEquals(powerModulo(value, 5n, modulus), value ** 5n % modulus);
    }
  }
  assertEquals(inverseModulo(6n, 9n), undefined);
});
