/** Where configure_esp_secure_cert.py 2.6.1 is wrong: one test for each fault, by its name. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { equalBytes } from "../../../lib/bytes/pack.ts";
import { parsePem } from "../../../lib/bytes/pem.ts";
import { decodeCustFlash } from "../../../lib/format/cust_flash/codec.ts";
import { decodePartition, encodePartition } from "../../../lib/format/partition.ts";
import { decodeDsData } from "../../../lib/format/peripheral.ts";
import { openSecureCert } from "../../../lib/image/firmware/open.ts";
import { type SharedCase, sharedCases, sharedTest } from "../../vectors.ts";
import { caseFile, caseNamed, expected, IMAGE, runCase, worldWith } from "./world.ts";
import { MemoryWorld, type Outcome } from "../memory_io.ts";

const HEADER =
  "tlv_type,tlv_subtype,data_value,data_type,priv_key_type,algorithm,key_size,efuse_id,efuse_key";
const types = (image: Uint8Array) => decodePartition(image).entries.map(({ type }) => type);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Runs configure, which must succeed; gives the image. */
async function image(world: MemoryWorld, ...args: readonly string[]): Promise<Uint8Array> {
  const { code, stderr } = await world.run("configure", ...args, "--skip_flash");
  assertEquals(code, 0, stderr);
  return world.bytes(IMAGE);
}

async function fromCsv(world: MemoryWorld, ...rows: readonly string[]): Promise<Outcome> {
  world.put("in.csv", [HEADER, ...rows].join("\n"));
  return await world.run("configure", "--esp_secure_cert_csv", "in.csv", "--skip_flash");
}

const DS = ["--private-key", "rsa2048.pkcs8.pem", "--configure_ds"];

sharedTest("no private key is in an ECDSA-peripheral image", async () => {
  let compared = 0;
  for (const each of sharedCases("ecdsa_peripheral")) {
    if (each.args === undefined || each.name === "ecdsa_wrong_curve") continue;
    const { world, outcome } = await runCase(each);
    assertEquals(outcome.code, 0, outcome.stderr);
    const made = world.bytes(IMAGE);
    assertEquals(equalBytes(made, expected(each.name)), false, "the reference is wrong here");
    const scalar = caseFile(each.name, "out_ecdsa_key.bin");
    assertEquals(made.toHex().includes(scalar.toHex()), false, each.name);
    assertEquals(world.bytes("esp_secure_cert_data/ecdsa_key.bin"), scalar);
    assertEquals(world.files.get("esp_secure_cert_data/ecdsa_key.bin")?.secret, true);
    if (!sharedCases().some(({ name }) => name === `${each.name}_safe`)) continue;
    assert(equalBytes(made, expected(`${each.name}_safe`)), each.name);
    compared++;
  }
  assertEquals(compared, 4);
});

sharedTest("DS of the C5 has operands of 3072 bits", async () => {
  for (const bits of [1024, 2048, 3072]) {
    const { world, outcome } = await runCase(caseNamed(`rsads_esp32c5_${bits}`));
    assertEquals(outcome.code, 0, outcome.stderr);
    const { entries } = decodePartition(world.bytes(IMAGE));
    assertEquals(decodeDsData(entries[0]!.data).ciphertext.length, 1200);
    if (bits !== 2048) continue;
    assert(equalBytes(world.bytes(IMAGE), expected("rsads_esp32c5_2048_correct")));
  }
  const { world, outcome } = await runCase(caseNamed("rsads_esp32c5_4096"));
  assertEquals([outcome.code, world.files.has(IMAGE)], [1, false]);
});

sharedTest("an algorithm in another spelling is that algorithm, or none", async () => {
  const world = worldWith("rsa2048.pkcs8.pem", "hmac_key.bin");
  const flags = [...DS, "--efuse_key_id", "1", "--efuse_key_file", "hmac_key.bin"];
  assertEquals(types(await image(world, ...flags, "--priv_key_algo", "rsa", "2048")), [3, 4, 9]);
  for (const wrong of [["DSA", "2048"], ["RSA", "2047"], ["RSA"]]) {
    const { code } = await world.run("configure", ...flags, "--priv_key_algo", ...wrong);
    assertEquals(code, 2, wrong.join(" "));
  }
});

