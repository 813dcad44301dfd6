/** Verify against what mbedTLS answered when it was handed the stored bytes of an image. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { concat } from "../../lib/bytes/pack.ts";
import { formatPem } from "../../lib/bytes/pem.ts";
import { derOid } from "../../lib/crypto/der.ts";
import { decodeKeyParts, type EcParts, encodeTraditional } from "../../lib/crypto/keys/encoding.ts";
import {
  build,
  createDevelopmentCa,
  decodePartition,
  encodeCustFlash,
  encodeNvsCredentials,
  encodePartition,
  encryptEntry,
  exportPrivateKey,
  generateKey,
  inspect,
  issueCertificate,
  provision,
  readCertificate,
  SecureCertError,
  type Tlv,
  verify,
} from "../../mod.ts";
import { derBits, derContext, derInteger, derOctets, derSequence } from "../der.ts";
import { rsaKey } from "../rsa_keys.ts";
import { vector } from "../vectors.ts";

/** What the library answered: 0, how many certificates of a bundle it skipped, or an error. */
interface Answer {
  readonly code: number;
  readonly text: string;
}

interface Measured {
  readonly name: string;
  readonly parsed: { readonly ca: Answer; readonly dev: Answer; readonly key: Answer };
}

const MEASURED: readonly Measured[] = JSON.parse(
  new TextDecoder().decode(vector("device/parsed.json")),
);
/** While its certificates are valid. */
const now = () => new Date("2026-12-01T00:00:00Z");
const REFUSED = ["CERT_REFUSED", "KEY_REFUSED", "PEM_NO_NUL"];

async function refusals(name: string) {
  const { findings } = await verify(vector(`device/${name}.bin`), { now });
  return findings.filter(({ code }) => REFUSED.includes(code));
}

Deno.test("what the device's library refuses or skips, verify reports, and nothing else", async () => {
  for (const { name, parsed } of MEASURED) {
    const found = await refusals(name);
    const entries = [parsed.ca, parsed.dev, parsed.key];
    for (const [entry, { code, text }] of entries.entries()) {
      const own = found.filter(({ place }) => place.entry === entry);
      const wanted = code < 0 ? ["error"] : Array(code).fill("warning");
      const what = `${name} ${entry}: ${text}; ${own.map(({ message }) => message)}`;
      assertEquals(own.map(({ severity }) => severity), wanted, what);
      const isKey = entry === 2;
      for (const { code } of own) {
        assert(name === "raw-nonul" || code === (isKey ? "KEY_REFUSED" : "CERT_REFUSED"), what);
      }
    }
  }
  assertEquals(MEASURED.length, 69);
});

/** Each reason, in words. */
const REASONS: Readonly<Record<string, string>> = {
  "raw-cr": "the device refuses the device certificate: no line break after BEGIN CERTIFICATE",
  "raw-indented": "the device refuses the device certificate: indented base64",
  "raw-nonul": "the device certificate is PEM without a NUL at its end; mbedTLS refuses it",
  "raw-p7b": "the device refuses the device certificate: PEM with the label PKCS7",
  "raw-trailspaces":
    "the device refuses the device certificate: no line break after BEGIN CERTIFICATE",
  "raw-utf16": "the device refuses the device certificate: UTF-16 text",
  "rawkey-ec-any-private-key":
    "the device refuses the private key: PEM with the label ANY PRIVATE KEY",
  "rawkey-ec-cr": "the device refuses the private key: no line break after BEGIN EC PRIVATE KEY",
  "rawkey-ec-explicit": "the device refuses the private key: EC key with explicit curve parameters",
  "rawkey-ec-pem-oneline":
    "the device refuses the private key: no line break after BEGIN EC PRIVATE KEY",
  "ca-bundle-one-unparsable":
    "the device skips certificate 2 of the CA certificate's bundle: critical extension nameConstraints",
};

Deno.test("each refusal has its reason in words", async () => {
  for (const [name, reason] of Object.entries(REASONS)) {
    assertEquals((await refusals(name)).map(({ message }) => message), [reason], name);
  }
});

Deno.test("certificates and keys are compared as the device reads them", async () => {
  for (const { name, parsed: { ca, dev, key } } of MEASURED) {
    const { findings } = await verify(vector(`device/${name}.bin`), { now });
    const isRead = [ca, dev, key].every(({ code }) => code >= 0);
    // The CA's certificate comes first in the one, an RSA key before the EC key in the other.
    const isMismatch = name === "raw-comments" || name === "rawkey-ec-twokeys";
    assertEquals(findings.some(({ code }) => code === "KEY_MISMATCH"), isMismatch, name);
    const codes = findings.filter(({ severity }) => severity === "error").map(({ code }) => code);
    if (isRead && !isMismatch) assertEquals(codes, [], name);
  }
});

