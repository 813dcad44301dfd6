import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CHIPS, exportPrivateKey, importPrivateKey } from "../../mod.ts";
import { MemoryWorld } from "./memory_io.ts";
import { takeRsaKeysFromVectors } from "../rsa_keys.ts";

takeRsaKeysFromVectors();

const provisionLine = (mode: string, chip: string, out = "d") =>
  ["provision", "--id", "dev", "--key-mode", mode, "--chip", chip, "-o", out] as const;

Deno.test("provision writes the eFuse plan and a key file of mode 0600, and verify opens the image", async () => {
  for (const mode of ["rsa-ds", "hmac-encrypted", "hmac-derived"]) {
    const world = new MemoryWorld();
    const { code, stderr } = await world.run(
      ...provisionLine(mode, "esp32s3"),
      "--efuse-key-id",
      "3",
    );
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "burning cannot be undone; KEEP THE HMAC KEY");
    const plan = JSON.parse(new TextDecoder().decode(world.bytes("d/efuse_plan.json")));
    assertEquals([plan.chip, plan.keyMode, plan.blocks[0].keyId], ["esp32s3", mode, 3]);
    assertStringIncludes(plan.command, "burn-key BLOCK_KEY3 d/hmac_key.bin");
    assertEquals(
      [world.bytes("d/hmac_key.bin").length, world.files.get("d/hmac_key.bin")!.secret],
      [32, true],
    );
    const verify = ["verify", "d/esp_secure_cert.bin", "--chip", "esp32s3", "--hmac-key"];
    assertEquals((await world.run(...verify, "d/hmac_key.bin")).code, 0);
    world.put("wrong.hex", "00".repeat(32) + "\n");
    assertEquals((await world.run(...verify, "wrong.hex")).code, 1, mode);
    const report = JSON.parse(
      (await world.run("inspect", "d/esp_secure_cert.bin", "--json")).stdout,
    );
    assertEquals(report.credentials.keyMode, mode);
  }
});

Deno.test("a key file is not overwritten by --force, and a given one is used", async () => {
  const world = new MemoryWorld();
  await world.run(...provisionLine("rsa-ds", "esp32c3"));
  const key = world.bytes("d/hmac_key.bin");
  const forced = await world.run(...provisionLine("rsa-ds", "esp32c3"), "--force");
  assertEquals([forced.code, world.bytes("d/hmac_key.bin")], [1, key]);
  const used = await world.run(
    ...provisionLine("rsa-ds", "esp32c3"),
    "--force-key",
    "--hmac-key",
    "d/hmac_key.bin",
  );
  assertEquals([used.code, world.bytes("d/hmac_key.bin")], [0, key]);
  const verify = ["verify", "d/esp_secure_cert.bin", "--hmac-key", "d/hmac_key.bin"];
  assertEquals((await world.run(...verify)).code, 0);
  const missing = await world.run(
    ...provisionLine("rsa-ds", "esp32c3", "e"),
    "--hmac-key",
    "mistyped.bin",
  );
  assertEquals([missing.code, world.files.has("e/esp_secure_cert.bin")], [1, false]);
});

Deno.test("what the chip cannot do is refused, and a mode without a chip is a wrong command line", async () => {
  const world = new MemoryWorld();
  const refused = await world.run(...provisionLine("rsa-ds", "esp32c2"));
  assertEquals([refused.code, world.files.size], [1, 0]);
  assertStringIncludes(refused.stderr, "esp32c2 has no rsa-ds keys; it has plaintext");
  const chipless = await world.run("provision", "--id", "d", "--key-mode", "rsa-ds", "-o", "d");
  assertEquals(chipless.code, 2);
});

Deno.test("build makes a derived key first and the image with its certificate second", async () => {
  const world = new MemoryWorld();
  await world.run("ca", "--subject", "CN=CA", "-o", "ca");
  const derive = ["build", "--key-mode", "hmac-derived", "--chip", "esp32c6"];
  assertEquals((await world.run(...derive, "-o", "first/a.bin")).code, 0);
  const names = [
    "first/a.bin",
    "first/hmac_key.bin",
    "first/efuse_plan.json",
    "first/salt.bin",
    "first/device.pub.pem",
  ];
  assertEquals([...world.files.keys()].filter((name) => name.startsWith("first")), names);
  const report = JSON.parse((await world.run("inspect", "first/a.bin", "--json")).stdout);
  assertEquals(report.entries.map((entry: { type: number }) => entry.type), [5, 2, 9]);
});

