import { assert, assertEquals, assertRejects } from "@std/assert";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { concat } from "../../lib/bytes/pack.ts";
import { formatPem } from "../../lib/bytes/pem.ts";
import { encodeUtf8, formatBase64 } from "../../lib/bytes/text.ts";
import { readCertificates } from "../../lib/crypto/x509/certificate.ts";
import { certificateRefusal } from "../../lib/device/certificate.ts";
import { parseStoredCertificates, parseStoredKey } from "../../lib/device/stored.ts";
import { CONFIG_COLUMNS } from "../../lib/format/config/row.ts";
import { decodePartition } from "../../lib/format/partition.ts";
import { append } from "../../lib/toolkit/append.ts";
import { build, buildFromCsv } from "../../lib/toolkit/build.ts";
import { convert } from "../../lib/toolkit/convert.ts";
import {
  createDevelopmentCa,
  encodePartition,
  exportPrivateKey,
  openSecureCert,
  provision,
} from "../../mod.ts";
import { vector } from "../vectors.ts";

const MUTANTS: readonly { der: string }[] = JSON.parse(
  new TextDecoder().decode(vector("device/mutants.json")),
);
const REFUSED = MUTANTS.map(({ der }) => Uint8Array.fromBase64(der))
  .map((der) => ({ der, reason: certificateRefusal(der) }))
  .filter((each): each is { der: typeof each.der; reason: string } => each.reason !== undefined);
const NUL = new Uint8Array(1);

const issuer = await createDevelopmentCa();
const device = await provision({ issuer, subject: "CN=d" });
const privateKey = exportPrivateKey(device.key);

const csvOf = (type: string, dataType: string, value: string) =>
  [CONFIG_COLUMNS.join(","), `${type},0,${value},${dataType},,,,,`].join("\n");
const load = () => Promise.resolve(undefined);

async function assertRefused(make: () => Promise<unknown>, reason: string | undefined) {
  const error = await assertRejects(make, SecureCertError);
  if (reason === undefined || !error.message.includes("the device refuses")) return;
  assert(error.message.includes(reason), `${error.message}: ${reason}`);
  assert(error.problems.length > 0);
}

Deno.test("a certificate that the device refuses never passes", async () => {
  assert(REFUSED.length > 50, String(REFUSED.length));
  for (const { der, reason } of REFUSED) {
    const pem = encodeUtf8(formatPem("CERTIFICATE", der));
    const bundle = concat(encodeUtf8(device.certificate.pem), pem);
    for (const file of [der, pem]) {
      await assertRefused(() => build({ caCert: file }), reason);
      await assertRefused(() => build({ deviceCert: file }), reason);
      const entries = [{ type: 0, subtype: 3, data: file }];
      await assertRefused(() => append(device.image, { entries }), reason);
    }
    await assertRefused(() => build({ caCert: bundle }), reason);
    for (const value of [der, concat(pem, NUL)]) {
      const csv = csvOf("ESP_SECURE_CERT_CA_CERT_TLV", "base64", formatBase64(value));
      await assertRefused(() => buildFromCsv(csv, { load }), reason);
      const data = [{ type: 1, subtype: 2, data: value, verbatim: true }];
      await assertRefused(() => build({ deviceCert: device.certificate, data }), reason);
    }
  }
});

Deno.test("a refused value names the value, its block and the reason", async () => {
  const { der, reason } = REFUSED.find(({ der }) => isRead(der))!;
  const pem = encodeUtf8(formatPem("CERTIFICATE", der));
  const caCert = concat(encodeUtf8(device.certificate.pem), pem);
  const error: SecureCertError = await assertRejects(
    () => build({ caCert, deviceCert: der }),
    SecureCertError,
  );
  assertEquals(error.code, "ERR_PLAN");
  assertEquals(error.problems.map(({ message }) => message), [
    `the device refuses certificate 2 of the CA certificate's bundle: ${reason}`,
    `the device refuses the device certificate: ${reason}`,
  ]);
});

Deno.test("without the check a refused certificate is stored, and found", async () => {
  const { der } = REFUSED.find(({ der }) => isRead(der))!;
  const { verdict } = await build({ caCert: der }, { verify: false });
  assert(verdict.findings.some(({ code }) => code === "CERT_REFUSED"));
});

Deno.test("files are stored in canonical form, and bytes as they are", async () => {
  const noisy = `comment\r\n${device.certificate.pem.replaceAll("\n", "\r\n")}rest`;
  const canonical = concat(encodeUtf8(device.certificate.pem), NUL);
  const { image } = await build({ deviceCert: encodeUtf8(noisy), privateKey });
  const [certificate, key] = decodePartition(image).entries;
  assertEquals(certificate!.data, canonical);
  assertEquals(parseStoredKey(key!.data).kind, "used");
  const bytes = concat(encodeUtf8(noisy), NUL);
  const data = [{ type: 1, data: bytes, verbatim: true }];
  const kept = decodePartition((await build({ privateKey, data })).image).entries;
  assertEquals(kept.find(({ type }) => type === 1)!.data, bytes);
});

Deno.test("a key given as bytes is checked as the device reads it", async () => {
  const withoutNul = [{ type: 2, data: privateKey, verbatim: true }];
  const error = await assertRejects(() => build({ data: withoutNul }), SecureCertError);
  assert(error.message.includes("the device refuses the private key: PEM without a NUL"));
  const value = concat(privateKey, NUL);
  const { image } = await build({ data: [{ type: 2, data: value, verbatim: true }] });
  assertEquals(decodePartition(image).entries[0]!.data, value);
});