sharedTest("an rsa_ds row without algorithm makes DS values", async () => {
  const world = worldWith("rsa2048.pkcs8.pem", "hmac_key.bin");
  const outcome = await fromCsv(world, "2,0,rsa2048.pkcs8.pem,file,rsa_ds,,,1,hmac_key.bin");
  assertEquals(outcome.code, 0, outcome.stderr);
  assertEquals(types(world.bytes(IMAGE)), [3, 4, 9]);
});

sharedTest("--configure_ds needs neither --priv_key_algo nor --efuse_key_id", async () => {
  const world = worldWith("rsa2048.pkcs8.pem", "ecp256.pkcs8.pem", "hmac_key.bin");
  const device = openSecureCert(await image(world, ...DS, "--efuse_key_file=hmac_key.bin"));
  const context = await device.dsContext();
  assertEquals([context.efuseKeyId, context.rsaLengthBits], [1, 2048]);
  const ecdsa = ["--private-key", "ecp256.pkcs8.pem", "--target_chip", "esp32h2", "--configure_ds"];
  const other = openSecureCert(await image(world, ...ecdsa));
  assertEquals(await other.privateKeyEfuseBlock(), 5);
});

sharedTest("cust_flash and nvs take DS keys", async () => {
  for (const [type, build] of [["cust_flash", "cf_ds_esp32s2_2048"], ["nvs", undefined]] as const) {
    const world = worldWith("ca.pem", "rsa2048.crt.pem", "rsa2048.pkcs8.pem", "hmac_key.bin");
    const flags = ["--secure_cert_type", type, "--target_chip", "esp32s2", "--ca-cert", "ca.pem"];
    const more = ["--device-cert", "rsa2048.crt.pem", ...DS, "--efuse_key_file", "hmac_key.bin"];
    const made = await image(world, ...flags, ...more, "--efuse_key_id", "1");
    if (build !== undefined) assert(equalBytes(made, expected(build)), type);
    const device = openSecureCert(made, { legacyBuild: true });
    assertEquals((await device.dsContext()).efuseKeyId, 1);
  }
});

sharedTest("--pwd opens the key", async () => {
  const { world, outcome } = await runCase(caseNamed("err_encrypted_key_pwd"));
  assertEquals(outcome.code, 0, outcome.stderr);
  assertStringIncludes(outcome.stderr, "warning: anyone on this machine can see a password");
  assertEquals(outcome.stderr.includes("test1234") || outcome.stdout.includes("test1234"), false);
  const { args = [] } = caseNamed("err_encrypted_key_pwd");
  const wrong = await world.run("configure", ...args.map((word) => word.replace("test", "x")));
  assertEquals(wrong.code, 1);
  const key = await openSecureCert(world.bytes(IMAGE)).privateKey();
  assertStringIncludes(text(key), "BEGIN RSA PRIVATE KEY");
  const nvs = await runCase(caseNamed("nvs_encrypted_key_stored"));
  assertEquals(nvs.outcome.code, 0, nvs.outcome.stderr);
  const stored = openSecureCert(nvs.world.bytes(IMAGE), { legacyBuild: true });
  assertEquals(text(await stored.privateKey()).includes("ENCRYPTED"), false);
});

sharedTest("a PEM chain is kept whole", async () => {
  const { world } = await runCase(caseNamed("plain_chain_truncated"));
  const stored = await openSecureCert(world.bytes(IMAGE)).deviceCert();
  const given = text(caseFile("plain_chain_truncated", "chain.pem"));
  assertEquals(parsePem(text(stored)), parsePem(given));
  assertEquals(parsePem(given).length > 1, true);
});

