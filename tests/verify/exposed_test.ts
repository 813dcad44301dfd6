/** Private keys where the firmware never reads them. */
import { assertEquals, assertRejects } from "@std/assert";
import {
  append,
  build,
  buildFromCsv,
  createDevelopmentCa,
  decodePartition,
  diff,
  encodeNvs,
  encodePartition,
  exportPrivateKey,
  extract,
  formatPem,
  generateKey,
  inspect,
  issueCertificate,
  type PrivateKey,
  provision,
  SecureCertError,
  type Tlv,
  type Verdict,
  verify,
} from "../../mod.ts";
import { concat } from "../../lib/bytes/pack.ts";
import { encodeUtf8, formatBase64, formatHex } from "../../lib/bytes/text.ts";
import { secretNumbers } from "../../lib/crypto/keys/find.ts";
import { rsaKey } from "../rsa_keys.ts";
import { shared, sharedTest, sharedText, vector } from "../vectors.ts";

const issuer = await createDevelopmentCa();
const key = await generateKey();
const rsa = await rsaKey(2048);
const certificateOf = ({ publicKey }: PrivateKey, subject = "CN=d") =>
  issueCertificate({ issuer, publicKey, subject });
const [deviceCert, rsaCert] = [await certificateOf(key), await certificateOf(rsa)];
const caCert = issuer.certificate;
const der = exportPrivateKey(key, { encoding: "traditional", form: "der" });
const [scalar] = secretNumbers(key) as [Uint8Array];
const hmacKey = Uint8Array.from({ length: 32 }, (_, at) => at * 7 + 1);

const peripheral = await build({
  caCert,
  deviceCert,
  privateKey: key,
  keyMode: "ecdsa-peripheral",
  chip: "esp32h2",
});
const plain = await build({ caCert, deviceCert, privateKey: key });
const ds = await build({
  caCert,
  deviceCert: rsaCert,
  privateKey: rsa,
  keyMode: "rsa-ds",
  chip: "esp32c3",
  hmacKey,
});
const derived = await provision({
  issuer,
  subject: "CN=d",
  keyMode: "hmac-derived",
  chip: "esp32c3",
});

/** The entries of an image without its integrity entry. */
const entriesOf = (image: Uint8Array): Tlv[] => decodePartition(image).entries.slice(0, -1);
const [hidden, open, dsOnes] = [peripheral, plain, ds].map(({ image }) => entriesOf(image)) as [
  Tlv[],
  Tlv[],
  Tlv[],
];
const imageOf = (entries: readonly Tlv[]) => encodePartition(entries, { integrity: true });
const user = (data: Uint8Array): Tlv => ({ type: 51, data });
const exposures = ({ findings }: Verdict) =>
  findings.filter(({ code }) => code === "KEY_EXPOSED").map(({ severity }) => severity);
const exposed = async (image: Uint8Array, options = {}) => exposures(await verify(image, options));
const reversed = (bytes: Uint8Array) => bytes.slice().reverse();

sharedTest("the recorded images are judged as they should be", async () => {
  const manifest: { name: string; kind: string; want: string }[] = JSON.parse(
    sharedText("device/MANIFEST.json"),
  );
  for (const { name, want } of manifest.filter(({ kind }) => kind === "exposed")) {
    const verdict = await verify(shared(`device/${name}.bin`));
    const found = exposures(verdict);
    if (want === "error") assertEquals([found, verdict.ok], [["error"], false], name);
    if (want === "finding") assertEquals(found.length > 0, true, name);
    if (want === "none") assertEquals([found, verdict.ok], [[], true], name);
  }
});

Deno.test("a key in any value of an image that hides it is an error, found once", async () => {
  const names = [...Deno.readDirSync(new URL("../vectors/exposed", import.meta.url))];
  for (
    const { name } of names.filter((each) => each.name !== "exposed_plaintext_key_subtype_3.bin")
  ) {
    const verdict = await verify(vector(`exposed/${name}`));
    const want = name.startsWith("clean") ? [] : ["error"];
    assertEquals(exposures(verdict), want, name);
    // One kind of finding for one key.
    const others = ["PLAINTEXT_KEY", "KEY_IN_PERIPHERAL_ENTRY"];
    assertEquals(verdict.findings.some(({ code }) => others.includes(code)), false, name);
  }
});

