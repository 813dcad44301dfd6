import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  build,
  buildFromCsv,
  convert,
  createDevelopmentCa,
  decodeNvs,
  decodePartition,
  encodeNvs,
  encodePartition,
  exportPrivateKey,
  extract,
  generateKey,
  type ImageFormat,
  inspect,
  openSecureCert,
  provision,
  SecureCertError,
  verify,
} from "../../mod.ts";
import { shared, sharedTest } from "../vectors.ts";

const FORMATS: readonly ImageFormat[] = [
  "tlv",
  "cust_flash",
  "cust_flash_legacy",
  "nvs",
  "nvs_legacy",
];
const issuer = await createDevelopmentCa();

/** What the firmware's getters return, as text. */
async function credentialsOf(image: Uint8Array): Promise<string> {
  const device = openSecureCert(image);
  const all = await Promise.all([device.deviceCert(), device.caCert(), device.privateKey()]);
  return all.map((bytes) => new TextDecoder().decode(bytes)).join("|");
}

Deno.test("every layout converts to every other with the same credentials", async () => {
  const { image } = await provision({ issuer, subject: "CN=d" });
  const wanted = await credentialsOf(image);
  for (const first of FORMATS) {
    const one = await convert(image, { to: first });
    assertEquals([(await inspect(one.image)).format, one.verdict.ok], [first, true]);
    assertEquals(await credentialsOf(one.image), wanted);
    for (const to of FORMATS) {
      const { from, image: two } = await convert(one.image, { to });
      assertEquals(from, first);
      assertEquals(await credentialsOf(two), wanted, `${first} to ${to}`);
    }
    assertEquals((await convert(one.image, { to: "tlv" })).image, image);
  }
});

Deno.test("DS credentials go through every layout", async () => {
  for (const chip of ["esp32s3", "esp32c3"] as const) {
    const { image, efuse } = await provision({ issuer, subject: "CN=d", chip, keyMode: "rsa-ds" });
    const wanted = await openSecureCert(image).dsContext();
    for (const to of FORMATS) {
      const { image: converted } = await convert(image, { to });
      assertEquals(await openSecureCert(converted).dsContext(), wanted, to);
      assertEquals((await verify(converted, { chip, hmacKey: efuse!.hmacKey! })).ok, true, to);
      assertEquals((await convert(converted, { to: "tlv" })).image, image);
    }
  }
});

Deno.test("DER credentials become PEM where the layout holds only text", async () => {
  const key = await generateKey();
  const { issueCertificate } = await import("../../mod.ts");
  const deviceCert = await issueCertificate({ issuer, publicKey: key.publicKey, subject: "CN=d" });
  const privateKey = await exportPrivateKey(key, { form: "der" });
  const { image } = await build({ deviceCert, caCert: issuer.certificate, privateKey });
  const { image: nvs, verdict } = await convert(image, { to: "nvs" });
  assertEquals(verdict.ok, true);
  assertStringIncludes(await credentialsOf(nvs), "BEGIN EC PRIVATE KEY");
});

Deno.test("what a layout cannot carry is refused with the list, and nothing is dropped", async () => {
  const data = [{ type: 51, data: new Uint8Array(1) }, {
    type: 201,
    subtype: 3,
    data: new Uint8Array(4),
  }];
  const { image } = await provision({ issuer, subject: "CN=d", data });
  for (const to of FORMATS.slice(1)) {
    const error = await assertRejects(() => convert(image, { to }), SecureCertError);
    assertEquals(error.code, "ERR_PLAN");
    assertStringIncludes(error.message, "user data 1, Matter 1 3");
  }
  const peripheral = await provision({
    issuer,
    subject: "CN=d",
    chip: "esp32h2",
    keyMode: "ecdsa-peripheral",
  });
  const error = await assertRejects(
    () => convert(peripheral.image, { to: "nvs" }),
    SecureCertError,
  );
  assertStringIncludes(
    error.message,
    "private key with flags 0x8, security configuration".split(",")[1]!.trim(),
  );
});

Deno.test("flags are read by mask: 0xFF and other odd values are those of plain entries", async () => {
  const { image } = await provision({ issuer, subject: "CN=d" });
  const plain = decodePartition(image).entries.filter(({ type }) => type !== 9);
  for (const odd of [[0xFF, 0xC0, 1], [0x48, 0x08, 0xFF]]) {
    const list = plain.map((entry, at) => ({ ...entry, flags: odd[at]! }));
    for (const to of FORMATS.slice(1)) {
      const { image: converted } = await convert(encodePartition(list), { to });
      assertEquals(converted, (await convert(image, { to })).image, to);
    }
  }
  for (const flags of [0x80, 0x40, 0x48, 0x08]) {
    const secret = encodePartition(
      plain.map((entry) => entry.type === 2 ? { ...entry, flags } : entry),
    );
    const error = await assertRejects(() => convert(secret, { to: "cust_flash" }), SecureCertError);
    assertEquals(error.code, "ERR_PLAN");
  }
});

sharedTest("the published TLV image with flags 0xFF converts to every layout", async () => {
  const image = shared("espressif/qemu_test/cust_flash_tlv/cust_flash_tlv.bin");
  const wanted = await credentialsOf(image);
  for (const to of FORMATS) {
    assertEquals(await credentialsOf((await convert(image, { to })).image), wanted, to);
  }
});

