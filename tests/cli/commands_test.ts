import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { loadCommands } from "../../lib/cli/commands.ts";
import { readCertificate } from "../../mod.ts";
import { readRequest } from "../../lib/crypto/x509/request.ts";
import { MemoryWorld } from "./memory_io.ts";
import { openssl, opensslTest } from "../vectors.ts";

const IMAGE = "d/esp_secure_cert.bin";

async function provisioned(...more: readonly string[]): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  const { code, stderr } = await world.run("provision", "--id", "dev-1", "-o", "d", ...more);
  assertEquals(code, 0, stderr);
  return world;
}

/** A CA, a device key and certificate in files. */
async function withFiles(): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  const lines = [
    ["ca", "--subject", "CN=Root,O=Example\\, Inc.", "-o", "ca"],
    ["keygen", "-o", "key.pem"],
    [
      "csr",
      "--key",
      "key.pem",
      "--subject",
      "CN=d",
      "--san",
      "dns:d.example,ip:192.0.2.1",
      "-o",
      "d.csr",
    ],
    ["issue", "--csr", "d.csr", "--ca", "ca/ca.pem", "--ca-key", "ca/ca.key.pem", "-o", "d.pem"],
  ];
  for (const line of lines) {
    const { code, stderr } = await world.run(...line);
    assertEquals(code, 0, stderr);
  }
  return world;
}

const BUILD = [
  "build",
  "--device-cert",
  "d.pem",
  "--ca-cert",
  "ca/ca.pem",
  "--private-key",
  "key.pem",
];

Deno.test("provision makes key, certificate and image, and verify finds them good", async () => {
  const world = await provisioned("--chip", "esp32c3");
  assertEquals([...world.files.keys()].sort(), [
    "ca/ca.key.pem",
    "ca/ca.pem",
    "d/device.key.pem",
    "d/device.pem",
    IMAGE,
  ]);
  const secrets = [...world.files.values()].filter(({ secret }) => secret).map(({ path }) => path)
    .sort();
  assertEquals(secrets, ["ca/ca.key.pem", "d/device.key.pem", IMAGE]);
  assertEquals((await world.run("verify", IMAGE, "--ca", "ca/ca.pem")).code, 0);
  assertEquals(readCertificate(world.bytes("d/device.pem")).subject, "CN=dev-1");
});

Deno.test("provision keeps the blanks of an id, and what would separate parts of a name", async () => {
  const world = new MemoryWorld();
  assertEquals((await world.run("provision", "--id", " a,O=b ", "-o", "d")).code, 0);
  assertEquals(readCertificate(world.bytes("d/device.pem")).subject, "CN=\\ a\\,O=b\\ ");
});

Deno.test("provision says when it makes a development CA, and reuses one", async () => {
  const world = new MemoryWorld();
  const first = await world.run("provision", "--id", "a", "-o", "a");
  assertStringIncludes(first.stderr, "development CA");
  assertStringIncludes(
    first.stderr,
    "esptool write-flash 0xD000 a/esp_secure_cert.bin",
  );
  assertStringIncludes(first.stderr, "esp_secure_cert, 0x3F, , 0xD000, 0x2000, encrypted");
  const ca = world.bytes("ca/ca.pem");
  const second = await world.run("provision", "--id", "b", "-o", "b");
  assertEquals(
    [second.code, second.stderr.includes("development CA in"), world.bytes("ca/ca.pem")],
    [0, false, ca],
  );
  const again = await world.run("provision", "--id", "a", "-o", "a");
  assertEquals(again.code, 1);
  world.files.delete("ca/ca.key.pem");
  assertStringIncludes(
    (await world.run("provision", "--id", "c", "-o", "c")).stderr,
    "ca/ca.key.pem is missing",
  );
});

Deno.test("key, request, certificate and image step by step", async () => {
  const world = await withFiles();
  const certificate = readCertificate(world.bytes("d.pem"));
  assertEquals(certificate.issuer, "CN=Root,O=Example\\, Inc.");
  assertEquals(certificate.sans, ["dns:d.example", "ip:192.0.2.1"]);
  assertEquals((await readRequest(world.bytes("d.csr"))).subject, "CN=d");
  const { code } = await world.run(
    ...BUILD,
    "--data",
    "user1=string:hello",
    "--data",
    "user2.1=hex:0011",
    "--fill",
    "-o",
    "i.bin",
  );
  assertEquals(code, 0);
  assertEquals(world.bytes("i.bin").length, 0x2000);
  const report = JSON.parse((await world.run("inspect", "i.bin", "--json")).stdout);
  assertEquals(report.entries.map((entry: { kind: string }) => entry.kind), [
    "certificate",
    "certificate",
    "privateKey",
    "userData",
    "userData",
    "integrity",
  ]);
  assertEquals(report.entries[3].userData, { text: "hello" });
  assertEquals([report.entries[4].subtype, report.entries[4].typeName], [
    1,
    "ESP_SECURE_CERT_USER_DATA_2",
  ]);
});