Deno.test("only a key mode that hides the key makes it an error", async () => {
  const other = exportPrivateKey(await generateKey());
  for (const entries of [hidden, dsOnes, entriesOf(derived.image)]) {
    assertEquals(await exposed(imageOf(entries)), []);
    assertEquals(await exposed(imageOf([...entries, user(other)])), ["error"]);
  }
  assertEquals(await exposed(imageOf([...open, user(other)])), ["warning"]);
  assertEquals(await exposed(imageOf([open[0]!, user(other)])), ["warning"]);
});

Deno.test("the private keys that builds of the firmware read in plaintext are not exposed", async () => {
  const stored = open.find(({ type }) => type === 2)!;
  const with_ = (...subtypes: number[]) =>
    imageOf([...open, ...subtypes.map((subtype) => ({ ...stored, subtype }))]);
  assertEquals(await exposed(with_()), []);
  // A legacy build reads the last.
  assertEquals(await exposed(with_(3)), []);
  assertEquals(await exposed(with_(1, 2)), ["warning"]);
  const both = imageOf([...hidden, { ...stored, subtype: 1 }]);
  assertEquals(await exposed(both), ["error"]);
});

Deno.test("flags decide which finding a key in a key's entry is", async () => {
  const rest = hidden.filter(({ type }) => type !== 2);
  const codesFor = async (flags: number) => {
    const { findings } = await verify(imageOf([...rest, { type: 2, flags, data: der }]));
    const codes = ["PLAINTEXT_KEY", "KEY_IN_PERIPHERAL_ENTRY", "KEY_EXPOSED"];
    return findings.map(({ code }) => code).filter((code) => codes.includes(code));
  };
  assertEquals(await codesFor(0), ["PLAINTEXT_KEY"]);
  assertEquals(await codesFor(0x08), ["KEY_IN_PERIPHERAL_ENTRY"]);
  assertEquals(await codesFor(0x80), ["KEY_IN_PERIPHERAL_ENTRY"]);
  assertEquals(await codesFor(0x40), ["KEY_EXPOSED"]);
  const entries = entriesOf(derived.image);
  const filled = (data: Uint8Array) =>
    imageOf(entries.map((entry) => entry.type === 2 ? { ...entry, data } : entry));
  assertEquals(await exposed(filled(crypto.getRandomValues(new Uint8Array(20)))), ["error"]);
  assertEquals(await exposed(filled(new Uint8Array(20))), []);
});

Deno.test("the device's scalar is found in either order", async () => {
  const text = encodeUtf8(formatHex(scalar));
  const values = [scalar, reversed(scalar), text, encodeUtf8(formatBase64(scalar))];
  for (const value of values) {
    assertEquals(await exposed(imageOf([...hidden, user(value)])), ["error"]);
    assertEquals(await exposed(imageOf([...open, user(value)])), ["warning"]);
    assertEquals(await exposed(imageOf([...hidden, user(concat(value, new Uint8Array(1)))])), [
      "error",
    ]);
  }
  const [other] = secretNumbers(await generateKey()) as [Uint8Array];
  assertEquals(await exposed(imageOf([...hidden, user(other)])), []);
  for (const curve of ["P-384", "P-192"] as const) {
    const own = await generateKey({ curve });
    const certificate = await certificateOf(own);
    const { image } = await build({
      caCert,
      deviceCert: certificate,
      privateKey: own,
      keyMode: "ecdsa-peripheral",
      chip: curve === "P-192" ? "esp32h2" : "esp32c5",
    }, { verify: false });
    for (const number of secretNumbers(own)) {
      assertEquals(await exposed(imageOf([...entriesOf(image), user(number)])), ["error"], curve);
    }
  }
});

Deno.test("every offset of the security configuration is looked at", async () => {
  const config = hidden.findIndex(({ type }) => type === 6);
  for (const number of [scalar, reversed(scalar)]) {
    for (const at of [1, 2, 5, 8]) {
      const data = hidden[config]!.data.slice();
      data.set(number, at);
      const { findings, ok } = await verify(
        imageOf(hidden.with(config, { ...hidden[config]!, data })),
      );
      assertEquals(findings.map(({ code }) => code), ["KEY_EXPOSED", "STRAY_BYTES"], `${at}`);
      assertEquals(ok, false);
    }
  }
});

