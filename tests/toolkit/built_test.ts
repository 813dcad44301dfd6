/** What holds for whatever is built, and for whatever the device refuses. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { concat } from "../../lib/bytes/pack.ts";
import { formatPem } from "../../lib/bytes/pem.ts";
import { encodeUtf8, formatBase64 } from "../../lib/bytes/text.ts";
import { certificateRefusal } from "../../lib/device/certificate.ts";
import { parseStoredCertificates, parseStoredKey } from "../../lib/device/stored.ts";
import { CONFIG_COLUMNS } from "../../lib/format/config/row.ts";
import {
  append,
  build,
  buildFromCsv,
  convert,
  createCa,
  createDevelopmentCa,
  deriveEcdsaKey,
  encodeCustFlash,
  encodeNvsCredentials,
  encodePartition,
  exportPrivateKey,
  generateKey,
  importPrivateKey,
  issueCertificate,
  openSecureCert,
  type PrivateKey,
  readCertificate,
  type Verdict,
  verify,
} from "../../mod.ts";
import { rsaKey } from "../rsa_keys.ts";

const SEED = 20261127;
const RUNS = 40;

const EMPTY = encodePartition([{ type: 51, data: new Uint8Array(4) }]);
const FORMATS = ["tlv", "cust_flash", "cust_flash_legacy", "nvs", "nvs_legacy"] as const;
const hmacKey = new Uint8Array(32).map((_, at) => at + 1);
const salt = new Uint8Array(32).fill(9);

const root = await createDevelopmentCa();
const issuerKey = await generateKey();
const intermediate = {
  certificate: await createCa({ subject: "CN=between", key: issuerKey, issuer: root }),
  key: issuerKey,
};

/** A device's key and certificate. */
async function deviceOf(key: PrivateKey) {
  const { publicKey } = key;
  const certificate = await issueCertificate({ issuer: intermediate, publicKey, subject: "CN=d" });
  return { key, certificate };
}

const { key: derived } = await deriveEcdsaKey(hmacKey, salt);
const [p256, p384, rsa2048, rsa3072, ofSalt] = await Promise.all([
  deviceOf(await generateKey()),
  deviceOf(await generateKey({ curve: "P-384" })),
  deviceOf(await rsaKey(2048)),
  deviceOf(await rsaKey(3072)),
  deviceOf(derived),
]);

/** Key modes with the chips, keys and layouts that go with them. */
const MODES = [
  { keyMode: "plaintext", chips: [undefined, "esp32"], devices: [p256, p384, rsa2048, rsa3072] },
  { keyMode: "rsa-ds", chips: ["esp32c3", "esp32s2"], devices: [rsa2048, rsa3072] },
  { keyMode: "ecdsa-peripheral", chips: ["esp32h2", "esp32p4"], devices: [p256] },
  { keyMode: "hmac-encrypted", chips: ["esp32c3", "esp32s3"], devices: [p256, p384, rsa2048] },
  { keyMode: "hmac-derived", chips: ["esp32c3", "esp32c6"], devices: [ofSalt] },
] as const;

const files = {
  pem: (text: string) => encodeUtf8(text),
  crlf: (text: string) => encodeUtf8(`note\r\n${text.replaceAll("\n", "\r\n")}`),
};

const arbitraryCase = fc.constantFrom(...MODES).chain((mode) =>
  fc.record({
    keyMode: fc.constant(mode.keyMode),
    chip: fc.constantFrom(...mode.chips),
    device: fc.constantFrom(...mode.devices),
    efuseKeyId: fc.integer({ min: 0, max: 4 }),
    format: mode.keyMode === "plaintext"
      ? fc.constantFrom(...FORMATS)
      : mode.keyMode === "rsa-ds"
      ? fc.constantFrom("tlv", "cust_flash", "nvs")
      : fc.constant("tlv"),
    file: fc.constantFrom("der", "pem", "crlf", "object"),
    keyFile: fc.constantFrom(
      "pkcs8-pem",
      "pkcs8-der",
      "traditional-pem",
      "traditional-der",
      "object",
    ),
    isBundle: fc.boolean(),
    hasCa: fc.boolean(),
    integrity: fc.boolean(),
    fill: fc.boolean(),
    size: fc.constantFrom(0x6000, 0x8000),
    data: fc.uniqueArray(
      fc.record({
        type: fc.integer({ min: 51, max: 55 }),
        subtype: fc.integer({ min: 0, max: 253 }),
        data: fc.uint8Array({ minLength: 1, maxLength: 80 }),
      }),
      { selector: ({ type, subtype }) => 256 * type + subtype, maxLength: 3 },
    ),
  })
);
type Case = typeof arbitraryCase extends fc.Arbitrary<infer T> ? T : never;

/** The certificates that a case puts in, in a form of file that can hold them. */
function certificateFile({ file, isBundle, device }: Case) {
  const all = isBundle ? [device.certificate, intermediate.certificate] : [device.certificate];
  if (file === "object") return all;
  const pems = all.map(({ pem }) => pem).join("");
  return file === "der" && !isBundle
    ? device.certificate.der
    : files[file === "crlf" ? file : "pem"](pems);
}

function keyFileOf({ keyFile, keyMode, device }: Case) {
  if (keyMode === "hmac-derived") return undefined;
  if (keyFile === "object") return device.key;
  const [encoding, form] = keyFile.split("-") as ["pkcs8" | "traditional", "pem" | "der"];
  return exportPrivateKey(device.key, { encoding, form });
}