Deno.test("a bad image is not written, unless --no-verify is given", async () => {
  const world = await withFiles();
  await world.run("keygen", "-o", "other.pem");
  const wrong = BUILD.with(-1, "other.pem");
  const refused = await world.run(...wrong, "-o", "i.bin");
  assertEquals([refused.code, world.files.has("i.bin")], [1, false]);
  assertStringIncludes(refused.stderr, "KEY_MISMATCH");
  assertEquals((await world.run(...wrong, "-o", "i.bin", "--no-verify")).code, 0);
  assertEquals((await world.run("verify", "i.bin")).code, 1);
  assertEquals((await world.run("inspect", "i.bin")).code, 0);
});

Deno.test("an image that does not fit says by how much and names the largest entry", async () => {
  const world = await withFiles();
  const { code, stderr } = await world.run(...BUILD, "--size", "0x400", "-o", "i.bin");
  assertEquals([code, world.files.has("i.bin")], [1, false]);
  assertMatch(stderr, /\d+ more than its 1024; the largest entry is the device certificate/);
});

opensslTest("a key with a password needs its password file", async () => {
  const world = await withFiles();
  const protect = ["pkcs8", "-topk8", "-passout", "pass:secret word"];
  world.put("enc.pem", await openssl(protect, world.bytes("key.pem")));
  const build = BUILD.with(-1, "enc.pem");
  const without = await world.run(...build, "-o", "i.bin");
  assertEquals(without.code, 1);
  assertStringIncludes(without.stderr, "hint: give the password with --password-file");
  world.put("wrong.txt", "no");
  assertStringIncludes(
    (await world.run(...build, "--password-file", "wrong.txt", "-o", "i.bin")).stderr,
    "wrong password",
  );
  world.put("right.txt", "secret word\r\n");
  assertEquals((await world.run(...build, "--password-file", "right.txt", "-o", "i.bin")).code, 0);
});

Deno.test("--json is one document, for results and for errors", async () => {
  const world = await withFiles();
  const lines = [
    [["keygen", "-o", "k2.pem", "--json"], 0],
    [["ca", "--subject", "CN=x", "-o", "ca2", "--json"], 0],
    [["csr", "--key", "key.pem", "--subject", "CN=x", "-o", "x.csr", "--json"], 0],
    [[
      "issue",
      "--csr",
      "x.csr",
      "--ca",
      "ca/ca.pem",
      "--ca-key",
      "ca/ca.key.pem",
      "-o",
      "x.pem",
      "--json",
    ], 0],
    [[...BUILD, "-o", "j.bin", "--json"], 0],
    [["provision", "--id", "x", "-o", "x", "--json"], 0],
    [["inspect", "j.bin", "--json"], 0],
    [["verify", "j.bin", "--json"], 0],
    [["verify", "missing.bin", "--json"], 1],
    [["build", "--json"], 2],
    [["completions", "bash", "--json"], 0],
    [["completions", "tcsh", "--json"], 2],
    [["inspect", "--json", "--nonsense"], 2],
  ] as const;
  for (const [line, expected] of lines) {
    const { code, stdout } = await world.run(...line);
    assertEquals(code, expected, line.join(" "));
    const document = JSON.parse(stdout);
    assertEquals("error" in document, expected !== 0, line.join(" "));
    assertEquals(stdout.includes("PRIVATE"), false);
    // deno-lint-ignore no-control-regex
    assertEquals(/\x1b/.test(stdout), false);
  }
});

