import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import { concat } from "../../../lib/bytes/pack.ts";
import { formatPem } from "../../../lib/bytes/pem.ts";
import { encodeUtf8, formatHex } from "../../../lib/bytes/text.ts";
import { decodeEcdsaSignature, digest, signBytes } from "../../../lib/crypto/signing.ts";
import {
  type Certificate,
  createCa,
  createIssuer,
  exportPrivateKey,
  generateKey,
  importPrivateKey,
  issueCertificate,
  type PrivateKey,
  readCertificate,
} from "../../../mod.ts";
import { readCertificates } from "../../../lib/crypto/x509/certificate.ts";
import type { SignCertificate } from "../../../lib/crypto/x509/issue.ts";
import { isIssuedBy } from "../../../lib/crypto/x509/chain.ts";
import { rsaKey } from "../../rsa_keys.ts";

const now = () => new Date("2026-03-01T10:00:00.700Z");
/** The same bytes each time it is opened. */
const source = () => {
  let next = 7;
  return (length: number) =>
    Uint8Array.from({ length }, () => (next = next * 1103515245 + 12345 & 0x7FFFFFFF) >> 16 & 0xFF);
};
const KEYS = [
  await generateKey({ random: source() }),
  await generateKey({ random: source(), curve: "P-384" }),
  await generateKey({ random: source(), curve: "P-192" }),
  await rsaKey(2048),
];
const NAMES = [
  { subject: "CN=dev-1,O=Example\\, Inc.", sans: [] },
  { subject: "", sans: ["dns:dev-1.example", "ip:192.0.2.1"] },
  { subject: "C=DE,serialNumber=1+CN=ä", sans: ["uri:urn:dev:1"] },
];
const SHARED: readonly Pick<Parameters<typeof issueCertificate>[0], "days" | "usage">[] = [
  {},
  { days: "forever", usage: ["server"] },
  { days: 1.000007, usage: ["client", "server"] },
];

async function makeCa(
  key: PrivateKey,
  options: { pathLength?: number } = {},
): Promise<Certificate> {
  return await createCa({ subject: "CN=CA", key, ...options, now, random: source() });
}

Deno.test("certificates are made of the bytes that were issued before there were prepared issuers", async () => {
  const parts: Uint8Array[] = [];
  for (const key of KEYS) {
    for (const pathLength of [undefined, 0, 300]) {
      parts.push((await makeCa(key, { pathLength })).signedPart);
    }
    const certificate = await makeCa(key);
    const issuer = await createIssuer({ certificate, key });
    for (const publicKey of KEYS) {
      for (const names of NAMES) {
        for (const shared of SHARED) {
          const options = { publicKey, ...names, ...shared, now };
          const [made, again] = [
            await issueCertificate({ issuer, ...options, random: source() }),
            await issueCertificate({ issuer: { certificate, key }, ...options, random: source() }),
          ];
          assertEquals(made.signedPart, again.signedPart);
          assertEquals(await isIssuedBy(made, certificate), true);
          parts.push(made.signedPart);
        }
      }
    }
  }
  const expected = "821dbd23c67bf8d248c3b489c9eeac80096f5304a27ffd39e54627c3f2cd1de7";
  assertEquals([parts.length, formatHex(await digest("SHA-256", concat(...parts)))], [
    156,
    expected,
  ]);
});

Deno.test("a function signs instead of a key", async () => {
  for (const key of KEYS) {
    const certificate = await makeCa(key);
    const asked: unknown[] = [];
    const sign: SignCertificate = (signedPart, algorithm) => {
      asked.push(algorithm);
      return signBytes(key, signedPart);
    };
    const issuer = await createIssuer({ certificate, sign });
    const options = { publicKey: KEYS[0]!, subject: "CN=d", now };
    const made = await issueCertificate({ issuer, ...options, random: source() });
    const own = await issueCertificate({
      issuer: { certificate, key },
      ...options,
      random: source(),
    });
    assertEquals(made.signedPart, own.signedPart);
    assertEquals(await isIssuedBy(made, certificate), true);
    const { type, curve } = key;
    assertEquals(asked, [{ type, curve, hash: curve === "P-384" ? "SHA-384" : "SHA-256" }]);
    assertEquals((await createCa({ subject: "CN=Below", key: KEYS[0]!, issuer })).issuer, "CN=CA");
  }
});

