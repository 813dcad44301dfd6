import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  build,
  convert,
  createDevelopmentCa,
  decodePartition,
  deviceCredentials,
  encodePartition,
  exportPrivateKey,
  generateKey,
  importPrivateKey,
  issueCertificate,
  type KeyMode,
  provision,
  SecureCertError,
  TLV_TYPES,
} from "../../mod.ts";
import { installed, needing, PROCESSES } from "../needs.ts";
import { inFolder, run } from "../process.ts";
import { takeRsaKeysFromVectors } from "../rsa_keys.ts";
import { vector } from "../vectors.ts";

takeRsaKeysFromVectors();
const issuer = await createDevelopmentCa();
const DEVICE = TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV;
const MODES: readonly KeyMode[] = [
  "plaintext",
  "rsa-ds",
  "ecdsa-peripheral",
  "hmac-encrypted",
  "hmac-derived",
];

/** A device, and what opens its image. */
async function deviceOf(
  keyMode: KeyMode,
  options: Partial<Parameters<typeof provision>[0]> = {},
) {
  const chip = keyMode === "ecdsa-peripheral" ? "esp32h2" : "esp32s3";
  const made = await provision({ issuer, subject: "CN=d", chip, keyMode, ...options });
  const privateKey = keyMode === "ecdsa-peripheral" ? made.key : undefined;
  return { ...made, secrets: { hmacKey: made.efuse?.hmacKey, privateKey } };
}

/** Why a device has no credentials. */
async function refusal(
  image: Uint8Array,
  options?: Parameters<typeof deviceCredentials>[1],
): Promise<string> {
  const error = await assertRejects(() => deviceCredentials(image, options), SecureCertError);
  return `${error.code} ${error.place.field ?? ""}: ${error.message}`;
}

Deno.test("the credentials of every key mode are those that were provisioned", async () => {
  for (const keyMode of MODES) {
    const { image, key, certificate, secrets } = await deviceOf(keyMode);
    const found = await deviceCredentials(image, secrets);
    assertEquals(found.keyMode, keyMode);
    assertEquals(found.chain.map(({ pem }) => pem), [certificate.pem], keyMode);
    assertEquals(found.ca.map(({ pem }) => pem), [issuer.certificate.pem], keyMode);
    assertEquals(found.key.pkcs8, key.pkcs8, keyMode);
  }
});

Deno.test("keys of other sizes and curves come back, too", async () => {
  for (
    const [keyMode, key] of [
      ["plaintext", { curve: "P-384" }],
      ["plaintext", { curve: "P-192" }],
      ["plaintext", { type: "rsa", bits: 4096 }],
      ["rsa-ds", { bits: 1024, type: "rsa" }],
      ["rsa-ds", { bits: 3072, type: "rsa" }],
      ["rsa-ds", { bits: 4096, type: "rsa" }],
      ["ecdsa-peripheral", { curve: "P-192" }],
      ["hmac-encrypted", { type: "rsa", bits: 2048 }],
      ["hmac-encrypted", { curve: "P-384" }],
    ] as const
  ) {
    const made = await deviceOf(keyMode, { key, allowWeak: true });
    const found = await deviceCredentials(made.image, made.secrets);
    assertEquals(found.key.pkcs8, made.key.pkcs8, `${keyMode} ${JSON.stringify(key)}`);
  }
});

Deno.test("images of Espressif's tools open as well", async () => {
  const hmacKey = Uint8Array.from({ length: 32 }, (_, at) => at);
  const rsa = await importPrivateKey(vector("hardware_keys/rsa2048.pkcs8.der"));
  for (const name of ["ds_4096_rsa2048", "ds_3072_rsa2048"]) {
    const { key, keyMode } = await deviceCredentials(vector(`hardware_keys/${name}.bin`), {
      hmacKey,
    });
    assertEquals([keyMode, key.pkcs8], ["rsa-ds", rsa.pkcs8]);
  }
  const { key, chain } = await deviceCredentials(vector("plain/ecp256.bin"));
  assertEquals(key.publicKey, chain[0]!.publicKey);
  assertEquals((await deviceCredentials(vector("cust_flash.bin"))).key.bits, 2048);
  assertEquals((await deviceCredentials(vector("nvs_full.bin"))).key.bits, 2048);
});

