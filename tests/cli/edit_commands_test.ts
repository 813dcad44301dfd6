import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  decodePartition,
  exportPrivateKey,
  formatPem,
  generateKey,
  verifySignatures,
} from "../../mod.ts";
import { rsaKey } from "../rsa_keys.ts";
import { openssl, opensslTest } from "../vectors.ts";
import { MemoryWorld } from "./memory_io.ts";

const IMAGE = "d/esp_secure_cert.bin";

/** A provisioned device, its CA, and a signing key with its public half. */
async function provisioned(): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  await good(world, "provision", "--id", "dev-1", "-o", "d");
  await good(world, "keygen", "-o", "s.pem", "--public", "s.pub.pem");
  return world;
}

async function good(world: MemoryWorld, ...line: readonly string[]) {
  const outcome = await world.run(...line);
  assertEquals(outcome.code, 0, `${line.join(" ")}\n${outcome.stderr}`);
  return outcome;
}

const types = (world: MemoryWorld, path: string) =>
  decodePartition(world.bytes(path)).entries.map(({ type, subtype }) => `${type}.${subtype}`)
    .join(" ");

Deno.test("sign signs with one to three keys, and verify takes their public halves", async () => {
  const world = await provisioned();
  for (const [name, curve] of [["a", "P-192"], ["b", "P-192"], ["c", "P-192"]] as const) {
    const line = ["--curve", curve, "-o", `${name}.pem`, "--public", `${name}.pub`];
    await good(world, "keygen", ...line);
  }
  const keys = ["--key", "a.pem", "--key", "b.pem", "--key", "c.pem"];
  const { stderr } = await good(world, "sign", IMAGE, ...keys, "-o", "signed.bin");
  assertEquals(types(world, "signed.bin"), "0.0 1.0 2.0 9.0 8.0 8.1 8.2");
  assertEquals(world.files.get("signed.bin")?.secret, true);
  const signatures = await verifySignatures(world.bytes("signed.bin"));
  for (const { keyDigest } of signatures) assertStringIncludes(stderr, keyDigest!.toHex());
  await good(world, "verify", "signed.bin", "--signing-key", "a.pub", "--signing-key", "s.pub.pem");
  const other = await world.run("verify", "signed.bin", "--signing-key", "s.pub.pem");
  assertEquals(other.code, 1);
  assertStringIncludes(other.stdout, "the key is not a trusted one");
  assertStringIncludes(
    (await world.run("verify", IMAGE, "--signing-key", "a.pub")).stdout,
    "not signed",
  );
  const inspected = await good(world, "inspect", "signed.bin");
  assertStringIncludes(inspected.stdout, signatures[0]!.keyDigest!.toHex());
  const report = JSON.parse((await good(world, "inspect", "signed.bin", "--json")).stdout);
  assertEquals(Object.keys(report.entries[4].signature), [
    "version",
    "algorithm",
    "signedLength",
    "keyDigest",
  ]);
});

Deno.test("sign takes a key in any encoding", async () => {
  const world = await provisioned();
  for (const key of [await rsaKey(3072), await generateKey({ curve: "P-384" })]) {
    world.put("k.pub", formatPem("PUBLIC KEY", key.publicKey));
    for (const encoding of ["pkcs8", "traditional"] as const) {
      for (const form of ["pem", "der"] as const) {
        world.put("k", await exportPrivateKey(key, { encoding, form }));
        await good(world, "sign", IMAGE, "--key", "k", "-o", "x.bin", "--force");
        await good(world, "verify", "x.bin", "--signing-key", "k.pub");
      }
    }
  }
});

Deno.test("sign --json names every signature and its key's digest", async () => {
  const world = await provisioned();
  const { stdout } = await good(world, "sign", IMAGE, "--key", "s.pem", "-o", "x.bin", "--json");
  const { image, signatures } = JSON.parse(stdout);
  assertEquals(image, { path: "x.bin", size: world.bytes("x.bin").length });
  const [{ keyDigest, ...signature }] = signatures;
  const signedLength = world.bytes(IMAGE).length;
  assertEquals(signature, { subtype: 0, algorithm: "ecdsa256", signedLength });
  assertMatch(keyDigest, /^[0-9a-f]{64}$/);
});