Deno.test("whatever is built of certificates passes the device's rules", async () => {
  for (const { der } of MUTANTS) {
    const caCert = Uint8Array.fromBase64(der);
    if (certificateRefusal(caCert) !== undefined) continue;
    for (const file of [caCert, encodeUtf8(formatPem("X509 CERTIFICATE", caCert))]) {
      const { image, verdict } = await build({ caCert: file }, { verify: false });
      const parsed = parseStoredCertificates(decodePartition(image).entries[0]!.data);
      assertEquals(parsed.kind === "used" && parsed.skipped, []);
      assertEquals(verdict.findings.filter(({ code }) => code.endsWith("_REFUSED")), []);
    }
  }
});

const FORMATS = ["tlv", "cust_flash", "cust_flash_legacy", "nvs", "nvs_legacy"] as const;

Deno.test("a refused value is not carried to another layout", async () => {
  for (const { der, reason } of REFUSED) {
    const pem = concat(encodeUtf8(formatPem("CERTIFICATE", der)), NUL);
    for (const data of [der, pem, concat(encodeUtf8(device.certificate.pem), pem)]) {
      const image = encodePartition([{ type: 0, data }]);
      for (const to of FORMATS) await assertRefused(() => convert(image, { to }), reason);
    }
  }
  const key = encodePartition([{ type: 2, data: privateKey }]);
  for (const to of ["tlv", "cust_flash"] as const) {
    const error = await assertRejects(() => convert(key, { to }), SecureCertError);
    assert(error.message.startsWith("Cannot convert image: the device refuses the private key: "));
    assertEquals([error.code, error.problems.length], ["ERR_PLAN", 1]);
  }
});

Deno.test("a refused value is carried as it is, and found, without the check", async () => {
  for (const { der } of REFUSED.slice(0, 9)) {
    const pem = concat(encodeUtf8(formatPem("CERTIFICATE", der)), NUL);
    const image = encodePartition([{ type: 0, data: pem }]);
    for (const to of FORMATS) {
      const converted = await convert(image, { to, verify: false });
      assertEquals(await openSecureCert(converted.image).caCert(), pem);
      assert(converted.verdict.findings.some(({ code }) => code === "CERT_REFUSED"));
    }
  }
});

Deno.test("values are carried byte for byte, and to text in canonical form where refused", async () => {
  const noisy = encodeUtf8(`note\r\n${device.certificate.pem.replaceAll("\n", "\r\n")}rest\0`);
  const key = concat(encodeUtf8("note\n"), privateKey, NUL);
  const canonical = concat(encodeUtf8(device.certificate.pem), NUL);
  const image = encodePartition([
    { type: 0, data: noisy },
    { type: 1, data: device.certificate.der },
    { type: 2, data: key },
  ]);
  const withoutNul = encodePartition([{ type: 0, data: noisy.subarray(0, -1) }]);
  for (const to of FORMATS) {
    const read = openSecureCert((await convert(image, { to })).image);
    const deviceCert = to.startsWith("nvs") ? canonical : device.certificate.der;
    assertEquals(await read.caCert(), noisy, to);
    assertEquals(await read.deviceCert(), deviceCert, to);
    assertEquals(await read.privateKey(), key, to);
  }
  const repaired = await convert(withoutNul, { to: "nvs" });
  assertEquals(await openSecureCert(repaired.image).caCert(), canonical);
  await assertRefused(() => convert(withoutNul, { to: "tlv" }), "PEM without a NUL");
});

function isRead(der: Uint8Array): boolean {
  try {
    return readCertificates(der).length === 1;
  } catch {
    return false;
  }
}

Deno.test("what is known of a value is not taken for another one", async () => {
  const [certificate] = readCertificates(device.certificate.pem);
  const { key } = device;
  const plain = await build({ deviceCert: certificate, privateKey: key });
  const again = await build({ deviceCert: certificate, privateKey: key });
  assertEquals(again, plain);
  const data = [{ type: 1, data: certificate!.der, verbatim: true }];
  const own = { caCert: certificate, privateKey: key, data };
  const { verdict } = await build(own, { verify: false });
  assertEquals(verdict.findings.filter(({ code }) => code.endsWith("_REFUSED")), []);
  plain.image.fill(0x20, 12, 40);
  assertEquals((await build({ deviceCert: certificate, privateKey: key })).image, again.image);
});

Deno.test("of a DER file the certificate is stored, and a second one is refused", async () => {
  const { der, pem } = device.certificate;
  const aux = new Uint8Array([0x30, 0]);
  const trusted = encodeUtf8(formatPem("TRUSTED CERTIFICATE", concat(der, aux)));
  const files = [[concat(der, aux), der], [trusted, concat(encodeUtf8(pem), NUL)]] as const;
  for (const [deviceCert, stored] of files) {
    const { image } = await build({ deviceCert, privateKey });
    assertEquals(decodePartition(image).entries.find(({ type }) => type === 1)!.data, stored);
  }
  const two = concat(der, issuer.certificate.der);
  const error = await assertRejects(() => build({ deviceCert: two, privateKey }), SecureCertError);
  assert(error.message.includes(`a second one at byte ${der.length}`), error.message);
});