sharedTest("PEM with literal \\n is taken", async () => {
  const world = worldWith();
  const pem = text(caseFile("", "ecp256.crt.pem"));
  const outcome = await fromCsv(world, `1,0,"${pem.replaceAll("\n", "\\n")}",string,,,,,`);
  assertEquals(outcome.code, 0, outcome.stderr);
  const stored = await openSecureCert(world.bytes(IMAGE)).deviceCert();
  assertEquals(parsePem(text(stored)), parsePem(pem));
});

interface Repeated extends SharedCase {
  readonly earlier_commands?: readonly (readonly string[])[];
}

sharedTest("--append-integrity leaves nothing after the last entry", async () => {
  for (const name of ["integ_fresh", "integ_second", "integ_17_times"]) {
    const { args = [], inputs = [], earlier_commands: earlier = [] }: Repeated = caseNamed(name);
    const world = new MemoryWorld();
    for (const file of inputs) world.put(file, caseFile(name, file));
    for (const line of [...earlier, args]) {
      assertEquals((await world.run("configure", ...line)).code, 0, name);
    }
    const made = world.bytes("x.bin");
    assertEquals(made.length % 16, 0);
    const marked = expected(name);
    assert(equalBytes(made, marked.subarray(0, made.length)), name);
    assertEquals(marked.subarray(made.length), new Uint8Array([0xFF, 0xFF, 0, 0]));
    if (name !== "integ_17_times") continue;
    const again = await world.run("configure", ...args);
    assertEquals([again.code, equalBytes(world.bytes("x.bin"), made)], [1, true]);
  }
});

sharedTest("--append-integrity refuses what no hash can fix", async () => {
  const given = caseFile("integ_fresh", "x.bin");
  const bad = [
    caseFile("integ_over_bad_crc", "x.bin"),
    given.subarray(0, given.length - 20),
    new Uint8Array(),
    new Uint8Array(64).fill(0xFF),
  ];
  for (const bytes of bad) {
    const world = new MemoryWorld();
    world.put("x.bin", bytes);
    const { code } = await world.run("configure", "--append-integrity", "x.bin");
    assertEquals([code, equalBytes(world.bytes("x.bin"), bytes)], [1, true]);
  }
});

sharedTest("--append-integrity keeps a filled image filled", async () => {
  const world = new MemoryWorld();
  world.put("x.bin", encodePartition([{ type: 51, data: new Uint8Array(1) }], { fill: true }));
  assertEquals((await world.run("configure", "--append-integrity", "x.bin")).code, 0);
  assertEquals(world.bytes("x.bin").length, 0x2000);
  assertEquals(types(world.bytes("x.bin")), [51, 9]);
});

async function parse(bytes: Uint8Array, world = new MemoryWorld(), name = "any.img") {
  world.put(name, bytes);
  return { world, outcome: await world.run("configure", "--parse_bin", name) };
}

sharedTest("--parse_bin prints DS contexts and key modes as they are", async () => {
  const listing = async (name: string) =>
    text((await parse(expected(name))).world.bytes(
      "esp_secure_cert_parsed_data/tlv_entries_raw.txt",
    ));
  const ds = await listing("rsads_esp32c3_2048");
  assertStringIncludes(ds, "eFuse Key ID: 1, RSA Length: 2048 bits");
  assertStringIncludes(ds, "RSA with DS Peripheral");
  assertStringIncludes(await listing("ecdsa_esp32h2_256_safe"), "ECDSA with Peripheral");
  assertStringIncludes(await listing("cw_hmacenc_key"), "Encrypted with the HMAC peripheral");
  assertStringIncludes(await listing("cw_ecdsa_derive_c0x32"), "derived with the HMAC peripheral");
  assertStringIncludes(await listing("plain_key_ecp256_sec1_pem"), "Software-based (Plaintext)");
});