Deno.test("cust_flash takes any size from the end of its content on", async () => {
  const { image } = await provision({ issuer, subject: "CN=d" });
  const ds = await provision({ issuer, subject: "CN=d", chip: "esp32c3", keyMode: "rsa-ds" });
  for (const to of ["cust_flash", "cust_flash_legacy"] as const) {
    // The row of the first published partition table.
    const small = (await convert(image, { to, size: 0x3000 })).image;
    const whole = (await convert(image, { to })).image;
    assertEquals([whole.length, small], [0x6000, whole.subarray(0, 0x3000)]);
    assertEquals(await credentialsOf(small), await credentialsOf(image));
    assertEquals((await convert(small, { to: "tlv" })).image, image);
    const files = await extract(whole.subarray(0, 0x3000));
    assertEquals(files.some(({ name }) => name.endsWith("patch.txt")), false);
    const load = (path: string) =>
      Promise.resolve(files.find(({ name }) => name === path)?.bytes ?? new Uint8Array());
    const text = new TextDecoder().decode(files[0]!.bytes);
    assertEquals((await buildFromCsv(text, { load })).image, small);
    assertEquals((await convert(image, { to, size: 10304 })).image, whole.subarray(0, 10304));
    for (const [each, end] of [[image, 10304], [ds.image, 7456]] as const) {
      assertEquals((await convert(each, { to, size: end })).image.length, end);
      const error = await assertRejects(
        () => convert(each, { to, size: end - 1 }),
        SecureCertError,
        `${end} bytes`,
      );
      assertEquals(error.code, "ERR_TOO_LARGE");
    }
  }
});

Deno.test("data beside the credentials in NVS is refused with the list, never dropped", async () => {
  const { image } = await provision({ issuer, subject: "CN=d", format: "nvs" });
  const image2 = encodeNvs([
    ...decodeNvs(image).items,
    { namespace: "esp_secure_cert", key: "extra", type: "u32", value: 7 },
    { namespace: "wifi", key: "ssid", type: "string", value: new TextEncoder().encode("home\0") },
    { namespace: "wifi", key: "map", type: "blob", value: new Uint8Array(6000) },
  ], { size: 0x6000 });
  const list = [
    "extra (u32, 4 bytes)",
    "wifi/ssid (string, 5 bytes)",
    "wifi/map (blob, 6000 bytes)",
  ];
  for (const to of FORMATS) {
    const error = await assertRejects(() => convert(image2, { to }), SecureCertError);
    assertEquals(error.code, "ERR_PLAN");
    for (const each of list) assertStringIncludes(error.message, each);
  }
  const { others, entries } = await inspect(image2);
  assertEquals(entries.length, 3);
  assertEquals(
    others?.map(({ namespace, key, type, length }) => [namespace, key, type, length]),
    [
      ["esp_secure_cert", "extra", "u32", 4],
      ["wifi", "ssid", "string", 5],
      ["wifi", "map", "blob", 6000],
    ],
  );
  assertEquals((await inspect(image)).others, undefined);
});

Deno.test("an HMAC-encrypted key is opened for a plaintext layout only with its key", async () => {
  const { image, efuse, key } = await provision({
    issuer,
    subject: "CN=d",
    chip: "esp32c3",
    keyMode: "hmac-encrypted",
  });
  await assertRejects(() => convert(image, { to: "cust_flash" }), SecureCertError, "flags 0x80");
  const { image: opened } = await convert(image, { to: "cust_flash", hmacKey: efuse!.hmacKey! });
  const pem = new TextDecoder().decode(await exportPrivateKey(key, { encoding: "traditional" }));
  assertStringIncludes(await credentialsOf(opened), pem);
});

Deno.test("damaged, signed and foreign images are not converted", async () => {
  const { image } = await provision({ issuer, subject: "CN=d" });
  const damaged = image.slice();
  damaged[20]! ^= 1;
  const cases: readonly (readonly [Uint8Array, string])[] = [
    [damaged, "ERR_CHECKSUM"],
    [new Uint8Array(100), "ERR_MAGIC"],
    [encodePartition([{ type: 8, data: new Uint8Array(145) }]), "ERR_PLAN"],
    [image.slice(0, 100), "ERR_CHECKSUM"],
  ];
  for (const [bytes, code] of cases) {
    assertEquals(
      (await assertRejects(() => convert(bytes, { to: "nvs" }), SecureCertError)).code,
      code,
    );
  }
});

Deno.test("values too long for cust_flash, and images that do not fit, are refused", async () => {
  const san = Array.from({ length: 120 }, (_, at) => `dns:host-${at}.example`);
  const { image } = await provision({ issuer, subject: "CN=d", sans: san, size: 0x4000 });
  assertEquals(
    (await assertRejects(() => convert(image, { to: "cust_flash" }), SecureCertError)).code,
    "ERR_LENGTH",
  );
  const small = await provision({ issuer, subject: "CN=d" });
  const error = await assertRejects(
    () => convert(small.image, { to: "tlv", size: 0x200 }),
    SecureCertError,
  );
  assertEquals(error.code, "ERR_TOO_LARGE");
});

sharedTest(
  "the published images of the older layouts become TLV with the same credentials",
  async () => {
    const now = () => new Date("2023-01-01");
    for (const name of ["cust_flash", "cust_flash_legacy", "nvs", "nvs_legacy"]) {
      const image = shared(`espressif/qemu_test/${name}/${name}.bin`);
      const { from, image: tlv } = await convert(image, { to: "tlv", now });
      assertEquals(from, name);
      assertEquals(await credentialsOf(tlv), await credentialsOf(image), name);
      const input = (file: string) =>
        new TextDecoder().decode(shared(`espressif/qemu_test/${name}/input_data/${file}`));
      assertStringIncludes(await credentialsOf(tlv), input("device_cert.pem").trim());
    }
  },
);