Deno.test("the two steps of a derived key, each twice in one folder: nothing is lost", async () => {
  const world = new MemoryWorld();
  await world.run("ca", "--subject", "CN=CA", "-o", "ca");
  const first = ["build", "--key-mode", "hmac-derived", "--chip", "esp32c6", "-o", "d/first.bin"];
  const made = await world.run(...first);
  assertEquals(made.code, 0, made.stderr);
  assertEquals(made.stderr.includes("warning"), false, made.stderr);
  assertStringIncludes(made.stderr, "1. certify the public key");
  const before = new Map([...world.files].filter(([path]) => path.startsWith("d/")));
  assertEquals(before.get("d/salt.bin")!.secret, true);

  const given = ["--hmac-key", "d/hmac_key.bin", "--salt", "d/salt.bin"];
  const key = given.slice(0, 2);
  for (const flags of [[], ["--force"], key, [...key, "--force"]]) {
    const { code, stderr } = await world.run(...first, ...flags);
    assertEquals([code, new Map([...world.files].filter(([path]) => path.startsWith("d/")))], [
      1,
      before,
    ]);
    assertMatch(
      stderr,
      /hint: if the first step is done here, certify d\/device\.pub\.pem and build with --device-cert, --hmac-key d\/hmac_key\.bin and --salt d\/salt\.bin; else write to another folder/,
    );
  }
  const { stderr: forced } = await world.run(...first, "--force");
  assertMatch(forced, /d\/hmac_key\.bin exists[^]*--hmac-key .* or --force-key to replace it/);
  const again = await world.run(...first, ...given);
  assertEquals(again.code, 0, again.stderr);
  for (const [path, { bytes }] of before) assertEquals(world.bytes(path), bytes, path);

  const ca = ["--ca", "ca/ca.pem", "--ca-key", "ca/ca.key.pem"];
  const subject = ["--subject", "CN=d", "-o", "d/device.pem"];
  const certified = ["issue", "--public-key", "d/device.pub.pem", ...ca, ...subject];
  assertEquals((await world.run(...certified)).code, 0);
  const cert = ["--device-cert", "d/device.pem", "--ca-cert", "ca/ca.pem"];
  const second = [...first.slice(0, -1), "d/final.bin", ...given, ...cert];
  for (const time of ["once", "twice"]) {
    const { code, stderr } = await world.run(...second);
    assertEquals([time, code], [time, 0], stderr);
    assertStringIncludes(stderr, "1. table");
  }
  for (const [path, { bytes }] of before) assertEquals(world.bytes(path), bytes, path);
  const verify = ["verify", "d/final.bin", "--chip", "esp32c6", ...key];
  assertEquals((await world.run(...verify)).code, 0);
});

Deno.test("the commands that the first step prints are the second", async () => {
  const world = new MemoryWorld();
  world.program = "esp-secure-cert";
  await world.run("ca", "--subject", "CN=CA", "-o", "ca");
  const first = ["build", "--key-mode", "hmac-derived", "--chip", "esp32c3", "-o", "d/first.bin"];
  const { stderr } = await world.run(...first, "--efuse-key-id", "3");
  const lines = stderr.replaceAll(/ \\\n\s*/g, " ").split("\n");
  const printed = lines.filter((line) => line.includes("esp-secure-cert "));
  assertEquals(printed.length, 2, stderr);
  for (const line of printed) {
    const outcome = await world.run(...line.trim().split(" ").slice(1));
    assertEquals(outcome.code, 0, `${line}\n${outcome.stderr}`);
  }
  const plan = JSON.parse(new TextDecoder().decode(world.bytes("d/efuse_plan.json")));
  assertEquals(plan.blocks[0].keyId, 3);
  const verify = ["verify", "d/final.bin", "--chip", "esp32c3", "--hmac-key", "d/hmac_key.bin"];
  assertEquals((await world.run(...verify)).code, 0);
});

