/** What a factory would curse us for: silence where something is wrong. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { explain } from "../../lib/cli/io.ts";
import {
  decodeDsData,
  decodePartition,
  decryptDsParameters,
  encodePartition,
  exportPrivateKey,
  generateKey,
  importPrivateKey,
  openSecureCert,
  SecureCertError,
  signPartition,
} from "../../mod.ts";
import { createSigner } from "../../lib/crypto/signature.ts";
import { formatBase64, formatHex } from "../../lib/bytes/text.ts";
import { openssl, opensslTest, vector } from "../vectors.ts";
import { MemoryWorld } from "./memory_io.ts";

async function withDevice(...more: readonly string[]): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  const { code, stderr } = await world.run("provision", "--id", "d", "-o", "d", ...more);
  assertEquals(code, 0, stderr);
  return world;
}

Deno.test("a tampered image does not become a good one by conversion", async () => {
  const world = await withDevice("--data", "user1=string:serial");
  const { entries } = decodePartition(world.bytes("d/esp_secure_cert.bin"));
  const changed = entries.map((entry) =>
    entry.type === 51 ? { ...entry, data: new Uint8Array(6) } : entry
  );
  world.put("tampered.bin", encodePartition(changed));
  const { code, stderr } = await world.run(
    "convert",
    "tampered.bin",
    "--to",
    "tlv",
    "-o",
    "out.bin",
  );
  assertEquals([code, world.files.has("out.bin")], [1, false]);
  assertStringIncludes(stderr, "integrity entry does not match");
});

Deno.test("a conversion that would be bad is withheld, unless --no-verify is given", async () => {
  const world = await withDevice();
  await world.run("keygen", "-o", "other.pem");
  const files = ["--device-cert", "d/device.pem", "--private-key", "other.pem"];
  await world.run("build", ...files, "--no-verify", "-o", "bad.bin");
  const line = ["convert", "bad.bin", "--to", "cust_flash", "-o", "out.bin"];
  assertEquals([(await world.run(...line)).code, world.files.has("out.bin")], [1, false]);
  assertEquals((await world.run(...line, "--no-verify")).code, 0);
});

Deno.test("a device certificate is not its own CA", async () => {
  const world = await withDevice();
  const files = [
    "--device-cert",
    "d/device.pem",
    "--ca-cert",
    "d/device.pem",
    "--private-key",
    "d/device.key.pem",
  ];
  const { code, stderr } = await world.run("build", ...files, "-o", "out.bin");
  assertEquals(code, 1);
  assertStringIncludes(stderr, "CHAIN_BROKEN");
});

Deno.test("what is not there, or not checked, has no tick", async () => {
  const world = new MemoryWorld();
  await world.run("build", "-o", "empty.bin");
  const { checks } = JSON.parse((await world.run("verify", "empty.bin", "--json")).stdout);
  const state = (name: string) =>
    checks.find((check: { name: string }) => check.name === name).state;
  assertEquals(state("device certificate"), "warning");
  for (
    const name of [
      "key matches certificate",
      "certificate chain",
      "chip",
      "DS peripheral",
      "signatures",
    ]
  ) {
    assertEquals(state(name), "unchecked", name);
  }
  const { stdout } = await world.run("verify", "empty.bin");
  assertStringIncludes(stdout, "– chip, not checked");
  assertStringIncludes(stdout, "verdict: good, with 3 warnings");
});

Deno.test("an HMAC key in hex is written raw for the burn line", async () => {
  const world = new MemoryWorld();
  world.put("key.hex", "0f".repeat(32) + "\n");
  const line = [
    "provision",
    "--id",
    "d",
    "--chip",
    "esp32c3",
    "--key-mode",
    "hmac-derived",
    "-o",
    "d",
  ];
  const { code, stderr } = await world.run(...line, "--hmac-key", "key.hex");
  assertEquals(code, 0, stderr);
  assertEquals(world.bytes("d/hmac_key.bin"), new Uint8Array(32).fill(0x0F));
  assertStringIncludes(stderr, "burn-key BLOCK_KEY1 d/hmac_key.bin HMAC_UP");
  assertStringIncludes(stderr, "first block with purpose HMAC_UP");
  world.put("short.bin", new Uint8Array(16));
  const verify = await world.run("verify", "d/esp_secure_cert.bin", "--hmac-key", "short.bin");
  assertEquals([verify.code, verify.stdout], [1, ""]);
  assertStringIncludes(verify.stderr, "short.bin holds 16 bytes; an HMAC key has 32 bytes");
});

Deno.test("the key that goes into an eFuse is not overwritten, and no stale plan stays beside another image", async () => {
  const world = new MemoryWorld();
  const line = ["provision", "--id", "d", "-o", "d", "--chip", "esp32h2"];
  await world.run(...line, "--key-mode", "ecdsa-peripheral");
  const key = world.bytes("d/device.key.pem");
  assertEquals((await world.run(...line, "--key-mode", "ecdsa-peripheral", "--force")).code, 1);
  const plain = await world.run(...line, "--force");
  assertEquals([plain.code, world.bytes("d/device.key.pem")], [1, key]);
  assertStringIncludes(plain.stderr, "efuse_plan.json belongs to another image");
});

opensslTest("a CA key that was given with a password keeps it", async () => {
  const world = new MemoryWorld();
  await world.run("keygen", "-o", "k.pem");
  world.put(
    "enc.pem",
    await openssl(["pkcs8", "-topk8", "-passout", "pass:x"], world.bytes("k.pem")),
  );
  world.put("pw", "x");
  const line = ["ca", "--subject", "CN=x", "--key", "enc.pem", "--password-file", "pw", "-o", "ca"];
  assertEquals((await world.run(...line)).code, 0);
  assertEquals(world.bytes("ca/ca.key.pem"), world.bytes("enc.pem"));
});

Deno.test("flags that would have no effect are refused", async () => {
  const world = await withDevice();
  const provision = ["provision", "--id", "e", "-o", "e", "--chip", "esp32p4"];
  const lines = [
    [...provision, "--key-mode", "hmac-derived", "--curve", "P-384"],
    [...provision, "--efuse-key-id", "3"],
    [...provision, "--hmac-key", "d/device.pem"],
    ["verify", "d/esp_secure_cert.bin", "--now", "2027-02-30"],
    ["provision", "--id", "e", "-o", "-"],
    ["ca", "--subject", "CN=x", "-o", "-"],
    ["ca", "--subject", "CN=x", "-o", "far", "--days", "3650000"],
    ["build", "--format", "nvs", "--size", "0x2000", "-o", "n.bin"],
    ["build", "--size", "4294967296", "--fill", "-o", "n.bin"],
    ["inspect", "d/esp_secure_cert.bin", "--offset", "99999"],
  ];
  for (const line of lines) {
    const { code, stderr } = await world.run(...line);
    assertEquals(code, 2, `${line.join(" ")}: ${stderr}`);
    assertStringIncludes(stderr, "error: ");
  }
});

Deno.test("errors name the file, and odd CAs are reported", async () => {
  const world = await withDevice();
  await world.run("ca", "--subject", "CN=Short", "--days", "10", "-o", "ca10");
  const issue = ["issue", "--key", "d/device.key.pem", "--subject", "CN=x", "-o", "x.pem"];
  const wrong = await world.run(
    ...issue,
    "--ca",
    "d/device.key.pem",
    "--ca-key",
    "ca10/ca.key.pem",
  );
  assertStringIncludes(
    wrong.stderr,
    "d/device.key.pem: Cannot decode certificate: the file is a private key",
  );
  const swapped = await world.run(...issue, "--ca", "ca10/ca.pem", "--ca-key", "ca10/ca.pem");
  assertStringIncludes(swapped.stderr, "ca10/ca.pem: Cannot decode private key");
  const ca10 = ["--ca", "ca10/ca.pem", "--ca-key", "ca10/ca.key.pem"];
  const usual = await world.run(...issue, ...ca10);
  assertEquals([usual.code, usual.stderr.includes("warning")], [0, false], usual.stderr);
  const outlives = await world.run(...issue, ...ca10, "--days", "11", "--force");
  assertEquals(outlives.code, 0);
  assertStringIncludes(outlives.stderr, "outlives its CA");
});

Deno.test("a private key among user data is not printed", async () => {
  const world = await withDevice();
  await world.run("build", "--data", "user1=file:d/device.key.pem", "-o", "u.bin");
  for (const flags of [[], ["--json"]]) {
    assertEquals(
      (await world.run("inspect", "u.bin", ...flags)).stdout.includes("PRIVATE KEY"),
      false,
    );
  }
});

Deno.test("a plaintext key under the flag of an encrypted one is an error", async () => {
  const world = await withDevice();
  const { entries } = decodePartition(world.bytes("d/esp_secure_cert.bin"));
  const flagged = entries.slice(0, -1).map((entry) =>
    entry.type === 2 ? { ...entry, flags: 0x80 } : entry
  );
  world.put("f.bin", encodePartition(flagged, { integrity: true }));
  const verdict = JSON.parse((await world.run("verify", "f.bin", "--json")).stdout);
  assertEquals(
    verdict.findings.some(({ code }: { code: string }) => code === "KEY_IN_PERIPHERAL_ENTRY"),
    true,
  );
});

Deno.test("a path in a printed command is quoted for the shell", async () => {
  const world = new MemoryWorld();
  const { stderr } = await world.run("provision", "--id", "d", "-o", "a$HOME`id`");
  assertStringIncludes(stderr, "write-flash 0xD000 'a$HOME`id`/esp_secure_cert.bin'");
});

Deno.test("the picture stays within the terminal", async () => {
  const world = await withDevice(
    "--san",
    "dns:a-rather-long-name.devices.example,dns:another-long-name.devices.example",
  );
  for (const columns of [40, 60, 80, 120]) {
    world.columns = columns;
    for (const line of (await world.run("inspect", "d/esp_secure_cert.bin")).stdout.split("\n")) {
      assertEquals([...line].length <= Math.max(columns, 72), true, `${columns}: ${line}`);
    }
  }
});

Deno.test("a key where a file's name belongs is not printed", async () => {
  const world = await withDevice();
  const pem = new TextDecoder().decode(world.bytes("d/device.key.pem"));
  const cell = `"${pem}"`;
  for (
    const row of [
      `2,0,${cell},file,plaintext,ECDSA,256,,`,
      `2,0,d/device.key.pem,file,hmac_encrypted,ECDSA,256,1,${"5a".repeat(32)}`,
    ]
  ) {
    const header =
      "tlv_type,tlv_subtype,data_value,data_type,priv_key_type,algorithm,key_size,efuse_id,efuse_key";
    world.put("rows.csv", `${header}\n${row}\n`);
    const { code, stdout, stderr } = await world.run(
      "build",
      "--csv",
      "rows.csv",
      "--chip",
      "esp32c3",
      "--json",
      "-o",
      "x.bin",
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, "(text that is not a file's name)");
    assertEquals(/PRIVATE KEY|MIG|MHc|5a5a5a/.test(stdout + stderr), false, stderr);
  }
  const { message, hint, place } = explain("read", pem, new Deno.errors.NotFound());
  assertEquals(/PRIVATE KEY|MIG/.test(JSON.stringify([message, hint, place])), false);
  assertStringIncludes(
    explain("read", "a\u001B[2Jb", new Deno.errors.NotFound()).message,
    "a\\u001b[2Jb",
  );
  for (const path of ["keys/device.pem", "/a/very/long/path/of/a/folder/that/has/no/dot/in/it"]) {
    assertStringIncludes(explain("read", path, new Deno.errors.NotFound()).message, path);
  }
});

Deno.test("an error of several lines is printed on several lines", async () => {
  const world = new MemoryWorld();
  world.put(
    "rows.csv",
    "tlv_type,tlv_subtype,data_value,data_type,priv_key_type,algorithm,key_size,efuse_id,efuse_key\nx,0,1,hex,,,,,\n51,999,zz,hex,,,,,\n",
  );
  const { code, stderr } = await world.run("build", "--csv", "rows.csv", "-o", "x.bin");
  assertEquals(code, 1);
  assertEquals(stderr.includes("?"), false, stderr);
  assertEquals(stderr.split("\n").filter((line) => line.startsWith("  line ")).length >= 2, true);
});

opensslTest(
  "a key for the ECDSA peripheral is beside the image as espefuse reads it",
  async () => {
    const world = await withDevice();
    world.put("pass", "secret\n");
    const protectedKey = await openssl(
      ["pkcs8", "-topk8", "-passout", "pass:secret"],
      world.bytes("d/device.key.pem"),
    );
    world.put("enc.pem", protectedKey);
    const line = ["build", "--device-cert", "d/device.pem", "--ca-cert", "ca/ca.pem"];
    const mode = ["--key-mode", "ecdsa-peripheral", "--chip", "esp32h2"];
    const key = ["--private-key", "enc.pem", "--password-file", "pass"];
    const { code, stderr } = await world.run(...line, ...mode, ...key, "-o", "p/out.bin");
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "p/ecdsa_key.pem ECDSA_KEY");
    const file = world.files.get("p/ecdsa_key.pem")!;
    assertEquals(file.secret, true);
    const publicOf = async (pem: Uint8Array) =>
      new TextDecoder().decode(await openssl(["pkey", "-pubout"], pem));
    assertEquals(await publicOf(file.bytes), await publicOf(world.bytes("d/device.key.pem")));
  },
);

Deno.test("--chip checks the signatures: schemes that it verifies, and digests that it keeps", async () => {
  const image = encodePartition([{ type: 51, data: new Uint8Array(9) }], { integrity: true });
  const world = new MemoryWorld();
  const keys = await Promise.all(
    Array.from({ length: 2 }, () => generateKey({ curve: "P-256" })),
  );
  world.put("one.bin", await signPartition(image, [createSigner(keys[0]!)]));
  world.put("two.bin", await signPartition(image, keys.map(createSigner)));
  const findings = async (file: string, chip: string) => {
    const { stdout } = await world.run("verify", file, "--chip", chip, "--json");
    const { findings } = JSON.parse(stdout) as {
      findings: { severity: string; code: string; message: string }[];
    };
    return findings.filter(({ code, message }) =>
      code === "CHIP_UNSUPPORTED" && message.includes("signature")
    ).map(({ severity }) => severity);
  };
  assertEquals(await findings("one.bin", "esp32c6"), []);
  assertEquals(await findings("one.bin", "esp32c2"), []);
  assertEquals(await findings("two.bin", "esp32c2"), ["warning"]);
  assertEquals(await findings("one.bin", "esp32s3"), ["error"]);
});

Deno.test("one entry that cannot be opened does not hide the others; DS data opens as it is stored", async () => {
  const hmac = ["--key-mode", "hmac-encrypted", "--chip", "esp32c3"];
  const locked = await withDevice(...hmac);
  const device = openSecureCert(locked.bytes("d/esp_secure_cert.bin"));
  assertEquals((await device.entries()).map(({ type }) => type).includes(1), true);
  await assertRejects(() => device.privateKey(), SecureCertError);
  const world = await withDevice("--key-mode", "rsa-ds", "--chip", "esp32c3");
  const { dsData } = await openSecureCert(world.bytes("d/esp_secure_cert.bin")).dsContext();
  const options = { chip: "esp32c3", hmacKey: world.bytes("d/hmac_key.bin") };
  const opened = await decryptDsParameters(dsData, options);
  assertEquals(opened, await decryptDsParameters(decodeDsData(dsData), options));
  assertEquals(opened.checks.digest, true);
});

Deno.test("a key that would sign twice, and a folder that is stdout, are refused", async () => {
  const world = await withDevice();
  const image = "d/esp_secure_cert.bin";
  const twice = ["sign", image, "--key", "d/device.key.pem", "--key", "d/device.key.pem"];
  const signed = await world.run(...twice, "-o", "signed.bin");
  assertEquals([signed.code, world.files.has("signed.bin")], [2, false]);
  const extracted = await world.run("extract", image, "-o", "-");
  assertEquals(extracted.code, 2);
  world.put("table.csv", "nvs, data, nvs, , 8Q\n");
  const { stdout } = await world.run("inspect", "table.csv");
  assertStringIncludes(stdout, "8Q");
});

Deno.test("no command prints a key that an image exposes, and extract hides its files", async () => {
  const world = new MemoryWorld();
  const names = ["user_pem", "user_sec1_der", "user_scalar", "device_certificate"];
  const images = names.map((name) => `exposed_peripheral_${name}.bin`);
  for (const name of images) world.put(name, vector(`exposed/${name}`));
  // The key of all of them.
  const { entries } = decodePartition(world.bytes(images[0]!));
  const key = await importPrivateKey(entries.find(({ type }) => type === 51)!.data);
  const der = exportPrivateKey(key, { encoding: "traditional", form: "der" });
  const scalar = formatHex(der.subarray(7, 39));
  const secrets = [formatBase64(der), formatHex(der), scalar, formatBase64(der.subarray(7, 39))];
  for (const name of images) {
    const lines = [
      ["inspect", name],
      ["inspect", name, "--json"],
      ["verify", name],
      ["verify", name, "--json"],
      ["diff", name, "exposed_peripheral_user_pem.bin", "--json"],
      ["append", name, "--data", "user5=string:x", "-o", `${name}.out`, "--json"],
      ["convert", name, "--to", "tlv", "-o", `${name}.tlv`, "--json"],
      ["extract", name, "-o", `${name}.d`, "--json"],
    ];
    for (const line of lines) {
      const { stdout, stderr } = await world.run(...line);
      const printed = (stdout + stderr).replace(/\s|\\n/g, "").toLowerCase();
      for (const secret of secrets) {
        const isThere = printed.includes(secret.slice(0, 40).toLowerCase());
        assertEquals(isThere, false, line.join(" "));
      }
    }
    assertEquals(world.files.get(`${name}.d/esp_secure_cert.csv`)?.secret, true);
    assertEquals((await world.run("verify", name)).code, 1);
  }
  const folder = "exposed_peripheral_device_certificate.bin.d/";
  const open = [...world.files].filter(([path, { secret }]) => path.startsWith(folder) && !secret)
    .map(([path]) => new TextDecoder().decode(world.bytes(path)));
  assertEquals(open.filter((text) => text.includes("PRIVATE KEY")), []);
});

Deno.test("build refuses to store the key that it hides", async () => {
  const world = await withDevice();
  const credentials = ["--device-cert", "d/device.pem", "--private-key", "d/device.key.pem"];
  const hidden = ["build", ...credentials, "--key-mode", "ecdsa-peripheral", "--chip", "esp32h2"];
  for (const more of [[], ["--no-verify"]]) {
    const line = [...hidden, "--data", "user1=file:d/device.key.pem", "-o", "out.bin", ...more];
    const { code, stderr } = await world.run(...line);
    assertEquals([code, world.files.has("out.bin")], [1, false]);
    assertStringIncludes(stderr, "KEY_EXPOSED");
  }
  const plain = ["build", ...credentials, "--data", "user1=file:d/device.key.pem", "-o", "out.bin"];
  const { code, stderr } = await world.run(...plain);
  assertEquals([code, world.files.has("out.bin")], [0, true]);
  assertStringIncludes(stderr, "warning KEY_EXPOSED");
});