sharedTest("what --parse_bin writes builds the same image, of every kind", async () => {
  const kinds = ["plain", "csv", "sizes", "rsa_ds", "ecdsa_peripheral", "cwriter", "sign"];
  let restored = 0;
  for (const { name } of sharedCases(...kinds, "integrity", "corrupt")) {
    let given;
    try {
      given = expected(name);
    } catch {
      continue;
    }
    const { world, outcome } = await parse(given);
    if (outcome.code !== 0) continue;
    const csv = "esp_secure_cert_parsed_data/esp_secure_cert_parsed.csv";
    const flags = ["--esp_secure_cert_csv", csv, "--skip_flash", "--no-verify"];
    const built = await world.run("configure", ...flags);
    assertEquals(built.code, 0, `${name}: ${built.stderr}`);
    assert(equalBytes(world.bytes(IMAGE), given), name);
    restored++;
  }
  assertEquals(restored > 120, true, String(restored));
});

Deno.test("--parse_bin takes every type, keeps what it did not write, and needs no ending", async () => {
  const all = [5, 7, 8, 9, 56, 200, 201, 253].map((type) => ({ type, data: new Uint8Array([1]) }));
  const world = new MemoryWorld();
  world.put("esp_secure_cert_parsed_data/mine.txt", "kept");
  const { outcome } = await parse(encodePartition(all), world);
  assertEquals(outcome.code, 0, outcome.stderr);
  assertEquals(text(world.bytes("esp_secure_cert_parsed_data/mine.txt")), "kept");
  const csv = text(world.bytes("esp_secure_cert_parsed_data/esp_secure_cert_parsed.csv"));
  for (const type of [7, 8, 9, 56, 200, 201, 253]) assertStringIncludes(csv, `_${type}_0.bin`);
});

Deno.test("--parse_bin of another image loses nothing of the one before", async () => {
  const folder = "esp_secure_cert_parsed_data";
  const world = new MemoryWorld();
  const first = encodePartition([{ type: 200, data: new Uint8Array([1, 2]) }]);
  await parse(first, world);
  const before = new Map([...world.files].map(([path, { bytes }]) => [path, bytes]));
  await parse(first, world);
  assertEquals(world.files.size, before.size, "the same image changes nothing");
  const next = encodePartition([{ type: 200, data: new Uint8Array([3, 4]) }]);
  const { outcome } = await parse(next, world);
  assertEquals(outcome.code, 0, outcome.stderr);
  for (const [path, bytes] of before) {
    if (!path.startsWith(`${folder}/`) || equalBytes(world.bytes(path), bytes)) continue;
    assertEquals(world.bytes(`${path}.1`), bytes, path);
    assertEquals(world.files.get(`${path}.1`)!.secret, true);
    assertStringIncludes(outcome.stderr, `what was in ${path} is in ${path}.1 now`);
  }
  assertEquals([...world.files.keys()].some((path) => path.endsWith(".bin.1")), true);
  // Once more, back and forth: no copy of what has one already.
  await parse(first, world);
  const { size } = world.files;
  await parse(next, world);
  await parse(first, world);
  assertEquals(world.files.size, size);
});

sharedTest("--parse_bin refuses bad checksums and writes nothing then", async () => {
  for (const name of ["corrupt_crc_first", "corrupt_value_last", "corrupt_empty_file"]) {
    const { world, outcome } = await parse(expected(name));
    assertEquals([outcome.code, world.files.size], [1, 1], name);
  }
  const { outcome } = await parse(expected("cf_ec"));
  assertEquals(outcome.code, 1);
});

sharedTest("a mistyped path of the eFuse key is an error, and no key is made", async () => {
  const world = worldWith("rsa2048.pkcs8.pem");
  const flags = [...DS, "--efuse_key_id", "1", "--efuse_key_file", "hmac_kye.bin", "--skip_flash"];
  const outcome = await world.run("configure", ...flags);
  assertEquals([outcome.code, world.files.size], [1, 1]);
  assertStringIncludes(outcome.stderr, "Cannot read the file of --efuse_key_file: no such file");
  const row = await fromCsv(world, "2,0,rsa2048.pkcs8.pem,file,rsa_ds,RSA,2048,1,hmac_kye.bin");
  assertEquals([row.code, world.files.has(IMAGE)], [1, false]);
  assertStringIncludes(row.stderr, "line 2:46: efuse_key: no such file: hmac_kye.bin");
});

