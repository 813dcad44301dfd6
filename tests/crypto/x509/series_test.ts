import { assertEquals, assertRejects } from "@std/assert";
import { createCa, generateKey, issueCertificate, readCertificate } from "../../../mod.ts";
import { createCertificateSeries } from "../../../lib/crypto/x509/series.ts";
import { ecPartsOf } from "../../../lib/crypto/keys/template.ts";
import { decodeKeyParts } from "../../../lib/crypto/keys/encoding.ts";
import { createSigner, createVerifier } from "../../../lib/crypto/signer.ts";
import { rsaKey } from "../../rsa_keys.ts";

const now = () => new Date("2026-03-01T10:00:00.700Z");
/** The same bytes each time it is opened. */
const source = () => {
  let next = 7;
  return (length: number) =>
    Uint8Array.from({ length }, () => (next = next * 1103515245 + 12345 & 0x7FFFFFFF) >> 16 & 0xFF);
};

Deno.test("a series issues the bytes that issueCertificate does", async () => {
  const cas = [
    await generateKey(),
    await generateKey({ curve: "P-384" }),
    await generateKey({ curve: "P-192" }),
    await rsaKey(2048, 1),
  ];
  const devices = [
    await generateKey(),
    await generateKey({ curve: "P-384" }),
    await generateKey({ curve: "secp256k1" }),
    await rsaKey(2048, 2),
  ];
  const names = [
    { subject: "CN=dev-1,O=Example\\, Inc.", sans: [] },
    { subject: "", sans: ["dns:dev-1.example", "ip:192.0.2.1"] },
    { subject: "C=DE,serialNumber=1+CN=ä", sans: ["uri:urn:dev:1"] },
  ];
  const shared = [
    {},
    { days: "forever", usage: ["server"] },
    { days: 1.000007, usage: ["client", "server"] },
  ] as const;
  let turn = 0;
  for (const key of cas) {
    const issuer = { key, certificate: await createCa({ subject: "CN=CA", key }) };
    for (const each of shared) {
      const series = await createCertificateSeries({ issuer, ...each, now, random: source() });
      const random = source();
      for (const { publicKey } of devices) {
        // In turn, so that every device has had every name in the end.
        const name = names[turn++ % names.length]!;
        const fast = await series({ publicKey, ...name });
        const slow = await issueCertificate({ issuer, publicKey, ...name, ...each, now, random });
        // ECDSA draws a new number for each signature.
        if (key.curve === undefined || key.curve === "P-192") assertEquals(fast, slow);
        else assertEquals(readCertificate(fast).signedPart, readCertificate(slow).signedPart);
        const isSigned = await createVerifier(key.publicKey);
        const { signedPart, signature } = readCertificate(fast);
        assertEquals(await isSigned(signedPart, signature), true);
        signedPart[20]! ^= 1;
        assertEquals(await isSigned(signedPart, signature), false);
      }
    }
  }
});

Deno.test("a series refuses what issueCertificate refuses", async () => {
  const key = await generateKey();
  const certificate = await createCa({ subject: "CN=CA", key });
  const { publicKey } = await generateKey();
  const series = await createCertificateSeries({ issuer: { key, certificate } });
  await assertRejects(() => series({ publicKey, subject: "" }), Error, "need a subject");
  await assertRejects(() => series({ publicKey, subject: "XX=1" }), Error, "unknown attribute");
  const other = { key: await generateKey(), certificate };
  await assertRejects(() => createCertificateSeries({ issuer: other }), Error, "not that of its");
});

Deno.test("keys by their place are those that the parser reads, and others are left to it", async () => {
  for (const namedCurve of ["P-256", "P-384", "P-521"]) {
    const algorithm = { name: "ECDSA", namedCurve };
    const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
    if (namedCurve !== "P-521") assertEquals(ecPartsOf(pkcs8, algorithm), decodeKeyParts(pkcs8));
    const odd = pkcs8.slice();
    odd[5]! ^= 1;
    assertEquals(ecPartsOf(odd, algorithm), undefined);
    assertEquals(ecPartsOf(pkcs8.subarray(1), algorithm), undefined);
  }
  assertEquals(ecPartsOf(new Uint8Array(9), { name: "RSA" }), undefined);
});

Deno.test("a signer signs as its key", async () => {
  for (
    const key of [await generateKey(), await generateKey({ curve: "P-192" }), await rsaKey(2048)]
  ) {
    const message = new Uint8Array([1, 2, 3]);
    const signature = await (await createSigner(key))(message);
    const isSigned = await createVerifier(key.publicKey);
    assertEquals(await isSigned(message, signature), true);
    assertEquals(await isSigned(message, new Uint8Array(3)), false);
  }
});