async function buildCase(each: Case) {
  const { keyMode, chip, efuseKeyId, format, hasCa, integrity, fill, size, data } = each;
  const plan = {
    caCert: hasCa ? root.certificate : undefined,
    deviceCert: certificateFile(each),
    privateKey: keyFileOf(each),
    keyMode,
    chip,
    efuseKeyId,
    hmacKey: keyMode === "plaintext" || keyMode === "ecdsa-peripheral" ? undefined : hmacKey,
    salt: keyMode === "hmac-derived" ? salt : undefined,
    data: format === "tlv" ? data : [],
  };
  return { plan, ...await build(plan, { format, integrity, fill, size }) };
}

Deno.test("whatever is built is good, is read as it was put in, and passes the device's rules", async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryCase, async (each) => {
      const { format, keyMode, chip, device, isBundle, hasCa } = each;
      const { image, plan } = await buildCase(each);
      const { ok, findings } = await verify(image, { hmacKey, chip });
      assert(ok, JSON.stringify(findings));

      const read = openSecureCert(image, { hmacKey, legacyBuild: format !== "tlv" });
      const wanted = isBundle
        ? [device.certificate, intermediate.certificate]
        : [device.certificate];
      assertUsed(await read.deviceCert(), wanted.map(({ der }) => der));
      if (hasCa) assertUsed(await read.caCert(), [root.certificate.der]);
      for (const { type, subtype, data } of plan.data) {
        assertEquals((await read.entry(type, subtype)).data, data);
      }
      if (keyMode === "rsa-ds") {
        assertEquals((await read.dsContext()).rsaLengthBits, device.key.bits);
        assertEquals((await read.dsContext()).efuseKeyId, each.efuseKeyId);
      } else if (keyMode === "ecdsa-peripheral") {
        assertEquals(await read.privateKeyType(), "ECDSA_PERIPHERAL");
      } else {
        const stored = await read.privateKey();
        assertEquals(parseStoredKey(stored).kind, "used");
        assertEquals((await importPrivateKey(stored)).publicKey, device.key.publicKey);
      }
    }),
    { seed: SEED, numRuns: RUNS },
  );
});

/** Whether the device takes all certificates of a value, and these. */
function assertUsed(stored: Uint8Array, ders: readonly Uint8Array[]): void {
  const parsed = parseStoredCertificates(stored);
  if (parsed.kind === "refused") throw new Error(parsed.refusal.reason);
  assertEquals(parsed.skipped, []);
  assertEquals(parsed.certificates.map((der) => readCertificate(der).der), ders);
}

/** A certificate of which some bytes are changed, left out or put in. */
const arbitraryMutant = fc.record({
  der: fc.constantFrom(p256.certificate.der, root.certificate.der, rsa2048.certificate.der),
  at: fc.nat(),
  drop: fc.constantFrom(0, 1, 1, 2),
  bytes: fc.uint8Array({ minLength: 0, maxLength: 2 }),
}).map(({ der, at, drop, bytes }) => {
  const offset = at % der.length;
  return concat(der.subarray(0, offset), bytes, der.subarray(offset + drop));
});

Deno.test("a certificate that the device refuses passes nowhere, and is found everywhere", async () => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(arbitraryMutant, async (der) => {
      if (certificateRefusal(der) === undefined) return;
      refused++;
      const pem = encodeUtf8(formatPem("CERTIFICATE", der));
      const stored = concat(pem, new Uint8Array(1));
      await assertFound(stored);
      await assertRefused(der);
      await assertRefused(pem);
      const image = encodePartition([{ type: 0, data: stored }]);
      for (const to of FORMATS) await assertThrows(() => convert(image, { to }));
      const csv = `${CONFIG_COLUMNS.join(",")}\n0,0,${formatBase64(stored)},base64,,,,,`;
      await assertThrows(() => buildFromCsv(csv, { load: () => Promise.resolve(undefined) }));
      const converted = await convert(image, { to: "cust_flash", verify: false });
      assert(isFound(converted.verdict));
    }),
    { seed: SEED, numRuns: RUNS },
  );
  assert(refused > RUNS / 3, String(refused));
});

/** In no layout is a value good. */
async function assertFound(caCert: Uint8Array): Promise<void> {
  const deviceCert = concat(encodeUtf8(p256.certificate.pem), new Uint8Array(1));
  const values = { caCert, deviceCert };
  const images = [
    encodePartition([{ type: 0, data: caCert }, { type: 1, data: deviceCert }]),
    ...[false, true].flatMap((legacy) => [
      encodeCustFlash(values, { legacy }),
      encodeNvsCredentials(values, { namespace: legacy ? "pre_prov" : "esp_secure_cert" }),
    ]),
  ];
  for (const image of images) assert(isFound(await verify(image)));
}

function isFound({ ok, findings }: Verdict): boolean {
  return !ok && findings.some(({ code }) => code === "CERT_REFUSED");
}

/** A file is taken by none of the verbs that store it. */
async function assertRefused(file: Uint8Array): Promise<void> {
  await assertThrows(() => build({ caCert: file }));
  await assertThrows(() => build({ deviceCert: file, privateKey: p256.key }));
  await assertThrows(() => append(EMPTY, { entries: [{ type: 0, data: file }] }));
}

async function assertThrows(make: () => Promise<unknown>): Promise<void> {
  const error = await make().then(() => undefined, (error) => error);
  assert(error instanceof SecureCertError, String(error));
}