sharedTest("eFuse keys of 0, 16 and 48 bytes are refused", async () => {
  for (const file of ["empty.bin", "hmac_key_short16.bin", "hmac_key_long48.bin"]) {
    const world = worldWith("rsa2048.pkcs8.pem");
    world.put(file, file === "empty.bin" ? new Uint8Array() : caseFile("", file));
    const flags = [...DS, "--efuse_key_id", "1", "--efuse_key_file", file, "--skip_flash"];
    assertEquals((await world.run("configure", ...flags)).code, 1, file);
    assertEquals(world.files.has(IMAGE), false);
  }
});

sharedTest("an HMAC key file is never overwritten, and the burn command names it", async () => {
  const world = worldWith("rsa2048.pkcs8.pem");
  let drawn = 0;
  world.random = (length) => new Uint8Array(length).fill(++drawn);
  const keys: string[] = [];
  for (const name of ["hmac_key.bin", "hmac_key_2.bin", "hmac_key_3.bin"]) {
    const { code, stderr } = await world.run("configure", ...DS, "--skip_flash");
    assertEquals(code, 0);
    const path = `esp_secure_cert_data/${name}`;
    assertStringIncludes(
      stderr,
      `espefuse.py --chip esp32c3 -p <PORT> burn_key BLOCK_KEY1 ${path} HMAC_DOWN_DIGITAL_SIGNATURE`,
    );
    assertEquals([world.bytes(path).length, world.files.get(path)?.secret], [32, true]);
    keys.push(world.bytes(path).toHex());
  }
  assertEquals(new Set(keys).size, 3);
  assertEquals(world.bytes("esp_secure_cert_data/hmac_key.bin").toHex(), keys[0]);
});

sharedTest("the burn command of an ECDSA key names files that espefuse takes", async () => {
  const world = worldWith("ecp256.pkcs8.der", "ecp384.pkcs8.pem");
  const folder = "esp_secure_cert_data";
  const burn = async (chip: string, file: string, ...more: string[]) => {
    const key = ["--private-key", file, "--configure_ds", "--priv_key_algo", "ECDSA", ...more];
    const { code, stderr } = await world.run("configure", "--target_chip", chip, ...key);
    assertEquals(code, 0, stderr);
    return /espefuse\.py .*/.exec(stderr)![0].replaceAll(`${folder}/`, "");
  };
  const p256 = ["256", "--skip_flash", "--efuse_key_id", "2"];
  const whole = "espefuse.py --chip esp32h2 -p <PORT> burn_key BLOCK_KEY2 ecdsa_key.pem ECDSA_KEY";
  assertEquals(await burn("esp32h2", "ecp256.pkcs8.der", ...p256), whole);
  const pem = world.bytes(`${folder}/ecdsa_key.pem`);
  assertStringIncludes(new TextDecoder().decode(pem), "PRIVATE KEY");
  const p384 = ["384", "--skip_flash", "--efuse_key_id", "2"];
  assertEquals(
    await burn("esp32p4", "ecp384.pkcs8.pem", ...p384),
    "espefuse.py --chip esp32p4 -p <PORT> burn_key BLOCK_KEY2 ecdsa_key_2_low.bin " +
      "ECDSA_KEY_P384_L BLOCK_KEY1 ecdsa_key_2_high.bin ECDSA_KEY_P384_H",
  );
  const [low, high] = ["low", "high"].map((half) => `${folder}/ecdsa_key_2_${half}.bin`);
  assertEquals([world.bytes(low!).length, world.files.get(high!)?.secret], [32, true]);
  assertEquals(await burn("esp32h2", "ecp256.pkcs8.der", ...p256), whole);
  assertEquals(world.bytes(`${folder}/ecdsa_key.pem`), pem);
});