Deno.test("an RSA key's primes and exponent are found", async () => {
  const [d, p, q] = secretNumbers(rsa) as [Uint8Array, Uint8Array, Uint8Array];
  for (const prime of [p, q, reversed(q)]) {
    assertEquals(await exposed(imageOf([...dsOnes, user(prime)])), ["error"]);
  }
  assertEquals(await exposed(imageOf([...dsOnes, user(d)]), { hmacKey }), ["error"]);
  assertEquals(await exposed(imageOf([...dsOnes, user(p.map((byte) => byte ^ 1))])), []);
});

Deno.test("the HMAC key is found anywhere when it is given", async () => {
  const around = new Uint8Array(5).fill(9);
  for (const bytes of [hmacKey, reversed(hmacKey)]) {
    const image = imageOf([...dsOnes, user(concat(around, bytes, around))]);
    assertEquals(await exposed(image, { hmacKey }), ["error"]);
    assertEquals(await exposed(image), []);
    const tail = concat(ds.image, new Uint8Array(40).fill(0xFF), bytes);
    assertEquals(await exposed(tail, { hmacKey }), ["error"]);
  }
  assertEquals(await exposed(ds.image, { hmacKey }), []);
  assertEquals(await exposed(peripheral.image, { hmacKey: new Uint8Array(32) }), []);
});

Deno.test("padding, headers and what follows the entries are looked at", async () => {
  const tail = concat(peripheral.image, new Uint8Array(100).fill(0xFF), der, new Uint8Array(3));
  const { findings } = await verify(tail);
  const { place } = findings.find(({ code }) => code === "KEY_EXPOSED")!;
  assertEquals(place, { offset: peripheral.image.length + 100 });
  // The key starts in a value and ends in its padding, or is spread over the padding of several.
  const across: Tlv = { ...user(der.slice(0, -9)), padding: der.slice(-9) };
  assertEquals(der.slice(0, -9).length % 16, 0, "the rest is as long as the padding");
  assertEquals(await exposed(imageOf([...hidden, { ...across, padding: undefined }])), ["error"]);
  const spread = [0, 15, 30].map((at, index): Tlv => {
    const padding = new Uint8Array(15);
    padding.set(scalar.subarray(at, at + 15));
    return { type: 51 + index, data: new Uint8Array(1), padding };
  });
  const whole = imageOf([...open, ...spread]);
  assertEquals(await exposed(whole), ["warning"]);
  const warned = (await verify(whole)).findings.filter(({ code }) => code === "STRAY_BYTES");
  assertEquals(warned.map(({ severity }) => severity), ["warning", "warning", "warning"]);
  const reserved = imageOf([...open, {
    ...user(scalar.slice(0, 3)),
    reserved: Uint8Array.of(0, 1, 0),
  }]);
  assertEquals((await verify(reserved)).findings.map(({ code }) => code), [
    "STRAY_BYTES",
    "PLAINTEXT_KEY",
  ]);
});

Deno.test("an NVS value of another key, namespace or several chunks is looked at", async () => {
  const pem = exportPrivateKey(await generateKey());
  const items = [
    { namespace: "esp_secure_cert", key: "ca_cert", type: "string", value: caCert.pem },
    { namespace: "esp_secure_cert", key: "dev_cert", type: "string", value: deviceCert.pem },
    { namespace: "esp_secure_cert", key: "priv_key", type: "string", value: exportPrivateKey(key) },
  ] as const;
  const imageWith = (...more: Parameters<typeof encodeNvs>[0]) =>
    encodeNvs([...items, ...more], { size: 0x6000 });
  const long = new Uint8Array(9000).fill(1);
  long.set(pem, 3900);
  assertEquals(await exposed(imageWith()), []);
  for (
    const item of [
      { namespace: "esp_secure_cert", key: "old_key", type: "string", value: pem },
      { namespace: "pre_prov", key: "priv_key", type: "string", value: pem },
      { namespace: "app", key: "blob", type: "blob", value: der },
      { namespace: "app", key: "scalar", type: "blob", value: scalar },
      { namespace: "app", key: "long", type: "blob", value: long },
    ] as const
  ) {
    assertEquals((await exposed(imageWith(item)))[0], "warning", item.key);
  }
});