Deno.test("an ECDSA signature may be r and s as well, and a wrong one goes into no certificate", async () => {
  const [key, other] = [KEYS[0]!, KEYS[1]!];
  const certificate = await makeCa(key);
  const options = { publicKey: other, subject: "CN=d" };
  const raw: SignCertificate = async (signedPart) =>
    decodeEcdsaSignature(await signBytes(key, signedPart), 32);
  const made = await issueCertificate({ issuer: { certificate, sign: raw }, ...options });
  assertEquals(await isIssuedBy(made, certificate), true);
  const wrong: readonly SignCertificate[] = [
    () => Promise.resolve(new Uint8Array(64)),
    () => Promise.resolve(new Uint8Array()),
    () => signBytes(key, new Uint8Array(3)),
    (signedPart) => signBytes(other, signedPart, { hash: "SHA-256" }),
  ];
  for (const sign of wrong) {
    const issuer = { certificate, sign };
    const error = await assertRejects(
      () => issueCertificate({ issuer, ...options }),
      SecureCertError,
    );
    assertEquals([error.code, error.message.includes("not of the issuer's key")], [
      "ERR_CERTIFICATE",
      true,
    ]);
  }
});

Deno.test("an ECDSA signature in another form than DER's goes into a certificate in that of DER", async () => {
  const key = KEYS[0]!;
  const certificate = await makeCa(key);
  const element = (tag: number, content: Uint8Array | number[], long = false) => [
    tag,
    ...long ? [0x81] : [],
    content.length,
    ...content,
  ];
  const forms: Readonly<Record<string, (r: Uint8Array, s: Uint8Array) => number[]>> = {
    "long length": (r, s) =>
      element(0x30, [...element(2, [0, ...r]), ...element(2, [0, ...s])], true),
    "zeros before": (r, s) =>
      element(0x30, [...element(2, [0, 0, ...r]), ...element(2, [0, 0, ...s])]),
    "no sign": (r, s) => element(0x30, [...element(2, r), ...element(2, s)]),
  };
  for (const [form, encode] of Object.entries(forms)) {
    let canonical = new Uint8Array();
    const sign: SignCertificate = async (signedPart) => {
      canonical = await signBytes(key, signedPart);
      const raw = decodeEcdsaSignature(canonical, 32);
      return Uint8Array.from(encode(raw.subarray(0, 32), raw.subarray(32)));
    };
    const { der } = await issueCertificate({
      issuer: { certificate, sign },
      publicKey: KEYS[1]!,
      subject: "CN=d",
    });
    assertEquals(der.slice(-canonical.length), canonical, form);
  }
});

Deno.test("keys and certificates are taken as objects, bytes and text", async () => {
  const [key, device] = [KEYS[0]!, KEYS[1]!];
  const { der, pem } = await makeCa(key);
  const keyPem = exportPrivateKey(key);
  const keys = [
    key,
    keyPem,
    new TextDecoder().decode(keyPem),
    exportPrivateKey(key, { form: "der" }),
  ];
  const certificate = readCertificate(der);
  const spki = formatPem("PUBLIC KEY", device.publicKey);
  const publicKeys = [device, device.publicKey, spki, encodeUtf8(spki)];
  const options = { subject: "CN=d", now };
  const issued = await issueCertificate({
    issuer: { certificate, key },
    publicKey: device,
    ...options,
    random: source(),
  });
  for (const input of [certificate, [certificate], der, pem, encodeUtf8(pem)]) {
    assertEquals(readCertificate(input), certificate);
    assertEquals(readCertificates(input), [certificate]);
    for (const [at, each] of keys.entries()) {
      const issuer = await createIssuer({ certificate: input, key: each });
      const publicKey = publicKeys[at]!;
      const made = await issueCertificate({ issuer, publicKey, ...options, random: source() });
      assertEquals(made.signedPart, issued.signedPart);
    }
  }
  assertEquals(readCertificate(certificate) === certificate, true);
  assertEquals(certificate.pem, formatPem("CERTIFICATE", der));
});