Deno.test("an external signer learns what to sign, and its answer goes in", async () => {
  const world = await provisioned();
  const printed = (await good(world, "sign", IMAGE, "--digest")).stdout;
  for (
    const text of ["rsa3072: RSASSA-PSS", "salt of 32 bytes", "ecdsa192", "ecdsa384", "SHA-384"]
  ) {
    assertStringIncludes(printed, text);
  }
  const line = ["sign", IMAGE, "--digest", "--public-key", "s.pub.pem"];
  const json = JSON.parse((await good(world, ...line, "--json")).stdout).digest;
  assertEquals(json.schemes.length, 1);
  const { algorithm, hash, digest } = json.schemes[0];
  assertEquals([algorithm, hash, json.signedLength], [
    "ecdsa256",
    "SHA-256",
    world.bytes(IMAGE).length,
  ]);
  await good(world, ...line, "-o", "digest.bin");
  assertEquals(world.bytes("digest.bin").toHex(), digest);
  assertEquals((await good(world, ...line, "-o", "-")).bytes.toHex(), digest);
  const made = new Uint8Array(await crypto.subtle.digest("SHA-256", world.bytes(IMAGE).slice()));
  assertEquals(made.toHex(), digest);
  world.put("bad.sig", new Uint8Array(64));
  const bad = ["sign", IMAGE, "--signature", "bad.sig", "--public-key", "s.pub.pem", "-o", "x.bin"];
  const { code, stderr } = await world.run(...bad);
  assertEquals([code, world.files.has("x.bin")], [1, false]);
  assertStringIncludes(stderr, "signature 0 is not one of this image by its key");
  assertStringIncludes(stderr, "hint: sign what --digest prints");
});