Deno.test("every layout gives the same credentials", async () => {
  for (const keyMode of ["plaintext", "rsa-ds"] as const) {
    const { image, key, secrets } = await deviceOf(keyMode);
    for (const to of ["cust_flash", "cust_flash_legacy", "nvs", "nvs_legacy"] as const) {
      const converted = await convert(image, { to });
      const found = await deviceCredentials(converted.image, secrets);
      assertEquals([found.keyMode, found.key.pkcs8], [keyMode, key.pkcs8], to);
    }
  }
});

Deno.test("what is missing is named, and what is wrong", async () => {
  const other = new Uint8Array(32).fill(7);
  for (const keyMode of ["rsa-ds", "hmac-encrypted", "hmac-derived"] as const) {
    const { image } = await deviceOf(keyMode);
    assertStringIncludes(await refusal(image), "ERR_KEY hmacKey: ");
    assertStringIncludes(await refusal(image), "need the HMAC key", keyMode);
    const wrong = await refusal(image, { hmacKey: other });
    const code = keyMode === "hmac-derived" ? "ERR_KEY hmacKey" : "ERR_DECRYPT";
    assert(wrong.startsWith(code), `${keyMode}: ${wrong}`);
    assertStringIncludes(await refusal(image, { hmacKey: other.subarray(1) }), "ERR_LENGTH");
  }
  const { image } = await deviceOf("ecdsa-peripheral");
  assertStringIncludes(await refusal(image), "ERR_KEY privateKey: ");
  assertStringIncludes(
    await refusal(image, { privateKey: await generateKey() }),
    "ERR_KEY privateKey: Cannot use private key: the P-256 key is not that of the device certificate",
  );
  assertStringIncludes(await refusal(new Uint8Array(64)), "ERR_MAGIC");
});

Deno.test("a key that is not the certificate's is refused", async () => {
  for (const keyMode of ["plaintext", "rsa-ds"] as const) {
    const [one, other] = [await deviceOf(keyMode), await deviceOf(keyMode)];
    const foreign = new TextEncoder().encode(`${other.certificate.pem}\0`);
    const { entries } = decodePartition(one.image);
    const swapped = entries.map((entry) =>
      entry.type === DEVICE ? { ...entry, data: foreign } : entry
    );
    const image = encodePartition(swapped);
    assertStringIncludes(
      await refusal(image, one.secrets),
      "is not that of the device certificate",
    );
  }
});

Deno.test("of an RSA key in DS data the certificate knows the public exponent", async () => {
  const key = await importPrivateKey(vector("rsa/2048-e3.pkcs8.der"));
  const deviceCert = await issueCertificate({ issuer, publicKey: key, subject: "CN=d" });
  const { image, efuse } = await build({
    deviceCert,
    caCert: issuer.certificate,
    privateKey: key,
    keyMode: "rsa-ds",
    chip: "esp32s3",
  });
  const found = await deviceCredentials(image, { hmacKey: efuse!.hmacKey });
  assertEquals(found.key.pkcs8, key.pkcs8);
});

needing(PROCESSES, installed("openssl")).test(
  "openssl takes every key, and what it signs is right for the certificate",
  async () => {
    for (const keyMode of MODES) {
      const { image, secrets } = await deviceOf(keyMode);
      const { key, chain } = await deviceCredentials(image, secrets);
      await inFolder(async (folder) => {
        await Deno.writeFile(`${folder}/key.pem`, exportPrivateKey(key), { mode: 0o600 });
        await Deno.writeTextFile(`${folder}/certificate.pem`, chain[0]!.pem);
        await Deno.writeTextFile(`${folder}/data`, "signed");
        for (
          const line of [
            "pkey -in key.pem -check -noout",
            "x509 -in certificate.pem -pubkey -noout -out public.pem",
            "dgst -sha256 -sign key.pem -out signature data",
            "dgst -sha256 -verify public.pem -signature signature data",
          ]
        ) {
          const { code, stdout, stderr } = await run("openssl", line.split(" "), folder);
          assertEquals(code, 0, `${keyMode}: ${line}: ${stdout}${stderr}`);
        }
      });
    }
  },
);