const issuer = await createDevelopmentCa();
const device = await provision({ issuer, subject: "CN=d" });
const values: readonly Tlv[] = decodePartition(device.image).entries;
const [ca, dev, key] = values as readonly [Tlv, Tlv, Tlv];
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (text: string) => new TextEncoder().encode(text);
/** A value whose BEGIN line has no line break. */
const oneLine = ({ data }: Tlv) => bytesOf(textOf(data).replace("-----\n", "-----"));

/** Codes and places of what is refused, and of a key that does not fit. */
async function found(image: Uint8Array, options?: Parameters<typeof verify>[1]): Promise<string[]> {
  const { findings } = await verify(image, options);
  return findings.filter(({ code }) => [...REFUSED, "KEY_MISMATCH"].includes(code))
    .map(({ code, severity, place }) => `${code} ${severity} ${place.entry ?? "-"}`);
}

Deno.test("every layout hands its values over with their NUL", async () => {
  const certificates = { deviceCert: dev.data, caCert: ca.data };
  const good = { ...certificates, privateKey: key.data };
  const bad = { deviceCert: oneLine(dev), caCert: oneLine(ca), privateKey: oneLine(key) };
  for (const legacy of [false, true]) {
    assertEquals(await found(encodeCustFlash(good, { legacy })), []);
    const codes = (await found(encodeCustFlash(bad, { legacy }))).map((each) => each.slice(0, -2));
    assertEquals(codes, ["CERT_REFUSED error", "CERT_REFUSED error", "KEY_REFUSED error"]);
  }
  assertEquals(await found(encodeNvsCredentials(good)), []);
  const codes = (await found(encodeNvsCredentials(bad))).map((each) => each.slice(0, -2));
  assertEquals(codes.toSorted(), ["CERT_REFUSED error", "CERT_REFUSED error", "KEY_REFUSED error"]);
  const noNul = { ...good, privateKey: key.data.subarray(0, -1) };
  assertEquals(await found(encodeCustFlash(noNul)), ["PEM_NO_NUL error 2"]);
});

Deno.test("entries of other subtypes are checked too, and named by their place", async () => {
  const image = encodePartition([
    ca,
    dev,
    key,
    { ...ca, subtype: 1, data: oneLine(ca) },
    { ...dev, subtype: 2, data: oneLine(dev) },
    { ...key, subtype: 3, data: oneLine(key) },
  ]);
  assertEquals(await found(image), [
    "CERT_REFUSED error 3",
    "CERT_REFUSED error 4",
    "KEY_REFUSED error 5",
  ]);
});

Deno.test("what the device does not see as a block of a bundle is stray, not refused", async () => {
  const unfinished = concat(ca.data.subarray(0, -1), ca.data.subarray(0, -20), Uint8Array.of(0));
  const { ok, findings } = await verify(encodePartition([{ ...ca, data: unfinished }, dev, key]));
  const [finding] = findings.filter(({ code }) => code !== "PLAINTEXT_KEY");
  assertEquals([ok, finding?.code, finding?.severity, finding?.message], [
    true,
    "STRAY_BYTES",
    "warning",
    "the device skips certificate 2 of the CA certificate's bundle and what follows it: " +
    "no END CERTIFICATE line",
  ]);
});

Deno.test("what is encrypted is checked when it is opened", async () => {
  const hmacKey = new Uint8Array(32).fill(7);
  const flags = 0x80;
  const image = encodePartition([
    ca,
    { ...dev, flags, data: await encryptEntry(oneLine(dev), { hmacKey }) },
    { ...key, flags, data: await encryptEntry(oneLine(key), { hmacKey }) },
  ]);
  assertEquals(await found(image), []);
  assertEquals(await found(image, { hmacKey }), ["CERT_REFUSED error 1", "KEY_REFUSED error 2"]);
});

Deno.test("a refused value that can be read otherwise is shown", async () => {
  const image = encodePartition([ca, { ...dev, data: oneLine(dev) }, {
    ...key,
    data: oneLine(key),
  }]);
  const { entries, credentials } = await inspect(image);
  assertEquals(entries.map(({ kind }) => kind), ["certificate", "certificate", "privateKey"]);
  assertEquals(entries[1]!.certificate?.subject, "CN=d");
  assertEquals(entries[2]!.privateKey?.key, "P-256");
  assertEquals(credentials.deviceCert, false);
  const unreadable = await inspect(encodePartition([{ ...ca, data: bytesOf("CA\0") }]));
  assertEquals(unreadable.entries[0]!.kind, "unreadable");
});

Deno.test("a key counts by its private half, and its point may be compressed", async () => {
  const parts = decodeKeyParts(device.key.pkcs8) as Required<EcParts>;
  const half = concat(Uint8Array.of(2 + (parts.point.at(-1)! & 1)), parts.point.subarray(1, 33));
  const other = decodeKeyParts((await generateKey()).pkcs8) as Required<EcParts>;
  const withKey = (data: Uint8Array) => encodePartition([ca, dev, { ...key, data }]);
  assertEquals(await found(withKey(encodeTraditional({ ...parts, point: half }))), []);
  const { point: _, ...pointless } = parts;
  assertEquals(await found(withKey(encodeTraditional(pointless))), []);
  // The device signs with the scalar, and never looks at the point beside it.
  assertEquals(await found(withKey(encodeTraditional({ ...parts, point: other.point }))), []);
  assertEquals(
    await found(withKey(encodeTraditional({ ...other, point: parts.point }))),
    ["KEY_MISMATCH error -"],
  );
  const compressed = compressKey(dev.data, parts.point, half);
  assertEquals(await found(encodePartition([ca, { ...dev, data: compressed }, key])), []);
});

