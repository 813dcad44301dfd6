import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import { formatPem } from "../../../lib/bytes/pem.ts";
import { CURVES, type EcCurve } from "../../../lib/crypto/keys/curves.ts";
import {
  exportPrivateKey,
  generateKey,
  type GenerateKeyOptions,
  importPrivateKey,
} from "../../../lib/crypto/keys/keys.ts";
import { signBytes, verifyBytes } from "../../../lib/crypto/signing.ts";
import { rsaPkcs8 } from "../../rsa_keys.ts";
import { openssl, opensslTest, shared, sharedTest } from "../../vectors.ts";

const KINDS: readonly GenerateKeyOptions[] = [
  ...(Object.keys(CURVES) as EcCurve[]).map((curve) => ({ curve })),
  { type: "rsa", bits: 2048 },
];

Deno.test("every key survives every encoding and form", async () => {
  for (const kind of KINDS) {
    const key = await generateKey(kind);
    for (const encoding of ["pkcs8", "traditional"] as const) {
      for (const form of ["pem", "der"] as const) {
        const bytes = await exportPrivateKey(key, { encoding, form });
        const again = await importPrivateKey(bytes);
        assertEquals(again.pkcs8, key.pkcs8);
        assertEquals(again.publicKey, key.publicKey);
        assertEquals(await exportPrivateKey(again, { encoding, form }), bytes);
      }
    }
  }
});

Deno.test("every key signs what verifies under its public half and no other", async () => {
  const message = new TextEncoder().encode("message");
  for (const kind of KINDS) {
    const key = await generateKey(kind);
    const signature = await signBytes(key, message);
    assertEquals(await verifyBytes(key, message, signature), true);
    assertEquals(await verifyBytes(key, new Uint8Array(7), signature), false);
    if (key.curve) {
      const other = await generateKey(kind);
      assertEquals(await verifyBytes(other, message, signature), false);
    }
  }
});

Deno.test("a logged key shows no secret", async () => {
  const key = await generateKey();
  assertEquals(Object.keys(key).includes("pkcs8"), false);
  assertEquals(Deno.inspect(key, { iterableLimit: 1e6 }).includes("pkcs8"), false);
  assertEquals(JSON.stringify(key).includes("pkcs8"), false);
});

Deno.test("EC keys follow from the random source given", async () => {
  const source = (start: number) => (length: number) =>
    Uint8Array.from({ length }, (_, at) => start + at);
  for (const curve of Object.keys(CURVES) as EcCurve[]) {
    const [a, b, c] = await Promise.all(
      [1, 1, 2].map((start) => generateKey({ curve, random: source(start) })),
    );
    assertEquals(a!.pkcs8, b!.pkcs8, curve);
    assertNotEquals(a!.pkcs8, c!.pkcs8, curve);
  }
  await assertRejects(() => generateKey({ random: (n) => new Uint8Array(n) }), RangeError);
});

Deno.test("a key whose halves do not match is refused", async () => {
  const [key, other] = [await generateKey(), await generateKey()];
  const der = await exportPrivateKey(key, { encoding: "traditional", form: "der" });
  der.set(other.publicKey.subarray(-64), der.length - 64);
  const error = await assertRejects(() => importPrivateKey(der), SecureCertError);
  assertEquals(error.code, "ERR_KEY");
  const rsa = rsaPkcs8(2048);
  rsa[60]! ^= 1;
  assertEquals((await assertRejects(() => importPrivateKey(rsa), SecureCertError)).code, "ERR_KEY");
});

Deno.test("what is no private key is refused with its reason", async () => {
  const { publicKey } = await generateKey();
  const ed25519 = await crypto.subtle.generateKey("Ed25519", true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const cases: readonly [Uint8Array, string][] = [
    [new Uint8Array(), "ERR_DER"],
    [new Uint8Array([0x30, 0x80]), "ERR_DER"],
    [new TextEncoder().encode("-----BEGIN PRIVATE KEY-----\n"), "ERR_PEM"],
    [new TextEncoder().encode(formatPem("CERTIFICATE", publicKey)), "ERR_KEY"],
    [publicKey, "ERR_DER"],
    [
      new Uint8Array(await crypto.subtle.exportKey("pkcs8", ed25519.privateKey)),
      "ERR_UNSUPPORTED",
    ],
  ];
  for (const [bytes, code] of cases) {
    assertEquals((await assertRejects(() => importPrivateKey(bytes), SecureCertError)).code, code);
  }
});

sharedTest("keys in every encoding are read, and re-encode as OpenSSL wrote them", async () => {
  for (
    const name of [
      "rsa1024",
      "rsa2048",
      "rsa3072",
      "rsa4096",
      "ecp192",
      "ecp256",
      "ecp384",
      "ecp521",
      "eck256",
    ]
  ) {
    const traditional = name.startsWith("rsa") ? "pkcs1" : "sec1";
    for (const form of ["pem", "der"] as const) {
      if (name === "ecp521" && form === "pem") continue;
      const key = await importPrivateKey(shared(`generated/inputs/${name}.pkcs8.${form}`));
      const bytes = await exportPrivateKey(key, { encoding: "traditional", form });
      if (form === "der" || name !== "eck256") {
        assertEquals(bytes, shared(`generated/inputs/${name}.${traditional}.${form}`), name);
      }
      const again = await importPrivateKey(
        shared(`generated/inputs/${name}.${traditional}.${form}`),
      );
      assertEquals(
        await exportPrivateKey(again, { form }),
        shared(`generated/inputs/${name}.pkcs8.${form}`),
      );
    }
  }
});

sharedTest("password-protected keys open with their password and with no other", async () => {
  const plain = await importPrivateKey(shared("generated/inputs/rsa2048.pkcs8.pem"));
  for (const name of ["rsa2048.enc.pkcs8.pem", "rsa2048.enc.pkcs8.der", "rsa2048.enc.trad.pem"]) {
    const bytes = shared(`generated/inputs/${name}`);
    assertEquals((await importPrivateKey(bytes, { password: "test1234" })).pkcs8, plain.pkcs8);
    for (const password of ["wrong", "", undefined]) {
      const error = await assertRejects(
        () => importPrivateKey(bytes, { password }),
        SecureCertError,
      );
      assertEquals(error.code, "ERR_PASSWORD", name);
    }
  }
});

opensslTest("openssl's protections open, and openssl reads our keys", async () => {
  for (const kind of KINDS) {
    const key = await generateKey(kind);
    const pem = await exportPrivateKey(key);
    const der = await openssl(["pkey", "-outform", "DER", "-pubout"], pem);
    assertEquals(new Uint8Array(der), key.publicKey);
    const protections = [
      ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:pä ss"],
      ["pkcs8", "-topk8", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1", "-passout", "pass:pä ss"],
      ["pkcs8", "-topk8", "-v2", "des3", "-iter", "5000", "-passout", "pass:pä ss"],
      ["pkey", "-traditional", "-aes192", "-passout", "pass:pä ss"],
      ["pkey", "-traditional", "-des3", "-passout", "pass:pä ss"],
    ];
    for (const args of protections) {
      const opened = await importPrivateKey(await openssl(args, pem), { password: "pä ss" });
      assertEquals(opened.pkcs8, key.pkcs8, args.join(" "));
    }
  }
});