opensslTest("what openssl signs of the digest goes in, for every scheme", async () => {
  const world = await provisioned();
  const folder = await Deno.makeTempDir();
  const schemes = [
    [["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"], "sha256", [
      "rsa_padding_mode:pss",
      "rsa_pss_saltlen:32",
    ]],
    [["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-192"], "sha256", []],
    [["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "sha256", []],
    [["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], "sha384", []],
  ] as const;
  try {
    for (const [index, [kind, hash, options]] of schemes.entries()) {
      const key = `${folder}/key`;
      await openssl(["genpkey", ...kind, "-out", key]);
      world.put("pub", await openssl(["pkey", "-in", key, "-pubout"]));
      const line = ["sign", IMAGE, "--digest", "--public-key", "pub", "-o", "-"];
      await Deno.writeFile(`${folder}/digest`, (await good(world, ...line)).bytes);
      const sign = ["pkeyutl", "-sign", "-inkey", key, "-in", `${folder}/digest`];
      const pkeyopts = [`digest:${hash}`, ...options].flatMap((each) => ["-pkeyopt", each]);
      world.put("sig", await openssl([...sign, ...pkeyopts]));
      const out = `signed${index}.bin`;
      await good(world, "sign", IMAGE, "--signature", "sig", "--public-key", "pub", "-o", out);
      await good(world, "verify", out, "--signing-key", "pub");
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("append adds, replaces and closes, and keeps the rest", async () => {
  const world = await provisioned();
  const add = ["append", IMAGE, "--data", "user1=string:SN-1"];
  await good(world, ...add, "-o", "a.bin");
  assertEquals(types(world, "a.bin"), "0.0 1.0 2.0 51.0 9.0");
  assertEquals((await good(world, "verify", "a.bin")).code, 0);
  await good(world, "append", "a.bin", "--integrity", "-o", "b.bin");
  assertEquals(types(world, "b.bin"), "0.0 1.0 2.0 51.0 9.0 9.1");
  const again = await world.run("append", "a.bin", "--data", "user1=string:SN-2", "-o", "c.bin");
  assertEquals(again.code, 1);
  assertStringIncludes(again.stderr, "there is a user data 1 already");
  await good(world, "append", "a.bin", "--replace", "user1=string:SN-2", "-o", "c.bin");
  const { stdout } = await good(world, "inspect", "c.bin");
  assertStringIncludes(stdout, "SN-2");
  const json = JSON.parse((await good(world, ...add, "-o", "e.bin", "--json")).stdout);
  assertEquals(Object.keys(json.image), ["path", "size", "ok", "findings"]);
});

Deno.test("one certificate is replaced with one command, one that does not fit is not", async () => {
  const world = await provisioned();
  const ca = ["--ca", "ca/ca.pem", "--ca-key", "ca/ca.key.pem", "--subject", "CN=dev-1"];
  await good(world, "issue", "--key", "d/device.key.pem", ...ca, "--days", "30", "-o", "new.pem");
  await good(world, "issue", "--key", "s.pem", ...ca, "-o", "wrong.pem");
  await good(world, "append", IMAGE, "--replace", "dev=file:new.pem", "-o", "new.bin");
  await good(world, "verify", "new.bin", "--ca", "ca/ca.pem");
  const wrong = ["append", IMAGE, "--replace", "dev=file:wrong.pem", "-o", "wrong.bin"];
  const { code, stderr } = await world.run(...wrong);
  assertEquals([code, world.files.has("wrong.bin")], [1, false]);
  assertStringIncludes(stderr, "KEY_MISMATCH");
  await good(world, ...wrong, "--no-verify");
  const difference = await world.run("diff", IMAGE, "new.bin");
  assertEquals(difference.code, 1);
  assertStringIncludes(difference.stdout, "~ device certificate");
  assertMatch(difference.stdout, /certificate\.notAfter: \S+ → \S+/);
  const json = JSON.parse((await world.run("diff", IMAGE, "new.bin", "--json")).stdout);
  assertEquals(Object.keys(json), ["same", "layout", "entries"]);
  assertEquals(Object.keys(json.entries[0]), [
    "change",
    "type",
    "typeName",
    "subtype",
    "a",
    "b",
    "fields",
  ]);
  assertEquals((await good(world, "diff", IMAGE, IMAGE)).stdout, "no difference");
});

Deno.test("a signed image takes no entry until its signatures are dropped", async () => {
  const world = await provisioned();
  await good(world, "sign", IMAGE, "--key", "s.pem", "-o", "signed.bin");
  const line = ["append", "signed.bin", "--data", "user1=string:x", "-o", "more.bin"];
  const { code, stderr } = await world.run(...line);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "the signature would not cover what is added");
  assertStringIncludes(stderr, "--drop-signatures");
  await good(world, ...line, "--drop-signatures");
  await good(world, "sign", "more.bin", "--key", "s.pem", "-o", "again.bin");
  await good(world, "verify", "again.bin", "--signing-key", "s.pub.pem");
});

Deno.test("diff shows moved, added and removed entries, in text without secrets", async () => {
  const world = await provisioned();
  await good(world, "provision", "--id", "dev-2", "-o", "e");
  const { stdout } = await world.run("diff", IMAGE, "e/esp_secure_cert.bin");
  for (const text of ["~ device certificate", "~ private key", "CN=dev-1 → CN=dev-2"]) {
    assertStringIncludes(stdout, text);
  }
  assertEquals(stdout.includes("PRIVATE KEY"), false);
  world.put("erased", new Uint8Array(64).fill(0xFF));
  assertStringIncludes((await world.run("diff", "erased", IMAGE)).stdout, "+ private key");
  assertStringIncludes((await world.run("diff", IMAGE, "erased")).stdout, "- private key");
  const no = await world.run("diff", IMAGE, "s.pem");
  assertEquals([no.code, no.stdout], [1, ""]);
  assertStringIncludes(no.stderr, "the second file is not an image");
});

Deno.test("wrong command lines of sign, append and diff end with 2", async () => {
  const world = await provisioned();
  const lines: readonly (readonly [readonly string[], string])[] = [
    [["sign", IMAGE], "sign needs --key, --digest, or --signature"],
    [["sign", IMAGE, "--key", "s.pem"], "sign needs --out"],
    [["sign", IMAGE, "--key", "s.pem", "--digest"], "sign needs --key, --digest, or"],
    [["sign", IMAGE, "--signature", "x", "-o", "y"], "each --signature needs its --public-key"],
    [["sign", IMAGE, "--key", "s.pem", "--public-key", "x", "-o", "y"], "does not go with --key"],
    [["sign", IMAGE, ...Array(4).fill("--key=s.pem"), "-o", "y"], "more than three times"],
    [["sign", IMAGE, "--digest", "-o", "y"], "give --public-key"],
    [["append", IMAGE, "-o", "y"], "append needs --data or --replace"],
    [["append", IMAGE, "--replace", "dev=x", "-o", "y"], "--replace is TYPE"],
    [["diff", IMAGE], "diff needs B"],
  ];
  for (const [line, text] of lines) {
    const { code, stderr } = await world.run(...line);
    assertEquals(code, 2, line.join(" "));
    assertStringIncludes(stderr, text);
  }
});

opensslTest("who is at the terminal is asked for a password, when a key needs one", async () => {
  const world = await provisioned();
  const protect = (key: string) =>
    openssl(["pkcs8", "-topk8", "-passout", "pass:secret word"], world.bytes(key));
  world.put("enc.pem", await protect("s.pem"));
  world.put("ca/ca.key.pem", await protect("ca/ca.key.pem"));
  world.put("dev.pem", await protect("d/device.key.pem"));
  const build = ["--ca-cert", "ca/ca.pem", "--device-cert", "d/device.pem"];
  const lines: readonly (readonly [readonly string[], string])[] = [
    [["sign", IMAGE, "--key", "enc.pem", "-o", "signed.bin"], "enc.pem"],
    [["csr", "--key", "enc.pem", "--subject", "CN=x"], "enc.pem"],
    [["provision", "--id", "e", "-o", "e"], "ca/ca.key.pem"],
    [["build", ...build, "--private-key", "dev.pem", "-o", "b.bin"], "dev.pem"],
    [["append", IMAGE, "--replace", "2=file:dev.pem", "-o", "c.bin"], "the private key"],
  ];
  for (const [line, name] of lines) {
    delete world.answer;
    const unanswered = await world.run(...line);
    assertEquals(unanswered.code, 1);
    assertStringIncludes(unanswered.stderr, "--password-file");
    world.answer = "secret word";
    await good(world, ...line);
    assertEquals(world.questions.splice(0), [`password of ${name}:`]);
  }
  world.answer = "wrong";
  const wrong = await world.run("sign", IMAGE, "--key", "enc.pem", "-o", "w.bin");
  assertStringIncludes(wrong.stderr, "wrong password");
  assertEquals(wrong.stderr.includes("secret word"), false);
  world.questions.length = 0;
  world.put("p.txt", "secret word\n");
  const file = ["--password-file", "p.txt"];
  await good(world, "sign", IMAGE, "--key", "enc.pem", ...file, "-o", "f.bin");
  await good(world, "sign", IMAGE, "--key", "s.pem", "-o", "g.bin");
  assertEquals(world.questions, []);
});

Deno.test("keygen --public writes the public half beside the private one", async () => {
  const world = new MemoryWorld();
  await good(world, "keygen", "-o", "a.pem", "--public", "a.pub");
  const text = new TextDecoder().decode(world.bytes("a.pub"));
  assertMatch(text, /^-----BEGIN PUBLIC KEY-----\n/);
  assertEquals([world.files.get("a.pem")?.secret, world.files.get("a.pub")?.secret ?? false], [
    true,
    false,
  ]);
  world.files.delete("a.pem");
  const again = await world.run("keygen", "-o", "a.pem", "--public", "a.pub");
  assertEquals([again.code, world.files.has("a.pem")], [1, false]);
});