/** A certificate, its signature aside, with its key in compressed form. */
function compressKey(pem: Uint8Array, point: Uint8Array, half: Uint8Array): Uint8Array {
  const { der, publicKey } = readCertificate(pem);
  const spki = publicKey.slice(0, -point.length);
  spki[1]! -= 32;
  spki[spki.length - 2]! -= 32;
  const at = textOf16(der).indexOf(textOf16(publicKey)) / 2;
  const changed = concat(der.subarray(0, at), spki, half, der.subarray(at + publicKey.length));
  // The two sequences around it have lengths of two bytes after 0x82.
  for (const offset of [2, 6]) {
    const view = new DataView(changed.buffer);
    view.setUint16(offset, view.getUint16(offset) - 32);
  }
  return changed;
}

const textOf16 = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

Deno.test("an RSA key whose numbers contradict each other is taken, and fits nothing", async () => {
  const rsa = await rsaKey(2048);
  const signed = await issueCertificate({ issuer, publicKey: rsa.publicKey, subject: "CN=r" });
  const der = exportPrivateKey(rsa, { encoding: "traditional", form: "der" });
  const image = (data: Uint8Array) =>
    encodePartition([ca, { type: 1, data: signed.der }, { type: 2, data }]);
  assertEquals(await found(image(der)), []);
  // The last number: 1/q mod p.
  der[der.length - 1]! ^= 2;
  assertEquals(await found(image(der)), ["KEY_MISMATCH error 2"]);
});

Deno.test("a key for key agreement is taken, and fits no certificate", async () => {
  const { scalar, point } = decodeKeyParts(device.key.pkcs8) as Required<EcParts>;
  const p256 = derOid("1.2.840.10045.3.1.7");
  const sec1 = derSequence(derInteger(1), derOctets(scalar), derContext(1, derBits(point)));
  const keys: readonly (readonly [string, readonly Uint8Array[], Uint8Array])[] = [
    ["X25519", [derOid("1.3.101.110")], derOctets(scalar)],
    ["X448", [derOid("1.3.101.111")], derOctets(new Uint8Array(56).fill(4))],
    ["ECDH", [derOid("1.3.132.1.12"), p256], sec1],
  ];
  for (const [name, algorithm, value] of keys) {
    const der = derSequence(derInteger(0), derSequence(...algorithm), derOctets(value));
    for (const data of [der, bytesOf(`${formatPem("PRIVATE KEY", der)}\0`)]) {
      const image = encodePartition([ca, dev, { ...key, data }]);
      assertEquals(await found(image), ["KEY_MISMATCH error 2"], name);
      const { findings } = await verify(image);
      const message = findings.find(({ code }) => code === "KEY_MISMATCH")!.message;
      assertEquals(
        message,
        `the private key is for ${name}, which cannot sign; no TLS handshake will succeed`,
      );
      assertEquals((await inspect(image)).entries[2]!.privateKey?.key, name);
    }
    assertEquals(await found(encodePartition([ca, { ...key, data: der }])), [
      "KEY_MISMATCH error 1",
    ]);
  }
});

Deno.test("a certificate for key agreement fits no key, even one with the same point", async () => {
  const chip = "esp32h2";
  // mbedTLS, `mbedtls_pk_check_pair`: the kinds of the two keys differ.
  const { point } = decodeKeyParts(device.key.pkcs8) as Required<EcParts>;
  const algorithm = derSequence(derOid("1.3.132.1.12"), derOid("1.2.840.10045.3.1.7"));
  const publicKey = derSequence(algorithm, derBits(point));
  const agreement = await issueCertificate({ issuer, publicKey, subject: "CN=d" });
  const stored = { type: 1, data: agreement.der };
  assertEquals(await found(encodePartition([ca, stored, key])), ["KEY_MISMATCH error -"]);
  const plan = { deviceCert: agreement, caCert: issuer.certificate, privateKey: device.key };
  const error = await assertRejects(() => build(plan), SecureCertError);
  assertEquals(error.code, "ERR_VERIFY");
  const ecdsa = await provision({ issuer, subject: "CN=d", keyMode: "ecdsa-peripheral", chip });
  const entries = decodePartition(ecdsa.image).entries.map((each) =>
    each.type === 1 ? { ...each, padding: undefined, data: agreement.der } : each
  ).filter(({ type }) => type !== 9);
  const { findings } = await verify(encodePartition(entries), { chip });
  assertEquals(findings.map(({ code }) => code), ["KEY_MISMATCH"]);
});
