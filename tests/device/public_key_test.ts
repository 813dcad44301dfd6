import { assertEquals } from "@std/assert";
import { concat } from "../../lib/bytes/pack.ts";
import { parseHex } from "../../lib/bytes/text.ts";
import { derOid, TAG } from "../../lib/crypto/der.ts";
import { derBits, derElement, derNull, derSequence, derUnsigned } from "../der.ts";
import { publicKeyRefusal } from "../../lib/device/public_key.ts";

const EC = "1.2.840.10045.2.1";
const RSA = "1.2.840.113549.1.1.1";

/** Curves with their base points (FIPS 186-4, SEC 2, RFC 5639), X then Y. */
const BASE_POINTS: readonly (readonly [string, string, string, string])[] = [
  [
    "P-192",
    "1.2.840.10045.3.1.1",
    "188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012",
    "07192b95ffc8da78631011ed6b24cdd573f977a11e794811",
  ],
  [
    "P-224",
    "1.3.132.0.33",
    "b70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21",
    "bd376388b5f723fb4c22dfe6cd4375a05a07476444d5819985007e34",
  ],
  [
    "P-256",
    "1.2.840.10045.3.1.7",
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
  ],
  [
    "P-384",
    "1.3.132.0.34",
    "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
    "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
  ],
  [
    "P-521",
    "1.3.132.0.35",
    "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
    "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
  ],
  [
    "secp192k1",
    "1.3.132.0.31",
    "db4ff10ec057e9ae26b07d0280b7f4341da5d1b1eae06c7d",
    "9b2f2f6d9c5628a7844163d015be86344082aa88d95e2f9d",
  ],
  [
    "secp224k1",
    "1.3.132.0.32",
    "a1455b334df099df30fc28a169a467e9e47075a90f7e650eb6b7a45c",
    "7e089fed7fba344282cafbd6f7e319f7c0b0bd59e2ca4bdb556d61a5",
  ],
  [
    "secp256k1",
    "1.3.132.0.10",
    "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
  ],
  [
    "brainpoolP256r1",
    "1.3.36.3.3.2.8.1.1.7",
    "8bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262",
    "547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997",
  ],
  [
    "brainpoolP384r1",
    "1.3.36.3.3.2.8.1.1.11",
    "1d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2e247d4af1e",
    "8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e4646217791811142820341263c5315",
  ],
  [
    "brainpoolP512r1",
    "1.3.36.3.3.2.8.1.1.13",
    "81aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d1687b93b97d5f7c6d5047406a5e688b352209bcb9f822",
    "7dde385d566332ecc0eabfa9cf7822fdf209f70024a57b1aa000c55b881f8111b2dcde494a5f485e5bca4bd88a2763aed1ca2b2fa8f0540678cd1e0f3ad80892",
  ],
];

function ecKey(curve: string, point: Uint8Array): Uint8Array {
  return derSequence(derSequence(derOid(EC), derOid(curve)), derBits(point));
}

Deno.test("points on every curve of the device's build are taken, those beside it are not", () => {
  for (const [name, oid, x, y] of BASE_POINTS) {
    const refusalOf = (point: string) => publicKeyRefusal(ecKey(oid, parseHex(point)));
    assertEquals(refusalOf(`04${x}${y}`), undefined, name);
    assertEquals(refusalOf(`04${y}${x}`), "point off its curve", name);
    assertEquals(refusalOf(`04${"ff".repeat(x.length)}`), "point off its curve", name);
    const isExpandable = name !== "P-224" && name !== "secp224k1";
    const none = "compressed point on a curve whose points the device cannot expand";
    assertEquals(refusalOf(`02${x}`), isExpandable ? undefined : none, name);
    assertEquals(refusalOf(`03${x}`), isExpandable ? undefined : none, name);
    const beyond = `02${"ff".repeat(x.length / 2)}`;
    assertEquals(refusalOf(beyond), isExpandable ? "point off its curve" : none, name);
    assertEquals(refusalOf("00"), "point of an unknown form", name);
    assertEquals(refusalOf(`06${x}${y}`), "point of an unknown form", name);
    const size = x.length / 2;
    assertEquals(
      refusalOf(`04${x}${y}00`),
      `point of ${2 * size + 2} bytes for a curve of ${2 * size + 1}`,
      name,
    );
  }
});

Deno.test("an EC key needs the name of a curve that the device has", () => {
  const [, oid, x, y] = BASE_POINTS[2]!;
  const point = derBits(parseHex(`04${x}${y}`));
  const refusalOf = (...algorithm: Uint8Array[]) =>
    publicKeyRefusal(derSequence(derSequence(...algorithm), point));
  assertEquals(refusalOf(derOid("1.3.132.1.12"), derOid(oid)), undefined, "id-ecDH");
  assertEquals(refusalOf(derOid(EC)), "EC key without a curve");
  assertEquals(refusalOf(derOid(EC), derNull()), "EC key without a named curve");
  assertEquals(refusalOf(derOid(EC), derSequence()), "EC key with explicit curve parameters");
  assertEquals(refusalOf(derOid(EC), derOid("1.3.132.0.26")), "EC key on curve 1.3.132.0.26");
});

