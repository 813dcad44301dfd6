/** Chains of every kind of key, hash and padding, as OpenSSL makes them. */
import { assertEquals } from "@std/assert";
import { readCertificates } from "../../../lib/crypto/x509/certificate.ts";
import { followChain, isIssuedBy } from "../../../lib/crypto/x509/chain.ts";
import { createCa, generateKey, issueCertificate, readCertificate } from "../../../mod.ts";
import { vector } from "../../vectors.ts";

/** Name of the CA's kind of key, and how many certificates it signed. */
const SIGNED = {
  "P-192": 5,
  "P-224": 5,
  "P-256": 5,
  "P-384": 5,
  "P-521": 5,
  "secp256k1": 5,
  "brainpoolP256r1": 5,
  "brainpoolP384r1": 5,
  "brainpoolP512r1": 5,
  "RSA-2048": 12,
  "RSA-2049": 2,
  "RSA-large-exponent": 1,
} as const;

for (const [name, count] of Object.entries(SIGNED)) {
  Deno.test(`${name}: what the CA signed is its own, with any hash, and nothing else is`, async () => {
    const [ca, ...leaves] = readCertificates(vector(`chains/${name}.pem`));
    assertEquals(leaves.length, count);
    assertEquals(await isIssuedBy(ca!, ca!), true, "itself");
    for (const leaf of leaves) {
      const { hash, pssSaltLength = "none" } = leaf.signedWith!;
      const what = `${hash}, salt ${pssSaltLength}`;
      assertEquals(await isIssuedBy(leaf, ca!), true, what);
      const changed = leaf.der.slice();
      changed[changed.length - 1]! ^= 1;
      assertEquals(await isIssuedBy(readCertificate(changed), ca!), false, `changed: ${what}`);
    }
  });
}

Deno.test("a signature of a kind that is not known is unchecked, and not wrong", async () => {
  const [ca, leaf] = readCertificates(vector("chains/Ed25519.pem"));
  assertEquals((await followChain(leaf!, [], [ca!])).fault, "unchecked");
});

Deno.test("a known algorithm of another kind of key is wrong", async () => {
  const [rsa] = readCertificates(vector("chains/RSA-2048.pem"));
  const [, leaf] = readCertificates(vector("chains/P-256.pem"));
  const { subject } = leaf!;
  const named = { ...leaf!, subject, issuer: rsa!.subject, issuerDer: rsa!.subjectDer };
  assertEquals((await followChain(named, [], [rsa!])).fault, "wrong");
});

Deno.test("names are the same in another string type and in capitals", async () => {
  const key = await generateKey();
  const ca = await createCa({ subject: "CN=Example CA,C=DE", key });
  const issued = await issueCertificate({
    issuer: { certificate: ca, key },
    publicKey: key,
    subject: "CN=d",
  });
  // The CN as a PrintableString, and in capitals.
  for (const change of [(der: Uint8Array, at: number) => der[at - 2] = 0x13, capitals]) {
    const der = ca.der.slice();
    const names = [...der.keys()].filter((at) =>
      new TextDecoder().decode(der.subarray(at, at + 10)) === "Example CA"
    );
    assertEquals(names.length, 2);
    for (const at of names) change(der, at);
    assertEquals(await isIssuedBy(issued, readCertificate(der)), true);
  }
});

function capitals(der: Uint8Array, at: number): void {
  der.set(new TextEncoder().encode("EXAMPLE CA"), at);
}

Deno.test("of hundreds of certificates with the issuer's name only some are tried", async () => {
  const [ca, leaf] = readCertificates(vector("chains/brainpoolP512r1.pem"));
  const [other] = readCertificates(vector("chains/brainpoolP384r1.pem"));
  const named = Array.from({ length: 500 }, () => ({
    ...other!,
    subject: ca!.subject,
    subjectDer: ca!.subjectDer,
  }));
  assertEquals((await followChain(leaf!, named, [named[0]!])).fault, "unchecked");
});