Deno.test("convert goes through the layouts, and refuses by name what they cannot carry", async () => {
  const world = new MemoryWorld();
  await world.run("provision", "--id", "d", "-o", "d");
  for (const format of ["cust_flash", "cust_flash_legacy", "nvs", "nvs_legacy"]) {
    const { code, stderr } = await world.run(
      "convert",
      "d/esp_secure_cert.bin",
      "--to",
      format,
      "-o",
      format,
    );
    assertEquals(code, 0, stderr);
    assertEquals(JSON.parse((await world.run("inspect", format, "--json")).stdout).format, format);
    assertEquals((await world.run("verify", format)).code, 0);
    await world.run("convert", format, "--to", "tlv", "-o", `${format}.tlv`);
    assertEquals(world.bytes(`${format}.tlv`), world.bytes("d/esp_secure_cert.bin"));
  }
  await world.run("provision", "--id", "e", "-o", "e", "--data", "user1=string:x");
  const refused = await world.run("convert", "e/esp_secure_cert.bin", "--to", "nvs", "-o", "e.nvs");
  assertEquals([refused.code, world.files.has("e.nvs")], [1, false]);
  assertStringIncludes(refused.stderr, "it cannot carry user data 1");
});

Deno.test("chips prints the table, and JSON with sources", async () => {
  const world = new MemoryWorld();
  const { stdout } = await world.run("chips");
  for (const name of Object.keys(CHIPS)) assertStringIncludes(stdout, name);
  const json = JSON.parse((await world.run("chips", "--json")).stdout);
  assertEquals(Object.keys(json), Object.keys(CHIPS));
  assertEquals(json.esp32c5.ds.maxRsaBits, 3072);
  assertEquals(typeof json.esp32c5.sources.ds, "string");
});

Deno.test("Matter's entries are named and survive", async () => {
  const world = new MemoryWorld();
  const data = ["201.0=hex:000f", "201.1=hex:00", "201.128=hex:01", "202.7=hex:02", "99.1=hex:03"];
  const flags = data.flatMap((each) => ["--data", each]);
  assertEquals((await world.run("build", ...flags, "-o", "m.bin")).code, 0);
  const { stdout } = await world.run("inspect", "m.bin");
  for (
    const text of [
      "Matter discriminator",
      "Matter SPAKE2+ verifier",
      "Matter random 1",
      "Matter 2",
      "type 99",
    ]
  ) {
    assertStringIncludes(stdout, text);
  }
  await world.run("convert", "m.bin", "--to", "tlv", "-o", "again.bin");
  assertEquals(world.bytes("again.bin"), world.bytes("m.bin"));
});

Deno.test("build --csv makes DS entries, writes the plan, and refuses a key file that is not there", async () => {
  const world = new MemoryWorld();
  await world.run("ca", "--subject", "CN=CA", "-o", "ca");
  await world.run("keygen", "--type", "rsa", "-o", "k.pem");
  const subject = ["--key", "k.pem", "--subject", "CN=d"];
  await world.run(
    "issue",
    ...subject,
    "--ca",
    "ca/ca.pem",
    "--ca-key",
    "ca/ca.key.pem",
    "-o",
    "d.pem",
  );
  const head =
    "tlv_type,tlv_subtype,data_value,data_type,priv_key_type,algorithm,key_size,efuse_id,efuse_key";
  const rows = [
    "0,0,ca/ca.pem,file,,,,,",
    "1,0,d.pem,file,,,,,",
    "2,0,k.pem,file,rsa_ds,RSA,2048,4,hmac.bin",
  ];
  world.put("in.csv", [head, ...rows].join("\n"));
  const line = ["build", "--csv", "in.csv", "--chip", "esp32c3", "-o", "out/i.bin"];
  const missing = await world.run(...line);
  assertEquals([missing.code, world.files.has("out/i.bin")], [1, false]);
  assertStringIncludes(missing.stderr, "hmac.bin");
  world.put("hmac.bin", `${"07".repeat(32)}\n`);
  const fromText = await world.run(...line);
  assertEquals(fromText.code, 0, fromText.stderr);
  assertEquals(world.bytes("out/hmac_key.bin"), new Uint8Array(32).fill(7));
  world.put("hmac.bin", new Uint8Array(32).fill(7));
  const built = await world.run(...line, "--force");
  assertEquals(built.code, 0, built.stderr);
  const plan = JSON.parse(new TextDecoder().decode(world.bytes("out/efuse_plan.json")));
  assertStringIncludes(plan.command, "burn-key BLOCK_KEY4 hmac.bin HMAC_DOWN_DIGITAL_SIGNATURE");
  const verify = [
    "verify",
    "out/i.bin",
    "--chip",
    "esp32c3",
    "--hmac-key",
    "hmac.bin",
    "--ca",
    "ca/ca.pem",
  ];
  assertEquals((await world.run(...verify)).code, 0);
  assertEquals((await world.run(...line, "--format", "nvs", "--force")).code, 0);
  assertEquals(
    JSON.parse((await world.run("inspect", "out/i.bin", "--json")).stdout).format,
    "nvs",
  );
});

