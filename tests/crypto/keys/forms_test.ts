/** What other programs write and the device reads: compressed points, odd PEM, odd RSA numbers. */
import { assertEquals, assertRejects } from "@std/assert";
import { bitLength, decodeBigInteger, encodeBigInteger } from "../../../lib/bytes/big_integer.ts";
import { concat } from "../../../lib/bytes/pack.ts";
import { formatPem } from "../../../lib/bytes/pem.ts";
import { encodeUtf8 } from "../../../lib/bytes/text.ts";
import { enterDer, nextDer, readDer, unsignedOf } from "../../../lib/crypto/der.ts";
import { derElement, derSequence, derUnsigned } from "../../der.ts";
import {
  canUncompress,
  CURVES,
  DOMAINS,
  type EcCurve,
  uncompressedPoint,
} from "../../../lib/crypto/keys/curves.ts";
import {
  decodeKeyParts,
  decodeSpki,
  encodeEcSpki,
  encodeTraditional,
  isSamePublicKey,
  type RsaParts,
} from "../../../lib/crypto/keys/encoding.ts";
import { exportPrivateKey, generateKey, importPrivateKey } from "../../../lib/crypto/keys/keys.ts";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import { rsaPkcs8 } from "../../rsa_keys.ts";
import { openssl, opensslTest } from "../../vectors.ts";

const compressed = (point: Uint8Array) =>
  concat(Uint8Array.of(2 + (point.at(-1)! & 1)), point.subarray(1, (point.length + 1) / 2));

Deno.test("the base point of every curve is found again from its compressed form", () => {
  for (const domain of Object.values(DOMAINS)) {
    const size = Math.ceil(bitLength(domain.p) / 8);
    const point = concat(
      Uint8Array.of(4),
      encodeBigInteger(domain.Gx, size),
      encodeBigInteger(domain.Gy, size),
    );
    assertEquals(uncompressedPoint(domain, point), point, domain.name);
    const half = compressed(point);
    assertEquals(
      uncompressedPoint(domain, half),
      canUncompress(domain) ? point : undefined,
      domain.name,
    );
    half[0]! ^= 1;
    const other = uncompressedPoint(domain, half);
    if (other !== undefined) assertEquals(other.subarray(0, size + 1), point.subarray(0, size + 1));
  }
});

Deno.test("what is not a point of the curve is none", () => {
  const domain = DOMAINS[CURVES["P-256"].oid]!;
  const size = 32;
  const big = new Uint8Array(1 + size).fill(0xFF);
  for (const form of [2, 3]) {
    big[0] = form;
    assertEquals(uncompressedPoint(domain, big), undefined);
  }
  for (const length of [0, 1, size, size + 1, 2 * size, 2 * size + 2, 3 * size]) {
    for (const form of [0, 1, 2, 4, 5, 6, 7]) {
      const point = new Uint8Array(length).fill(5);
      if (length > 0) point[0] = form;
      // 05…05 is the x of a point of P-256.
      if (length === size + 1 && form === 2) continue;
      assertEquals(uncompressedPoint(domain, point), undefined, `${form} ${length}`);
    }
  }
});

Deno.test("keys with compressed points are read, and are the same keys", async () => {
  for (const curve of ["P-192", "P-256", "P-384", "P-521", "secp256k1"] satisfies EcCurve[]) {
    const key = await generateKey({ curve });
    const parts = decodeKeyParts(key.pkcs8);
    if (parts.type !== "ec") throw new Error("not EC");
    const point = compressed(parts.point!);
    assertEquals((await importPrivateKey(encodeTraditional({ ...parts, point }))).pkcs8, key.pkcs8);
    const spki = encodeEcSpki(curve, point);
    assertEquals(decodeSpki(spki), decodeSpki(key.publicKey));
    assertEquals(isSamePublicKey(spki, key.publicKey), true);
    point[0]! ^= 1;
    assertEquals(isSamePublicKey(encodeEcSpki(curve, point), key.publicKey), false);
  }
});

