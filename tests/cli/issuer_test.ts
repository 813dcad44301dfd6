/** Every command says the same of a CA that did not issue the device certificate. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  createCa,
  exportPrivateKey,
  generateKey,
  issueCertificate,
  readCertificate,
} from "../../mod.ts";
import { formatPem } from "../../lib/bytes/pem.ts";
import { MemoryWorld } from "./memory_io.ts";

const CSV =
  `tlv_type,tlv_subtype,data_value,data_type,priv_key_type,algorithm,key_size,efuse_id,efuse_key
0,0,ca.pem,file,,,,,
1,0,dev.pem,file,,,,,
2,0,dev.key,file,plaintext,ECDSA,256,,
`;

/** A device whose certificate is from a cloud, and which stores a CA of some name. */
async function worldWith(subject: string): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  const [cloudKey, key] = [await generateKey(), await generateKey()];
  const cloud = await createCa({ subject: "CN=Cloud CA", key: cloudKey });
  const issuer = { certificate: cloud, key: cloudKey };
  const device = await issueCertificate({ issuer, publicKey: key, subject: "CN=d" });
  const stored = await createCa({ subject, key: await generateKey() });
  world.put("cloud.pem", cloud.pem);
  world.put("dev.pem", device.pem);
  world.put("ca.pem", stored.pem);
  world.put("dev.key", new TextDecoder().decode(await exportPrivateKey(key)));
  world.put("in.csv", CSV);
  return world;
}

const FILES = ["--device-cert", "dev.pem", "--ca-cert", "ca.pem", "--private-key", "dev.key"];

/** The ways to an image with that CA, each with the image that it starts from made before. */
const WAYS: Readonly<Record<string, readonly string[]>> = {
  "build": ["build", ...FILES, "-o", "out.bin", "--json"],
  "build from a CSV": ["build", "--csv", "in.csv", "-o", "out.bin", "--json"],
  "convert": ["convert", "before.bin", "--to", "cust_flash", "-o", "out.bin", "--json"],
  "append": [
    ...["append", "without.bin", "--data", "ca=file:ca.pem", "-o", "out.bin", "--json"],
  ],
  "configure": ["configure", "--skip_flash", ...FILES, "--json"],
};

async function before(world: MemoryWorld): Promise<void> {
  await world.run("build", ...FILES, "--no-verify", "-o", "before.bin");
  await world.run("build", ...FILES.toSpliced(2, 2), "-o", "without.bin");
}

type Listed = { readonly code: string; readonly severity: string }[];

function chainCodes(findings: Listed): string[] {
  return findings.filter(({ code }) => /^(CHAIN|CA_NOT)/.test(code)).map(({ code }) => code);
}

for (const [name, line] of Object.entries(WAYS)) {
  Deno.test(`${name}: the server's CA is a warning`, async () => {
    const world = await worldWith("CN=Server CA");
    await before(world);
    const { code, stdout, stderr } = await world.run(...line);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "CA_NOT_ISSUER");
    const report = JSON.parse(stdout);
    assertEquals(chainCodes(report.findings ?? report.image.findings), ["CA_NOT_ISSUER"]);
  });

  Deno.test(`${name}: a CA of the issuer's name and another key is an error`, async () => {
    const world = await worldWith("CN=Cloud CA");
    await before(world);
    const refused = await world.run(...line);
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, "CHAIN_BROKEN");
    const { code, stdout, stderr } = await world.run(...line, "--no-verify");
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "CHAIN_BROKEN");
    const report = JSON.parse(stdout);
    assertEquals(chainCodes(report.findings ?? report.image.findings), ["CHAIN_BROKEN"]);
  });
}

Deno.test("verify warns of the server's CA, and is silent when --ca names the issuer", async () => {
  const world = await worldWith("CN=Server CA");
  await before(world);
  const found = async (...flags: readonly string[]) => {
    const { code, stdout } = await world.run("verify", "before.bin", "--json", ...flags);
    return [code, chainCodes(JSON.parse(stdout).findings)];
  };
  assertEquals(await found(), [0, ["CA_NOT_ISSUER"]]);
  assertEquals(await found("--ca", "cloud.pem"), [0, []]);
  assertEquals(await found("--ca", "ca.pem"), [1, ["CHAIN_BROKEN"]]);
  const { code, stderr } = await world.run("build", ...FILES, "--ca", "cloud.pem", "-o", "o.bin");
  assertEquals([code, stderr.includes("CA_NOT_ISSUER")], [0, false]);
});

