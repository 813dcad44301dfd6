import { assertEquals, assertThrows } from "@std/assert";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { concat } from "../../lib/bytes/pack.ts";
import { encodeUtf8, formatHex } from "../../lib/bytes/text.ts";
import { isProtectedKey } from "../../lib/crypto/keys/keys.ts";
import {
  createSigner,
  isSignatureRight,
  publicKeyDigest,
  rawSignature,
  readSignatureKey,
  signatureSize,
} from "../../lib/crypto/signature.ts";
import { exportPrivateKey, formatPem, generateKey } from "../../mod.ts";
import { rsaKey } from "../rsa_keys.ts";
import { openssl, opensslTest, shared, sharedCases, sharedTest, sharedText } from "../vectors.ts";

const MESSAGE = encodeUtf8("message");
const KEYS = [
  await rsaKey(3072),
  await generateKey({ curve: "P-192" }),
  await generateKey({ curve: "P-256" }),
  await generateKey({ curve: "P-384" }),
];

Deno.test("what a key signs verifies by its public key, in PEM or DER", async () => {
  for (const key of KEYS) {
    const signer = createSigner(key);
    const publicKey = readSignatureKey(signer.publicKey);
    const pem = encodeUtf8(formatPem("PUBLIC KEY", signer.publicKey));
    assertEquals(readSignatureKey(pem), publicKey);
    const raw = rawSignature(publicKey.algorithm, await signer.sign(MESSAGE))!;
    assertEquals(raw.length, signatureSize(publicKey.algorithm));
    assertEquals(await isSignatureRight(publicKey, MESSAGE, raw), true);
    assertEquals(await isSignatureRight(publicKey, concat(MESSAGE, MESSAGE), raw), false);
    assertEquals(await isSignatureRight(publicKey, MESSAGE, raw.with(3, raw[3]! ^ 1)), false);
  }
});

Deno.test("a signature of neither form is none", () => {
  assertEquals(rawSignature("rsa3072", new Uint8Array(383)), undefined);
  assertEquals(rawSignature("ecdsa256", new Uint8Array(63)), undefined);
  assertEquals(rawSignature("ecdsa256", new Uint8Array()), undefined);
});

Deno.test("other kinds of keys do not sign", async () => {
  for (const key of [await rsaKey(2048), await generateKey({ curve: "P-521" })]) {
    const error = assertThrows(() => createSigner(key), SecureCertError, "RSA-3072, P-192");
    assertEquals(error.code, "ERR_KEY");
  }
});

opensslTest("keys that need a password are recognised", async () => {
  for (const key of KEYS) {
    const pem = await exportPrivateKey(key);
    const der = await exportPrivateKey(key, { form: "der" });
    const old = await exportPrivateKey(key, { encoding: "traditional" });
    for (const plain of [pem, der, old, encodeUtf8("text"), new Uint8Array()]) {
      assertEquals(isProtectedKey(plain), false);
    }
    const password = ["-passout", "pass:secret word"];
    const protect = (...args: string[]) => openssl([...args, ...password], pem);
    assertEquals(isProtectedKey(await protect("pkcs8", "-topk8")), true);
    assertEquals(isProtectedKey(await protect("pkcs8", "-topk8", "-outform", "DER")), true);
    assertEquals(isProtectedKey(await protect("pkey", "-aes256", "-traditional")), true);
  }
});

sharedTest("digests of public keys are those that the reference burns", async () => {
  for (const { name } of sharedCases("sign").filter((each) => !each.known_bad)) {
    const { keys, key_digests_sha256 } = JSON.parse(sharedText(`generated/${name}/verify.json`));
    const digests = (keys as string[]).map((key) =>
      publicKeyDigest(readSignatureKey(shared(`generated/inputs/${key}`)))
    );
    assertEquals((await Promise.all(digests)).map(formatHex), key_digests_sha256, name);
  }
});