sharedTest("two DS rows keep two HMAC keys, or share the one of their block", async () => {
  for (const [second, count] of [[2, 2], [1, 1]] as const) {
    const world = worldWith("rsa2048.pkcs8.pem", "rsa1024.pkcs1.pem");
    world.random = (length) => crypto.getRandomValues(new Uint8Array(length));
    const outcome = await fromCsv(
      world,
      "2,0,rsa2048.pkcs8.pem,file,rsa_ds,RSA,2048,1,",
      `2,1,rsa1024.pkcs1.pem,file,rsa_ds,RSA,1024,${second},`,
    );
    assertEquals(outcome.code, 0, outcome.stderr);
    const kept = [...world.files.keys()].filter((name) => name.includes("hmac_key"));
    assertEquals(kept.length, count);
    assertEquals(types(world.bytes(IMAGE)), [3, 4, 3, 4, 9]);
  }
  const world = worldWith("rsa2048.pkcs8.pem", "rsa1024.pkcs1.pem", "hmac_key.bin");
  world.put("other.bin", new Uint8Array(32));
  const clash = await fromCsv(
    world,
    "2,0,rsa2048.pkcs8.pem,file,rsa_ds,RSA,2048,1,hmac_key.bin",
    "2,1,rsa1024.pkcs1.pem,file,rsa_ds,RSA,1024,1,other.bin",
  );
  assertEquals(clash.code, 1);
  assertStringIncludes(clash.stderr, "line 3:44: efuse_id: KEY1 is taken by another key");
});

sharedTest(
  "a key that is not the certificate's is refused, unless --no-verify is given",
  async () => {
    const cases = [[], ["--secure_cert_type", "cust_flash"], ["--secure_cert_type", "nvs"], [
      "--configure_ds",
    ]];
    for (const more of cases) {
      const world = worldWith("ecp256.crt.pem", "rsa2048.pkcs8.pem");
      const pair = ["--device-cert", "ecp256.crt.pem", "--private-key", "rsa2048.pkcs8.pem"];
      const flags = [...pair, ...more, "--skip_flash"];
      const refused = await world.run("configure", ...flags);
      assertEquals([refused.code, world.files.size], [1, 2], more.join(" "));
      assertStringIncludes(refused.stderr, "is for another key than the private key");
      assertEquals((await world.run("configure", ...flags, "--no-verify")).code, 0);
    }
  },
);

sharedTest("secp256k1 is not P-256", async () => {
  const { world, outcome } = await runCase(caseNamed("ecdsa_wrong_curve"));
  assertEquals([outcome.code, world.files.has(IMAGE)], [1, false]);
  assertStringIncludes(outcome.stderr, "secp256k1");
});

sharedTest("eFuse ids that the chip has not are refused", async () => {
  const world = worldWith("rsa2048.pkcs8.pem", "hmac_key.bin");
  const row = (id: number) => `2,0,rsa2048.pkcs8.pem,file,rsa_ds,RSA,2048,${id},hmac_key.bin`;
  assertEquals((await fromCsv(world, row(9))).code, 1);
  assertEquals((await world.run("configure", ...DS, "--efuse_key_id", "6")).code, 2);
  const s31 = [...DS, "--efuse_key_id", "5", "--target_chip", "esp32s31", "--skip_flash"];
  assertEquals((await world.run("configure", ...s31)).code, 1);
  assertEquals(world.files.has(IMAGE), false);
});

sharedTest("reserved types and subtypes, and what follows base64, are refused", async () => {
  for (const name of ["csv_type_254_255", "csv_base64_trailing"]) {
    const { world, outcome } = await runCase(caseNamed(name));
    assertEquals([outcome.code, world.files.has(IMAGE)], [1, false], name);
  }
  assertEquals((await fromCsv(worldWith(), "50,0,a,string,,,,,")).code, 1);
  assertEquals((await fromCsv(worldWith(), "51,254,a,string,,,,,")).code, 1);
});

sharedTest("spaces within quotes are kept", async () => {
  const { world } = await runCase(caseNamed("csv_quoted_spaces"));
  const { data } = await openSecureCert(world.bytes(IMAGE)).entry(51);
  assertEquals(text(data), "  padded  ");
});