Deno.test("the JSON of inspect and verify has the documented members", async () => {
  const world = await provisioned();
  const report = JSON.parse((await world.run("inspect", IMAGE, "--json")).stdout);
  assertEquals(Object.keys(report), [
    "format",
    "size",
    "used",
    "entries",
    "credentials",
    "findings",
  ]);
  assertEquals(Object.keys(report.entries[1]), [
    "offset",
    "type",
    "typeName",
    "subtype",
    "flags",
    "length",
    "crc",
    "sha256",
    "kind",
    "certificate",
  ]);
  assertMatch(report.entries[1].crc.stored, /^0x[0-9a-f]{8}$/);
  assertEquals(Object.keys(report.entries[1].certificate), [
    "subject",
    "issuer",
    "serial",
    "notBefore",
    "notAfter",
    "key",
    "sans",
  ]);
  assertEquals(report.credentials, {
    deviceCert: true,
    caCert: true,
    keyMode: "plaintext",
    key: "P-256",
    efuseKeyId: null,
    efuseBlock: null,
  });
  const verdict = JSON.parse((await world.run("verify", IMAGE, "--json")).stdout);
  assertEquals(Object.keys(verdict), ["ok", "complete", "format", "checks", "findings"]);
  assertEquals(Object.keys(verdict.findings[0]), ["severity", "code", "message", "place"]);
});

Deno.test("wrong command lines end with 2 and one clear line", async () => {
  const world = await withFiles();
  const lines: readonly (readonly [readonly string[], string])[] = [
    [["nonsense"], 'unknown command "nonsense"'],
    [["build", "--nonsense"], "build knows no --nonsense"],
    [["build", "-x"], "build knows no -x"],
    [["keygen"], "keygen needs --out"],
    [["keygen", "-o"], "--out needs a value: FILE"],
    [["keygen", "-o", "--force"], "--out needs a value: FILE"],
    [["keygen", "--out="], "--out needs a value: FILE"],
    [["keygen", "-o", "a", "--out", "b"], "--out is given twice"],
    [["keygen", "-o", "a", "--force", "--force"], "--force is given twice"],
    [["keygen", "-o", "a", "--force=yes"], "--force takes no value"],
    [["keygen", "-o", "a", "--curve", "P-999"], "--curve is P-256, P-384, P-192"],
    [["keygen", "-o", "a", "--bits", "2048"], "--bits does not go with --type ec"],
    [["keygen", "-o", "a", "b"], 'keygen does not take "b"'],
    [["inspect"], "inspect needs IMAGE"],
    [["inspect", "a", "--offset", "12x"], "--offset is not a number"],
    [["verify", "a", "--now", "tomorrow"], "--now is a date"],
    [["issue", "--ca", "a", "--ca-key", "b"], "issue needs --csr, or --key"],
    [["ca", "--subject", "CN=a", "-o", "c", "--issuer", "ca/ca.pem"], "--issuer-key is missing"],
    [["build", "--data", "user9=string:x", "-o", "a"], 'unknown entry type "user9"'],
    [["build", "--data", "user1=x", "-o", "a"], "--data is TYPE"],
    [["build", "-o", "-", "--json"], "--json and the output cannot both go to stdout"],
    [["completions", "tcsh"], "SHELL is bash, zsh, fish"],
  ];
  for (const [line, text] of lines) {
    const { code, stderr, stdout } = await world.run(...line);
    assertEquals([code, stdout !== ""], [2, line.includes("--json")], line.join(" "));
    assertStringIncludes(stderr.split("\n")[0]!, `error: `);
    assertStringIncludes(stderr, text);
  }
});

Deno.test("wrong input ends with 1 and one clear line", async () => {
  const world = await withFiles();
  world.put("empty", "");
  world.put("text", "hello");
  const lines: readonly (readonly [readonly string[], string])[] = [
    [BUILD.with(2, "empty"), "device certificate: Cannot decode certificate"],
    [BUILD.with(-1, "text"), "private key: Cannot decode private key"],
    [
      BUILD.with(2, "key.pem"),
      "device certificate: Cannot decode certificate: the file is a private key",
    ],
    [
      ["csr", "--key", "d.pem", "--subject", "CN=x"],
      "the file is a certificate; give the private key",
    ],
    [["csr", "--key", "key.pem", "--subject", "nonsense"], "Cannot encode name"],
    [["issue", "--csr", "d.csr", "--ca", "d.pem", "--ca-key", "key.pem"], "not a CA's"],
    [["build", "--data", "user1=hex:0", "-o", "a"], "odd number of digits"],
  ];
  for (const [line, text] of lines) {
    const { code, stderr, stdout } = await world.run(
      ...line,
      ...(line[0] === "build" && !line.includes("-o") ? ["-o", "x"] : []),
    );
    assertEquals([code, stdout], [1, ""], line.join(" "));
    assertStringIncludes(stderr, text);
    assertEquals(stderr.includes("-----BEGIN"), false);
  }
});