Deno.test("RSA keys have an odd modulus of 128 to 8192 bits and an odd exponent below it", () => {
  const keyOf = (rsa: Uint8Array, ...parameters: Uint8Array[]) =>
    publicKeyRefusal(derSequence(derSequence(derOid(RSA), ...parameters), derBits(rsa)));
  const refusalOf = (modulus: string, exponent: string) =>
    keyOf(derSequence(unsigned(modulus), unsigned(exponent)), derNull());
  const modulus = `${"ff".repeat(128)}`;
  assertEquals(refusalOf(modulus, "010001"), undefined);
  assertEquals(refusalOf(modulus, "03"), undefined);
  assertEquals(refusalOf(`80${"00".repeat(14)}01`, "03"), undefined);
  assertEquals(refusalOf(`7f${"ff".repeat(15)}`, "03"), "RSA modulus of 127 bits");
  assertEquals(refusalOf("ff".repeat(1024), "03"), undefined);
  assertEquals(refusalOf(`01${"ff".repeat(1024)}`, "03"), "RSA modulus of 8193 bits");
  assertEquals(refusalOf("00", "03"), "RSA modulus of 0 bits");
  assertEquals(refusalOf(`${"ff".repeat(127)}fe`, "03"), "even RSA modulus");
  assertEquals(refusalOf(modulus, "02"), "even RSA exponent");
  assertEquals(refusalOf(modulus, "00"), "even RSA exponent");
  assertEquals(refusalOf(modulus, "01"), "RSA exponent 1");
  assertEquals(refusalOf(modulus, modulus), "RSA exponent not below the modulus");
  assertEquals(refusalOf(modulus, `01${modulus}`), "RSA exponent not below the modulus");
  assertEquals(refusalOf(modulus, `${"ff".repeat(127)}fd`), undefined);

  const key = derSequence(unsigned(modulus), unsigned("03"));
  assertEquals(keyOf(key), undefined, "no parameters");
  assertEquals(keyOf(key, parseHex("0000")), undefined, "tag 0 for NULL");
  assertEquals(keyOf(key, derSequence()), "parameters of the RSA algorithm");
  assertEquals(keyOf(key, parseHex("050100")), "parameters of the RSA algorithm");
  // The sign is not looked at, nor is the number of bytes.
  const negative = derElement(TAG.integer, parseHex(modulus));
  const padded = derElement(TAG.integer, parseHex("000003"));
  assertEquals(keyOf(derSequence(negative, padded)), undefined);
  assertEquals(keyOf(derSequence(derElement(TAG.integer), padded)), "RSA modulus of 0 bits");
  assertEquals(keyOf(derSequence(negative, derElement(TAG.integer))), "even RSA exponent");
  assertEquals(keyOf(derSequence(negative, padded, padded)), "stray bytes at byte 159");
  assertEquals(keyOf(concat(derSequence(negative, padded), padded)), "stray bytes at byte 159");
  assertEquals(
    keyOf(derSequence(negative)),
    "need integer (tag 0x02), found the end at byte 154",
  );
});

Deno.test("of other kinds of keys only X25519 and X448 are taken, and only where they can be used", () => {
  const keyOf = (oid: string, point: string, ...parameters: Uint8Array[]) =>
    publicKeyRefusal(
      derSequence(derSequence(derOid(oid), ...parameters), derBits(parseHex(point))),
    );
  const point = `09${"00".repeat(31)}`;
  assertEquals(keyOf("1.3.101.110", point), undefined);
  assertEquals(keyOf("1.3.101.110", point, derNull()), "parameters of the X25519 algorithm");
  assertEquals(keyOf("1.3.101.110", `${point}00`), "X25519 key of 33 bytes");
  const lowOrder = [
    "00".repeat(32),
    `${"00".repeat(31)}80`,
    `01${"00".repeat(31)}`,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    `ec${"ff".repeat(30)}7f`,
    `ed${"ff".repeat(30)}7f`,
    `ee${"ff".repeat(31)}`,
  ];
  for (const each of lowOrder) {
    assertEquals(keyOf("1.3.101.110", each), "X25519 key of low order", each);
  }
  const x448 = "1.3.101.111";
  assertEquals(keyOf(x448, `05${"00".repeat(55)}`), undefined);
  assertEquals(keyOf(x448, `${"00".repeat(55)}80`), undefined);
  assertEquals(keyOf(x448, `05${"00".repeat(55)}`, derNull()), "parameters of the X448 algorithm");
  assertEquals(keyOf(x448, point), "X448 key of 32 bytes");
  const [top, prime] = ["ff".repeat(27), `ff${"ff".repeat(27)}fe${"ff".repeat(27)}`];
  const low = ["00".repeat(56), `01${"00".repeat(55)}`, `fe${top}fe${top}`, prime];
  for (const each of low) assertEquals(keyOf(x448, each), "X448 key of low order", each);
  assertEquals(keyOf("1.3.101.112", point), "Ed25519 key");
  assertEquals(keyOf("1.2.840.113549.1.1.10", point), "RSASSA-PSS key");
  assertEquals(keyOf("1.2.3.4", point), "1.2.3.4 key");
});

Deno.test("the key is a BIT STRING of whole bytes, and the last element", () => {
  const [, oid, x, y] = BASE_POINTS[2]!;
  const algorithm = derSequence(derOid(EC), derOid(oid));
  const refusalOf = (...rest: Uint8Array[]) => publicKeyRefusal(derSequence(algorithm, ...rest));
  const key = derBits(parseHex(`04${x}${y}`));
  assertEquals(refusalOf(key), undefined);
  assertEquals(refusalOf(key, derNull()), "stray bytes at byte 91");
  assertEquals(refusalOf(parseHex("0300")), "a BIT STRING of no bytes at byte 23");
  assertEquals(refusalOf(parseHex("030100")), "point of no bytes");
  assertEquals(refusalOf(parseHex("03020104")), "unused bits in the BIT STRING at byte 23");
});

function unsigned(hex: string): Uint8Array {
  return derUnsigned(parseHex(hex));
}