sharedTest("files with keys are for their owner, messages and folders hold none", async () => {
  const world = worldWith("rsa2048.pkcs8.pem");
  const key = text(world.bytes("rsa2048.pkcs8.pem"));
  await world.run("configure", ...DS, "--skip_flash");
  await fromCsv(world, `2,0,"${key}",string,plaintext,RSA,2048,,`);
  await world.run("configure", "--parse_bin", IMAGE);
  for (const { path, bytes, secret } of world.files.values()) {
    if (!path.includes("/") || !/PRIVATE KEY/.test(text(bytes))) continue;
    assertEquals(secret, true, path);
  }
  assertEquals([...world.files.keys()].filter((name) => name.includes("temp")), []);
  const broken = key.replace(/MII.*/, (line) => `${line.slice(0, 40)}!`);
  const failed = await fromCsv(world, `2,0,"${broken}",string,plaintext,RSA,2048,,`);
  assertEquals(failed.code, 1);
  for (const line of key.split("\n").filter((line) => line.length > 40)) {
    assertEquals(failed.stderr.includes(line.slice(0, 30)), false);
  }
});

sharedTest("--port and the offset are words of their own, and no shell's", async () => {
  const world = worldWith("ca.pem");
  world.programs.set("esptool", 0);
  const port = "/dev/tty; rm -rf x";
  const flags = ["--ca-cert", "ca.pem", "--port", port, "--target_chip", "esp32s3"];
  assertEquals((await world.run("configure", ...flags)).code, 0);
  const command = ["--chip", "esp32s3", "-p", port, "write_flash", "0xD000", IMAGE];
  assertEquals(world.ran, [["esptool", ...command]]);
  const offset = ["--sec_cert_part_offset", "0xD000; rm -rf x"];
  assertEquals((await world.run("configure", "--ca-cert", "ca.pem", ...offset)).code, 2);
});

sharedTest("without esptool the command is printed and the exit code is 1", async () => {
  const world = worldWith("ca.pem");
  const flags = ["configure", "--ca-cert", "ca.pem", "-p", "/dev/ttyUSB0"];
  const { code, stdout } = await world.run(...flags);
  assertEquals([code, world.files.has(IMAGE)], [1, true]);
  assertStringIncludes(stdout, "To flash manually: esptool.py --chip esp32c3 -p /dev/ttyUSB0");
  world.programs.set("esptool.py", 2);
  assertEquals((await world.run(...flags)).code, 1);
  assertEquals((await world.run("configure", "--ca-cert", "ca.pem")).code, 0);
  assertEquals((await world.run("configure", "--summary", "-p", "X")).code, 1);
  world.programs.set("espefuse.py", 0);
  assertEquals((await world.run("configure", "--summary", "-p", "X")).code, 0);
  assertEquals(world.ran.at(-1), ["espefuse.py", "--chip", "esp32c3", "-p", "X", "summary"]);
});

sharedTest("a cust_flash image without a CA has the size of the others", async () => {
  const world = worldWith("rsa2048.crt.pem", "rsa2048.pkcs8.pem");
  const flags = ["--secure_cert_type", "cust_flash", "--device-cert", "rsa2048.crt.pem"];
  const made = await image(world, ...flags, "--private-key", "rsa2048.pkcs8.pem");
  assertEquals(made.length, 24576);
  assertEquals(decodeCustFlash(made).credentials.caCert, undefined);
});

sharedTest("certificates that overlap the next region are refused", async () => {
  const { world, outcome } = await runCase(caseNamed("cf_big_dev_cert"), "--no-verify");
  assertEquals([outcome.code, world.files.has(IMAGE)], [1, false]);
  const other = worldWith("big5k.crt.pem");
  const flags = ["--secure_cert_type", "cust_flash", "--ca-cert", "big5k.crt.pem"];
  const { code } = await other.run("configure", ...flags, "--skip_flash");
  assertEquals([code, other.files.has(IMAGE)], [1, false]);
});