Deno.test("PEM may have leftover bits in its base64, and text in any encoding around it", async () => {
  const key = await generateKey();
  const der = exportPrivateKey(key, { encoding: "traditional", form: "der" });
  const pem = formatPem("EC PRIVATE KEY", der);
  assertEquals(pem.includes("==\n"), true);
  const before = Uint8Array.of(0x4D, 0xFC, 0x6C, 0x6C, 0x65, 0x72, 0x0A);
  const digit = pem[pem.indexOf("=") - 1]!;
  const odd = pem.replace(`${digit}=`, `${String.fromCharCode(digit.charCodeAt(0) + 1)}=`);
  for (const text of [pem, odd]) {
    assertEquals((await importPrivateKey(text)).pkcs8, key.pkcs8);
    assertEquals((await importPrivateKey(concat(before, encodeUtf8(text)))).pkcs8, key.pkcs8);
  }
  assertEquals((await importPrivateKey(`\uFEFF${pem}`)).pkcs8, key.pkcs8);
});

Deno.test("DER keys may have bytes after them", async () => {
  const key = await generateKey();
  for (const encoding of ["pkcs8", "traditional"] as const) {
    const der = exportPrivateKey(key, { encoding, form: "der" });
    assertEquals((await importPrivateKey(concat(der, new Uint8Array(7)))).pkcs8, key.pkcs8);
  }
});

Deno.test("an RSA key is refused when any of its numbers does not belong to the others", async () => {
  const { pkcs1 } = decodeKeyParts(rsaPkcs8(2048)) as RsaParts;
  const numbers = numbersOf(pkcs1);
  for (let at = 1; at < 9; at++) {
    const wrong = numbers.map((number, index) => index === at ? number + 2n : number);
    await assertRejects(() => importPrivateKey(encode(wrong)), SecureCertError, "do not match");
  }
  assertEquals((await importPrivateKey(encode(numbers))).bits, 2048);
});

Deno.test("an RSA key with three primes is called that", async () => {
  const { pkcs1 } = decodeKeyParts(rsaPkcs8(2048)) as RsaParts;
  const [, ...numbers] = numbersOf(pkcs1).map((number) => derUnsigned(bytesOf(number)));
  const prime = derSequence(numbers[3]!, numbers[5]!, numbers[7]!);
  const three = derSequence(derUnsigned(Uint8Array.of(1)), ...numbers, derElement(0x30, prime));
  await assertRejects(() => importPrivateKey(three), SecureCertError, "three primes");
});

opensslTest("an RSA key may have a public exponent of more than 32 bits", async () => {
  const made = await openssl([
    ...["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    ...["-pkeyopt", "rsa_keygen_pubexp:1099511627777"],
  ]);
  const key = await importPrivateKey(made);
  const parts = decodeSpki(key.publicKey);
  assertEquals(parts.type === "rsa" && parts.exponent, Uint8Array.of(1, 0, 0, 0, 0, 1));
});

const bytesOf = (number: bigint) => encodeBigInteger(number, Math.ceil(bitLength(number) / 8) || 1);
const encode = (numbers: readonly bigint[]) =>
  derSequence(...numbers.map((number) => derUnsigned(bytesOf(number))));

function numbersOf(pkcs1: Uint8Array): bigint[] {
  const fields = enterDer(readDer(pkcs1, "RSA key"));
  return Array.from({ length: 9 }, () => decodeBigInteger(unsignedOf(nextDer(fields))));
}

opensslTest("explicit parameters of a known curve are read as that curve", async () => {
  for (const [name, curve] of [["prime256v1", "P-256"], ["secp384r1", "P-384"]] as const) {
    for (const form of ["uncompressed", "compressed"]) {
      const made = await openssl([
        ...["ecparam", "-name", name, "-genkey", "-noout", "-param_enc", "explicit"],
        ...["-conv_form", form],
      ]);
      const key = await importPrivateKey(made);
      assertEquals(key.curve, curve);
      const named = await openssl(["ec", "-param_enc", "named_curve", "-outform", "DER"], made);
      assertEquals((await importPrivateKey(named)).pkcs8, key.pkcs8);
    }
  }
  const other = await openssl(
    ["ecparam", "-name", "sect233k1", "-genkey", "-noout", "-param_enc", "explicit"],
  );
  await assertRejects(() => importPrivateKey(other), SecureCertError, "curve");
});