Deno.test("provision --ca-cert: the CA issues, the device stores the server's, and is never refused for it", async () => {
  for (const subject of ["CN=Server CA", "CN=Development CA,OU=NOT FOR PRODUCTION"]) {
    const world = await worldWith(subject);
    const line = ["provision", "--id", "d", "--ca", "pki", "--json"];
    const made = await world.run(...line, "--ca-cert", "ca.pem", "-o", "d");
    assertEquals(made.code, 0, made.stderr);
    assertEquals(made.stderr.split("CA_NOT_ISSUER").length, 2);
    assertEquals(chainCodes(JSON.parse(made.stdout).image.findings), ["CA_NOT_ISSUER"]);
    const extracted = await world.run("extract", "d/esp_secure_cert.bin", "-o", "x");
    assertEquals(extracted.code, 0);
    const bytes = (path: string) => world.files.get(path)?.bytes;
    assertEquals(bytes("x/contents/cacert_0_0.pem"), bytes("ca.pem"));
    const verified = await world.run("verify", "d/esp_secure_cert.bin", "--ca", "pki/ca.pem");
    assertEquals([verified.code, verified.stdout.includes("CA_NOT_ISSUER")], [0, false]);
    const own = await world.run(...line, "--ca-cert", "pki/ca.pem", "-o", "own");
    assertEquals(chainCodes(JSON.parse(own.stdout).image.findings), []);
    const usual = await world.run(...line, "-o", "usual");
    assertEquals(chainCodes(JSON.parse(usual.stdout).image.findings), []);
  }
});

Deno.test("verify prints what it did not check, with the flag to give", async () => {
  const world = new MemoryWorld();
  const modes = [
    ["hmac-derived", "esp32c3", "not checked: HMAC-derived private key, give --hmac-key"],
    ["ecdsa-peripheral", "esp32h2", "give --chip"],
  ] as const;
  for (const [keyMode, chip, note] of modes) {
    const made = ["--key-mode", keyMode, "--chip", chip, "-o", keyMode];
    await world.run("provision", "--id", "d", ...made);
    const image = `${keyMode}/esp_secure_cert.bin`;
    const { code, stdout } = await world.run("verify", image);
    assertEquals(code, 0);
    assertStringIncludes(stdout, note);
    const key = keyMode === "hmac-derived" ? ["--hmac-key", `${keyMode}/hmac_key.bin`] : [];
    const whole = await world.run("verify", image, ...key, "--chip", chip);
    assertEquals(whole.stdout.includes("give --"), false);
  }
});

Deno.test("issue refuses the weak key of a request, unless --allow-weak is given", async () => {
  const world = new MemoryWorld();
  await world.run("ca", "--subject", "CN=CA", "-o", "ca");
  const { rsaKey } = await import("../rsa_keys.ts");
  world.put("weak.key", new TextDecoder().decode(await exportPrivateKey(await rsaKey(1024))));
  await world.run("csr", "--key", "weak.key", "--subject", "CN=d", "-o", "d.csr");
  for (const source of [["--csr", "d.csr"], ["--key", "weak.key", "--subject", "CN=d"]]) {
    const line = ["issue", ...source, "--ca", "ca/ca.pem", "--ca-key", "ca/ca.key.pem"];
    const { code, stderr } = await world.run(...line, "-o", "d.pem");
    assertEquals([code, world.files.has("d.pem")], [1, false]);
    assertStringIncludes(stderr, "RSA-1024");
    assertStringIncludes(stderr, "--allow-weak");
    assertEquals((await world.run(...line, "--allow-weak", "-o", "-")).code, 0);
  }
});

Deno.test("issue certifies a public key, PEM or DER, that the device reads and that is not weak", async () => {
  const world = new MemoryWorld();
  await world.run("ca", "--subject", "CN=CA", "-o", "ca");
  const { rsaKey } = await import("../rsa_keys.ts");
  const { publicKey } = await generateKey();
  const weak = await rsaKey(1024);
  const offCurve = publicKey.with(-1, publicKey.at(-1)! ^ 1);
  const ca = ["--ca", "ca/ca.pem", "--ca-key", "ca/ca.key.pem"];
  const issue = (...flags: readonly string[]) =>
    world.run("issue", "--public-key", "k.pub", ...ca, "-o", "d.pem", ...flags);
  const subject = ["--subject", "CN=d", "--san", "dns:d.example"];
  for (const file of [publicKey, formatPem("PUBLIC KEY", publicKey)]) {
    world.put("k.pub", file);
    const { code, stderr } = await issue(...subject, "--force");
    assertEquals(code, 0, stderr);
    const certificate = readCertificate(world.bytes("d.pem"));
    assertEquals([certificate.subject, certificate.publicKey], ["CN=d", publicKey]);
  }
  world.files.delete("d.pem");
  const certificate = world.bytes("ca/ca.pem");
  const cases: readonly (readonly [Uint8Array | string, RegExp])[] = [
    [weak.publicKey, /the key is RSA-1024[^]*--allow-weak/],
    [offCurve, /k\.pub: Cannot certify public key: the device refuses it: point off its curve/],
    [exportPrivateKey(await generateKey()), /k\.pub: .*the file is a private key/],
    [certificate, /k\.pub: .*the file is a certificate/],
    [publicKey.subarray(0, 50), /k\.pub: .*need 91 bytes, have 50/],
    ["", /k\.pub: .*the file is empty/],
  ];
  for (const [file, message] of cases) {
    world.put("k.pub", file);
    const { code, stderr } = await issue(...subject);
    assertEquals([code, world.files.has("d.pem")], [1, false], stderr);
    assertMatch(stderr, message);
  }
  world.put("k.pub", publicKey);
  assertEquals((await issue()).code, 2, "without a subject");
  assertEquals((await issue(...subject, "--key", "k.pub")).code, 2, "two keys");
});