sharedTest("what would not work on the chip is refused, unless --no-verify is given", async () => {
  const encrypted = (subtype: number) =>
    `2,${subtype},ecp256.pkcs8.pem,file,hmac_encrypted,ECDSA,256,1,hmac_key.bin`;
  const cases = [
    ["GCM_NONCE_REUSE", encrypted(0), encrypted(1)],
    ["BAD_SIGNATURE", "8,0,00,hex,,,,,"],
    ["DS_BLOB", "3,0,00,hex,,,,,", "4,0,0000000001000008,hex,,,,,"],
    ["DUPLICATE_ENTRY", "9,0,00,hex,,,,,"],
  ] as const;
  for (const [code, ...rows] of cases) {
    const world = worldWith("ecp256.pkcs8.pem", "hmac_key.bin");
    const before = [...world.files.keys(), "in.csv"];
    const outcome = await fromCsv(world, ...rows);
    assertEquals([outcome.code, [...world.files.keys()]], [1, before], `${code} ${outcome.stderr}`);
    assertStringIncludes(outcome.stderr, code);
    const flags = ["--esp_secure_cert_csv", "in.csv", "--skip_flash", "--no-verify"];
    assertEquals((await world.run("configure", ...flags)).code, 0, code);
  }
});

sharedTest("a key file may be 64 hex digits; the burn command names a raw copy", async () => {
  const hex = caseFile("", "hmac_key.bin").toHex();
  const flags = [...DS, "--efuse_key_id", "1", "--skip_flash", "--efuse_key_file"];
  const raw = worldWith("rsa2048.pkcs8.pem", "hmac_key.bin");
  await raw.run("configure", ...flags, "hmac_key.bin");
  for (const row of [false, true]) {
    const world = worldWith("rsa2048.pkcs8.pem");
    world.put("key.hex", `${hex}\n`);
    const { code, stderr } = row
      ? await fromCsv(world, "2,0,rsa2048.pkcs8.pem,file,rsa_ds,RSA,2048,1,key.hex")
      : await world.run("configure", ...flags, "key.hex");
    assertEquals(code, 0, stderr);
    assertEquals(world.bytes(IMAGE), raw.bytes(IMAGE));
    const copy = "esp_secure_cert_data/hmac_key.bin";
    assertStringIncludes(stderr, `BLOCK_KEY1 ${copy} HMAC_DOWN_DIGITAL_SIGNATURE`);
    assertEquals(world.bytes(copy).toHex(), hex);
  }
});

sharedTest("--json prints one document instead of the lines", async () => {
  const world = worldWith("ecp256.crt.pem", "ecp256.pkcs8.pem", "rsa2048.pkcs8.pem");
  const flags = ["configure", "--json", "--device-cert", "ecp256.crt.pem", "--private-key"];
  const run = async (...more: readonly string[]) => {
    const { code, stdout } = await world.run(...flags, ...more);
    return { code, document: JSON.parse(stdout) };
  };
  const built = await run("ecp256.pkcs8.pem", "--skip_flash");
  assertEquals([built.code, built.document.files], [0, [IMAGE]]);
  assertEquals(built.document.lines.includes(`Partition generated: ${IMAGE}`), true);
  const mismatch = await run("rsa2048.pkcs8.pem", "--skip_flash");
  assertEquals([mismatch.code, mismatch.document.error.code], [1, "ERR_VERIFY"]);
  const usage = await run("ecp256.pkcs8.pem", "--nonsense");
  assertEquals([usage.code, usage.document.error.code], [2, "ERR_USAGE"]);
  const noTool = await run("ecp256.pkcs8.pem", "-p", "COM3");
  assertEquals([noTool.code, noTool.document.error.code], [1, "ERR_IO"]);
  assertStringIncludes(noTool.document.error.message, "esptool is not installed");
  world.programs.set("esptool.py", 0);
  assertEquals((await run("ecp256.pkcs8.pem", "-p", "COM3")).code, 0);
});