Deno.test("build --csv makes the eFuse key of a row that names none, and never overwrites one", async () => {
  const world = new MemoryWorld();
  await world.run("keygen", "--type", "rsa", "-o", "k.pem");
  const head =
    "tlv_type,tlv_subtype,data_value,data_type,priv_key_type,algorithm,key_size,efuse_id,efuse_key";
  world.put("in.csv", `${head}\n2,0,k.pem,file,rsa_ds,RSA,2048,4,\n`);
  const line = ["build", "--csv", "in.csv", "--chip", "esp32c3", "-o", "out/i.bin"];
  const built = await world.run(...line);
  assertEquals(built.code, 0, built.stderr);
  assertStringIncludes(built.stderr, "wrote out/hmac_key.bin");
  const made = world.files.get("out/hmac_key.bin")!;
  assertEquals([made.bytes.length, made.secret, made.keep], [32, true, true]);
  const plan = JSON.parse(new TextDecoder().decode(world.bytes("out/efuse_plan.json")));
  assertStringIncludes(plan.command, "BLOCK_KEY4 out/hmac_key.bin HMAC_DOWN_DIGITAL_SIGNATURE");
  const flags = ["--chip", "esp32c3", "--hmac-key", "out/hmac_key.bin"];
  assertEquals((await world.run("verify", "out/i.bin", ...flags)).code, 0);
  const again = await world.run(...line, "--force");
  assertEquals([again.code, world.files.get("out/hmac_key.bin")], [1, made]);
  const same = await world.run(...line, "--force", "--hmac-key", "out/hmac_key.bin");
  assertEquals([same.code, world.files.get("out/hmac_key.bin")], [0, made], same.stderr);
});

Deno.test("the halves of a P-384 key are raw files for two named blocks, and stay", async () => {
  const world = new MemoryWorld();
  const line = [...provisionLine("ecdsa-peripheral", "esp32p4"), "--curve", "P-384"];
  const { code, stdout, stderr } = await world.run(...line, "--efuse-key-id", "2");
  assertEquals(code, 0, stderr);
  const [low, high] = ["d/ecdsa_key_low.bin", "d/ecdsa_key_high.bin"];
  const plan = JSON.parse(new TextDecoder().decode(world.bytes("d/efuse_plan.json")));
  assertEquals(
    plan.command,
    `espefuse --chip esp32p4 burn-key BLOCK_KEY2 ${low} ECDSA_KEY_P384_L ` +
      `BLOCK_KEY1 ${high} ECDSA_KEY_P384_H`,
  );
  assertEquals(plan.keyFileKind, "raw");
  for (const path of [low, high]) {
    assertEquals([world.bytes(path).length, world.files.get(path)!.secret], [32, true]);
    assertStringIncludes(stdout, `wrote    ${path}`);
  }
  const key = await importPrivateKey(world.bytes("d/device.key.pem"));
  const sec1 = exportPrivateKey(key, { encoding: "traditional", form: "der" });
  const scalar = sec1.slice(8, 8 + 48).toHex();
  assertEquals(world.bytes(high).toHex() + world.bytes(low).toHex(), "00".repeat(16) + scalar);

  // With the key from a file, and again: nothing is overwritten.
  const files = ["--device-cert", "d/device.pem", "--ca-cert", "ca/ca.pem"];
  const build = ["build", ...files, "--private-key", "d/device.key.pem", "--chip", "esp32p4"];
  const out = ["--key-mode", "ecdsa-peripheral", "-o", "e/out.bin"];
  assertEquals((await world.run(...build, ...out)).code, 0);
  assertEquals(world.bytes("e/ecdsa_key_low.bin"), world.bytes(low));
  assertEquals(world.files.has("e/ecdsa_key.pem"), false);
  const before = world.bytes(low);
  assertEquals((await world.run(...line, "--force")).code, 1);
  assertEquals(world.bytes(low), before);
});