Deno.test("WebCrypto imports a key once, however often it signs and verifies", async () => {
  const { subtle } = crypto;
  const own = subtle.importKey;
  let imports = 0;
  // deno-lint-ignore no-explicit-any
  subtle.importKey = (...words: any[]) => {
    imports++;
    return Reflect.apply(own, subtle, words);
  };
  try {
    const key = await generateKey();
    const certificate = await makeCa(key);
    const issuer = await createIssuer({ certificate, key });
    const issued: Certificate[] = [];
    for (const subject of ["CN=a", "CN=b", "CN=c"]) {
      issued.push(await issueCertificate({ issuer, publicKey: key, subject }));
    }
    assertEquals(imports, 0);
    for (const each of [...issued, ...issued]) {
      assertEquals(await isIssuedBy(each, certificate), true);
    }
    assertEquals(imports, 1);
    const again = await importPrivateKey(exportPrivateKey(key));
    assertEquals(imports, 2);
    await issueCertificate({
      issuer: { certificate, key: again },
      publicKey: key,
      subject: "CN=d",
    });
    assertEquals(imports, 2);
  } finally {
    subtle.importKey = own;
  }
});

Deno.test("what may not issue is not prepared", async () => {
  const [key, other] = [KEYS[0]!, KEYS[1]!];
  const certificate = await makeCa(key);
  const issuer = { certificate, key };
  const device = await issueCertificate({ issuer, publicKey: other, subject: "CN=d" });
  const attempts = [
    () => createIssuer({ certificate, key: other }),
    () => createIssuer({ certificate: device, key: other }),
  ];
  for (const attempt of attempts) {
    assertEquals((await assertRejects(attempt, SecureCertError)).code, "ERR_CERTIFICATE");
  }
  await assertRejects(() => createIssuer({ certificate }), TypeError);
  const sign = () => Promise.resolve(new Uint8Array());
  await assertRejects(() => createIssuer({ certificate, key, sign }), TypeError);
  const prepared = await createIssuer(issuer);
  assertEquals(await createIssuer(prepared) === prepared, true);
});

Deno.test("a certificate shows its texts when it is printed, and cannot be changed", async () => {
  const key = await generateKey();
  const certificate = await createCa({ subject: "CN=CA,O=Example", key });
  const printed = Deno.inspect(certificate);
  for (const part of ['subject: "CN=CA,O=Example"', 'key: "P-256"', "isCa: true"]) {
    assertStringIncludes(printed, part);
  }
  const { subject, issuer, sans, pem } = JSON.parse(JSON.stringify(certificate));
  assertEquals([subject, issuer, sans], ["CN=CA,O=Example", "CN=CA,O=Example", []]);
  assertEquals(pem, certificate.pem);
  assertEquals(Object.isFrozen(certificate), true);
});

Deno.test("a certificate ends with its CA, unless its days are given or the CA has ended", async () => {
  const key = await generateKey();
  const [start, later] = [new Date("2026-01-01T00:00:00Z"), new Date("2026-01-02T03:04:05Z")];
  const days = (from: Date, count: number) => new Date(from.getTime() + count * 86_400_000);
  for (const [caDays, end] of [[10, days(start, 10)], [4000, days(later, 3650)]] as const) {
    const certificate = await createCa({ subject: "CN=C", key, days: caDays, now: () => start });
    const issuer = { certificate, key };
    const issue = (options: { days?: number | "forever"; now?: () => Date }) =>
      issueCertificate({ issuer, publicKey: key, subject: "CN=d", now: () => later, ...options });
    assertEquals((await issue({})).notAfter, end);
    assertEquals((await issue({ days: 20 })).notAfter, days(later, 20));
    const ended = new Date("2046-01-01T00:00:00Z");
    assertEquals((await issue({ now: () => ended })).notAfter, days(ended, 3650));
    const below = await createCa({ subject: "CN=I", key, issuer, now: () => later });
    assertEquals(below.notAfter, end);
  }
});