Deno.test("cust_flash is looked at between its values", async () => {
  const { image } = await build({ caCert, deviceCert, privateKey: key }, { format: "cust_flash" });
  assertEquals(await exposed(image), []);
  const { image: hiding } = await build({
    caCert,
    deviceCert: rsaCert,
    privateKey: rsa,
    keyMode: "rsa-ds",
    chip: "esp32s3",
  }, { format: "cust_flash" });
  for (const [bytes, severity] of [[image, "warning"], [hiding, "error"]] as const) {
    for (const at of [64 + 1900, bytes.length - der.length]) {
      const changed = bytes.slice();
      changed.set(der, at);
      assertEquals(await exposed(changed), [severity], `${severity} at ${at}`);
    }
  }
});

Deno.test("build, append and a CSV refuse an exposed key where it is to be hidden", async () => {
  const plan = { caCert, deviceCert, keyMode: "ecdsa-peripheral", chip: "esp32h2" } as const;
  const pem = exportPrivateKey(key);
  for (const data of [pem, der, concat(new Uint8Array(3), scalar)]) {
    const entries = [{ type: "user1" as const, data }];
    const refused = await assertRejects(
      () => build({ ...plan, privateKey: key, data: entries }, { verify: false }),
      SecureCertError,
      "KEY_EXPOSED",
    );
    assertEquals(refused.code, "ERR_PLAN");
    assertEquals(refused.message.includes(formatHex(scalar)), false);
  }
  const entries = [{ type: "user1" as const, data: pem }];
  await assertRejects(() => append(peripheral.image, { entries }), SecureCertError, "KEY_EXPOSED");
  const { verdict } = await append(plain.image, { entries });
  assertEquals([exposures(verdict), verdict.ok], [["warning"], true]);
  const built = await build({ caCert, deviceCert, privateKey: key, data: entries });
  assertEquals(exposures(built.verdict), ["warning"]);
  // The certificate's file may hold the key as well; only the certificate is stored.
  const file = concat(encodeUtf8(deviceCert.pem), pem);
  assertEquals((await build({ ...plan, deviceCert: file })).verdict.ok, true);
});

Deno.test("a CSV gives the image with an exposed key that it was extracted from, and no other", async () => {
  const image = vector("exposed/exposed_peripheral_user_pem.bin");
  const files = await extract(image);
  assertEquals(files[0]!.secret, true);
  const load = (name: string) => Promise.resolve(files.find((each) => each.name === name)?.bytes);
  const text = new TextDecoder().decode(files[0]!.bytes);
  const restored = await buildFromCsv(text, { load, chip: "esp32h2" });
  assertEquals([restored.image, restored.isRestored], [image, true]);
  const changed = text.replace(/^# @image.*$/m, "");
  await assertRejects(() => buildFromCsv(changed, { load, chip: "esp32h2" }), SecureCertError);
});

Deno.test("nothing that is reported of an image holds an exposed key", async () => {
  const base64 = formatBase64(der);
  const texts = [base64, formatHex(der), formatPem("EC PRIVATE KEY", der), formatHex(scalar)];
  const named = await certificateOf(key, `CN=${base64.slice(0, 60).replaceAll("+", "\\+")}`);
  const images = [
    ...texts.map((text) => imageOf([...hidden, user(encodeUtf8(text))])),
    imageOf([...hidden, { type: 9, subtype: 1, data: scalar }]),
    imageOf(
      hidden.map((entry) =>
        entry.type === 1
          ? { ...entry, data: concat(encodeUtf8(named.pem), new Uint8Array(1)) }
          : entry
      ),
    ),
  ];
  for (const [index, image] of images.entries()) {
    const reports = [
      await inspect(image, { now: () => new Date("2090-01-01") }),
      await verify(image, { now: () => new Date("2090-01-01") }),
      await diff(peripheral.image, image),
    ];
    const printed = JSON.stringify(reports).replace(/\\[n]?/g, "");
    const secrets = [base64.slice(0, 44), formatHex(der).slice(0, 64), formatHex(scalar)];
    for (const secret of secrets) assertEquals(printed.includes(secret), false, `image ${index}`);
  }
});

sharedTest("each key of an image full of them is found", async () => {
  const image = shared("hostile/many_p192_keys.bin");
  assertEquals(exposures(await verify(image)).length > 100, true);
});
