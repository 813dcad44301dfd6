/** Signing with `configure`, where configure_esp_secure_cert.py 2.6.1 is wrong. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { equalBytes } from "../../../lib/bytes/pack.ts";
import { decodePartition, encodePartition, walkPartition } from "../../../lib/format/partition.ts";
import { shared, sharedCases, sharedTest } from "../../vectors.ts";
import { expected, IMAGE, runCase, SIGNED, worldWith } from "./world.ts";

const types = (image: Uint8Array) => decodePartition(image).entries.map(({ type }) => type);
const base = () => encodePartition([{ type: 51, data: new Uint8Array([1]) }], { integrity: true });
const KEYS = ["sign_ecdsa256_1.pem", "sign_ecdsa256_2.pem", "sign_ecdsa256_3.pem"];

sharedTest(
  "signing while generating: the entries, then the signature, and the file to flash",
  async () => {
    const world = worldWith("ecp256.crt.pem", KEYS[0]!);
    const flags = [
      "--device-cert",
      "ecp256.crt.pem",
      "--secure-sign",
      "--signing-scheme",
      "ecdsa256",
    ];
    const more = ["--signing-key-file", KEYS[0]!, "--skip_flash"];
    const { code, stdout, stderr } = await world.run("configure", ...flags, ...more);
    assertEquals(code, 0, stderr);
    const signed = world.bytes(SIGNED);
    assertEquals(types(signed), [1, 9, 8, 9]);
    assertEquals(signed.length % 16, 0);
    assert(equalBytes(signed.subarray(0, world.bytes(IMAGE).length), world.bytes(IMAGE)));
    assertEquals(stdout.split("\n").at(-1)?.endsWith(SIGNED), true);
  },
);

sharedTest("every scheme signs, ecdsa192 too, with up to three keys", async () => {
  for (const scheme of ["rsa3072", "ecdsa192", "ecdsa256", "ecdsa384"]) {
    const keys = [1, 2, 3].map((at) => `sign_${scheme}_${at}.pem`);
    const world = worldWith(...keys);
    world.put("base.bin", base());
    const flags = ["--secure-sign", "--signing-scheme", scheme, "--signing-key-file", ...keys];
    const more = ["--esp-secure-cert-file", "base.bin", "--skip_flash"];
    const { code, stderr } = await world.run("configure", ...flags, ...more);
    assertEquals(code, 0, stderr);
    assertEquals(types(world.bytes(SIGNED)), [51, 9, 8, 8, 8, 9], scheme);
    const verified = await world.run("verify", SIGNED, "--json");
    assertEquals(verified.stdout.includes("BAD_SIGNATURE"), false);
    assertEquals(verified.stdout.includes("BAD_INTEGRITY"), false);
  }
});

sharedTest(
  "a signed image has the entries of the reference, closed by an integrity entry",
  async () => {
    const shapeOf = (image: Uint8Array) =>
      walkPartition(image).entries.map(({ value: { type, subtype, data }, offset }) => [
        type,
        subtype,
        data.length,
        offset,
      ]);
    let compared = 0;
    for (const each of sharedCases("sign")) {
      // That tool lost the signature of the one, and put it first in the other.
      if (["sign_padded_lost", "sign_new_what_gets_flashed"].includes(each.name)) continue;
      if (each.args === undefined || each.expect_error) continue;
      const { world, outcome } = await runCase(each);
      assertEquals(outcome.code, 0, `${each.name}: ${outcome.stderr}`);
      const signed = world.bytes(SIGNED);
      assertEquals(shapeOf(signed), shapeOf(expected(each.name)), each.name);
      const { stdout } = await world.run("verify", SIGNED, "--json");
      assertEquals(stdout.includes("BAD_SIGNATURE") || stdout.includes("BAD_INTEGRITY"), false);
      compared++;
    }
    assertEquals(compared, 5);
  },
);

sharedTest("--signing-scheme must be that of the keys; without it theirs is taken", async () => {
  const world = worldWith(KEYS[0]!);
  world.put("base.bin", base());
  const flags = ["configure", "--secure-sign", "--signing-key-file", KEYS[0]!];
  const more = ["--esp-secure-cert-file", "base.bin", "--skip_flash"];
  const wrong = await world.run(...flags, ...more, "--signing-scheme", "rsa3072");
  assertEquals([wrong.code, world.files.has(SIGNED)], [1, false]);
  assertEquals((await world.run(...flags, ...more)).code, 0);
});

sharedTest("a padded or marked image is signed where its chain ends", async () => {
  const tails = [new Uint8Array(64).fill(0xFF), new Uint8Array([0xFF, 0xFF, 0, 0])];
  for (const tail of tails) {
    const world = worldWith(KEYS[0]!);
    world.put("base.bin", new Uint8Array([...base(), ...tail]));
    const flags = ["--secure-sign", "--signing-key-file", KEYS[0]!];
    const more = ["--esp-secure-cert-file", "base.bin", "--skip_flash"];
    const { code, stderr } = await world.run("configure", ...flags, ...more);
    assertEquals(code, 0, stderr);
    assertEquals(types(world.bytes(SIGNED)), [51, 9, 8, 9]);
  }
});

sharedTest(
  "four keys, mixed kinds, small keys, bad, signed and empty images are refused",
  async () => {
    const damaged = base();
    damaged[12]! ^= 1;
    const signed = shared("generated/sign_ecdsa256_3key/expected.bin");
    const cases: readonly (readonly [readonly string[], Uint8Array])[] = [
      [[...KEYS, "sign_ecdsa256_4.pem"], base()],
      [[KEYS[0]!, "sign_rsa3072_1.pem"], base()],
      [["rsa2048.pkcs8.pem"], base()],
      [[KEYS[0]!], damaged],
      [[KEYS[0]!], signed],
      [[KEYS[0]!], new Uint8Array()],
    ];
    for (const [keys, image] of cases) {
      const world = worldWith(...keys);
      world.put("base.bin", image);
      const flags = ["--secure-sign", "--signing-key-file", ...keys];
      const more = ["--esp-secure-cert-file", "base.bin", "--skip_flash"];
      const { code } = await world.run("configure", ...flags, ...more);
      assertEquals([code, world.files.has(SIGNED)], [1, false], keys.join(" "));
    }
  },
);

sharedTest("--pwd opens a protected signing key", async () => {
  const key = "ecp256.enc.pkcs8.pem";
  const world = worldWith(key);
  world.put("base.bin", base());
  const flags = ["configure", "--secure-sign", "--signing-key-file", key];
  const more = ["--esp-secure-cert-file", "base.bin", "--skip_flash"];
  for (const pwd of [[], ["--pwd", "wrong123"]]) {
    const { code, stderr } = await world.run(...flags, ...more, ...pwd);
    assertEquals([code, world.files.has(SIGNED)], [1, false], stderr);
    assertStringIncludes(stderr, "hint: give the password with --pwd");
    assertEquals([stderr.includes("--password-file"), stderr.includes("wrong123")], [false, false]);
  }
  const { code, stderr } = await world.run(...flags, ...more, "--pwd", "test1234");
  assertEquals([code, stderr.includes("--password-file")], [0, false], stderr);
  assertEquals(types(world.bytes(SIGNED)), [51, 9, 8, 9]);
});