Deno.test("inspect answers whatever it is given", async () => {
  const world = await provisioned();
  const image = world.bytes(IMAGE);
  const inputs: readonly (readonly [Uint8Array, string, number])[] = [
    [new Uint8Array(), "the file is empty", 1],
    [new Uint8Array(8192).fill(0xFF), "erased flash", 1],
    [crypto.getRandomValues(new Uint8Array(8192)), "encrypted", 1],
    [crypto.getRandomValues(new Uint8Array(100)), "no format that the firmware reads", 1],
    [world.bytes("ca/ca.pem"), "certificate: CN=Development CA", 0],
    [new TextEncoder().encode("-----BEGIN X-----"), "looks like a PEM file", 1],
    [image.slice(0, 700), "TRUNCATED", 0],
  ];
  for (const [bytes, text, expected] of inputs) {
    world.stdin = bytes.slice();
    const { code, stdout } = await world.run("inspect", "-");
    assertStringIncludes(stdout, text);
    assertEquals(code, expected, text);
  }
  world.put("dump", new Uint8Array([...new Uint8Array(16), ...image]));
  assertEquals((await world.run("inspect", "dump", "--offset", "0x10")).code, 0);
});

Deno.test("no secret is printed unless it is asked for", async () => {
  const world = await provisioned();
  const body = new TextDecoder().decode(world.bytes("d/device.key.pem")).split("\n")[1]!;
  for (const line of [["inspect", IMAGE], ["verify", IMAGE], ["inspect", IMAGE, "--json"]]) {
    const { stdout, stderr } = await world.run(...line);
    assertEquals((stdout + stderr).includes(body), false);
    assertEquals((stdout + stderr).includes("PRIVATE KEY"), false);
  }
  assertStringIncludes(
    (await world.run("inspect", IMAGE, "--show-secrets")).stdout,
    "BEGIN EC PRIVATE KEY",
  );
});

Deno.test("binary and keys are not written to a terminal, and go into a pipe", async () => {
  const world = await withFiles();
  world.terminal = true;
  assertEquals((await world.run(...BUILD, "-o", "-")).code, 2);
  assertEquals((await world.run("keygen", "-o", "-")).code, 2);
  world.terminal = false;
  const { code, bytes } = await world.run(...BUILD, "-o", "-");
  assertEquals([code, bytes.subarray(0, 4)], [0, new Uint8Array([0x11, 0xBA, 0x5E, 0xBA])]);
});

Deno.test("the picture fits narrow terminals and takes colours only where wanted", async () => {
  const world = await provisioned();
  world.columns = 50;
  const narrow = (await world.run("inspect", IMAGE)).stdout;
  for (const line of narrow.split("\n").filter((each) => /offset|0x|at 0x/.test(each))) {
    assert(line.length <= 72, line);
  }
  // deno-lint-ignore no-control-regex
  const escape = /\x1b\[/;
  assertEquals(escape.test(narrow), false);
  assertEquals(escape.test((await world.run("inspect", IMAGE, "--color", "always")).stdout), true);
  world.terminal = true;
  assertEquals(escape.test((await world.run("inspect", IMAGE)).stdout), true);
  assertEquals(escape.test((await world.run("inspect", IMAGE, "--color", "never")).stdout), false);
});

Deno.test("every command has its help, and help touches nothing", async () => {
  const world = new MemoryWorld();
  assertStringIncludes((await world.run("--help")).stdout, "Commands:");
  assertMatch((await world.run("--version")).stdout, /^\d+\.\d+\.\d+$/);
  for (const { name } of await loadCommands()) {
    const { code, stdout } = await world.run(name, "--help");
    assertEquals(code, 0);
    for (const part of ["Usage: deno run", "Exit codes:", "Example"]) {
      assertStringIncludes(stdout, part);
    }
    for (const line of stdout.split("\n")) assert(line.length <= 120, line);
  }
  assertEquals(world.files.size, 0);
});

Deno.test("completions name every command and flag", async () => {
  const world = new MemoryWorld();
  for (const shell of ["bash", "zsh", "fish"]) {
    const { stdout } = await world.run("completions", shell);
    for (const { name, flags } of await loadCommands()) {
      for (const word of name.split(" ")) assertStringIncludes(stdout, word);
      for (const flag of flags) assertStringIncludes(stdout, flag.name);
    }
  }
});
