import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { shared, sharedTest, vector } from "../vectors.ts";
import { MemoryWorld, type Outcome } from "./memory_io.ts";

/** A world with the files of a report. */
function worldOf(name: string): MemoryWorld {
  const world = new MemoryWorld();
  const folder = new URL(`../vectors/reports/${name}/`, import.meta.url);
  for (const { name: file } of Deno.readDirSync(folder)) {
    world.put(file, vector(`reports/${name}/${file}`));
  }
  return world;
}

function run(world: MemoryWorld, line: string): Promise<Outcome> {
  return world.run(...line.split(" "));
}

/** What a command says, on one line, without the secret of the report. */
function said({ stdout, stderr }: Outcome): string {
  const text = `${stdout}\n${stderr}`;
  assert(!text.includes("-----BEGIN "), "a message quotes PEM");
  return text.replace(/\s+/g, " ");
}

const BUILD = "build -o out.bin --force";

/** What people gave, whether it is taken, and what is said. */
const BUILDS: readonly (readonly [
  report: string,
  flags: string,
  code: number,
  words: readonly string[],
])[] = [
  ["aws-server-ca", "--device-cert rsa.pem --ca-cert AmazonLike.pem --private-key rsa.key", 0, [
    "CA_NOT_ISSUER",
  ]],
  ["cert-compressed-spki", "--device-cert d.pem --ca-cert d.pem --private-key dev.key", 0, []],
  ["cert-universalstring", "--device-cert d.der --ca-cert ca.pem --private-key dev.key", 0, []],
  ["key-jwk", "--device-cert dev.pem --private-key k.json", 1, ["JSON Web Key: d has 3 bytes"]],
  ["key-aws-json", "--device-cert aws.json --private-key aws.json", 1, [
    "jq -r .certificatePem FILE",
    "jq -r .keyPair.PrivateKey FILE",
  ]],
  ["key-ec-explicit-params", "--device-cert d.pem --private-key k.pem", 1, [
    "the device refuses the device certificate",
    "explicit curve parameters",
  ]],
  ["key-ec-explicit-params", "--private-key k.pem", 0, []],
  ["key-openssh", "--device-cert dev.pem --private-key k.ssh", 1, [
    "OpenSSH private key",
    "ssh-keygen -p -m PEM",
  ]],
  ["key-pkcs8-scrypt", "--device-cert dev.pem --private-key k.pem --password-file pw", 0, []],
  ["key-rsa-3-primes", "--device-cert d.pem --private-key k.pem", 1, ["has three primes"]],
  ["key-rsa-e-large", "--device-cert d.pem --private-key k.pem", 0, []],
  ...["1099511627777", "17", "2147483649", "4294967297", "65539"].map((e) =>
    ["key-rsa-e-large", `--device-cert d_${e}.pem --private-key k_${e}.pem`, 0, []] as const
  ),
  ["pem-base64-leftover-bits", "--device-cert d.pem --ca-cert ca.pem --private-key dev.key", 0, []],
  ["pem-utf16", "--device-cert dev16.pem --ca-cert ca.pem --private-key key16.pem", 0, []],
  ["pkcs12-pfx", "--device-cert dev.pfx --private-key dev.pfx", 1, [
    "PKCS#12 container",
    "openssl pkcs12 -in FILE -clcerts -nokeys",
    "openssl pkcs12 -in FILE -nocerts -nodes",
  ]],
  ["pkcs12-pfx", "--device-cert dev.pem --private-key legacy.pfx", 1, ["PKCS#12 container"]],
  ["pkcs7-p7b", "--device-cert chain.p7b --private-key dev.key", 1, ["openssl pkcs7 -in FILE"]],
  ["pkcs7-p7b", "--device-cert chain.der.p7b --private-key dev.key", 1, [
    "openssl pkcs7 -inform DER -in FILE",
  ]],
  ["sig-sha224", "--device-cert d.pem --ca-cert ca.pem --private-key dev.key", 0, []],
  ["csv-excel-semicolon", "--csv in.csv", 0, []],
];

for (const [report, flags, code, words] of BUILDS) {
  Deno.test(`the report ${report}: build ${flags}`, async () => {
    const outcome = await run(worldOf(report), `${BUILD} ${flags}`);
    const text = said(outcome);
    assertEquals(outcome.code, code, text);
    for (const word of words) assertStringIncludes(text, word);
  });
}

Deno.test("the report csr-p384-sha1: the request is taken", async () => {
  const line = "issue --ca ca.pem --ca-key ca.key --days 30 -o out.pem --csr r.csr";
  assertEquals((await run(worldOf("csr-p384-sha1"), line)).code, 0);
});

Deno.test("the report aws-server-ca: every command says the same", async () => {
  const world = worldOf("aws-server-ca");
  await run(
    world,
    `${BUILD} --device-cert rsa.pem --ca-cert AmazonLike.pem --private-key rsa.key`,
  );
  for (
    const line of [
      "verify out.bin",
      "inspect out.bin",
      "convert out.bin --to cust_flash -o cf.bin",
      "verify cf.bin",
      "append out.bin --data user1=string:x -o more.bin",
    ]
  ) {
    const outcome = await run(world, line);
    assertEquals(outcome.code, 0, line);
    assertStringIncludes(said(outcome), "CA_NOT_ISSUER", line);
  }
});

Deno.test("the report cert-universalstring: its name is text", async () => {
  const world = worldOf("cert-universalstring");
  await run(world, `${BUILD} --device-cert d.pem --ca-cert ca.pem --private-key dev.key`);
  assertStringIncludes(said(await run(world, "inspect out.bin")), "CN=uni ");
});

Deno.test("the report fctry-rainmaker: an NVS of another namespace is an NVS", async () => {
  const world = worldOf("fctry-rainmaker");
  for (const line of ["inspect fctry.bin", "verify fctry.bin"]) {
    const outcome = await run(world, line);
    assertEquals(outcome.code, 1);
    const text = said(outcome);
    assertStringIncludes(text, "an NVS partition");
    assertStringIncludes(text, "rmaker_creds");
    for (const wrong of ["esp_secure_cert image, nvs", "NO_KEY", "CONFIG_"]) {
      assert(!text.includes(wrong), wrong);
    }
  }
});

Deno.test("the report nvs-5910-binary-not-string: the type is the trouble", async () => {
  const world = worldOf("nvs-5910-binary-not-string");
  assertStringIncludes(said(await run(world, "inspect i.bin")), "NVS_TYPE");
  assertEquals((await run(world, "verify i.bin")).code, 1);
});

Deno.test("partition tables of reports are read as gen_esp32part reads them", async () => {
  const comment = await run(worldOf("part-docs-faq-esp-secure-cert"), "inspect p.csv");
  assertEquals(comment.code, 0);
  assertStringIncludes(comment.stdout, "the firmware reads esp_secure_cert");
  const order = await run(worldOf("part-out-of-order"), "inspect p.csv");
  assertEquals(order.code, 1);
  assertStringIncludes(order.stdout, "table out-of-order nvs");
  const world = worldOf("part-readonly-flag");
  const flags = await run(world, "inspect p.csv");
  assertEquals(flags.code, 0);
  assertStringIncludes(flags.stdout, "encrypted:readonly");
  const { stdout } = await run(world, "inspect p.csv --json");
  const { entries } = JSON.parse(stdout).partitionTable;
  assertEquals(
    entries.map(({ readonly }: { readonly: boolean }) => readonly),
    [true, false, true, false],
  );
});

Deno.test("the reports pkcs12-pfx, pkcs7-p7b and key-openssh: inspect names the format", async () => {
  for (
    const [report, file, words] of [
      ["pkcs12-pfx", "dev.pfx", "PKCS#12 container"],
      ["pkcs7-p7b", "chain.p7b", "PKCS#7 container"],
      ["key-openssh", "k.ssh", "OpenSSH private key"],
    ] as const
  ) {
    const outcome = await run(worldOf(report), `inspect ${file}`);
    assertEquals(outcome.code, 1);
    assertStringIncludes(said(outcome), words);
  }
});

sharedTest(
  "the report mgr-6-cust-flash-in-dump: found, and the garbled one explained",
  async () => {
    const world = new MemoryWorld();
    for (const file of ["flash.bin", "flash-garbled.bin"]) {
      world.put(file, shared(`reports/mgr-6-cust-flash-in-dump/${file}`));
    }
    const good = await run(world, "inspect flash.bin");
    assertEquals(good.code, 0);
    assertStringIncludes(said(good), "esp_secure_cert image, cust_flash");
    const garbled = said(await run(world, "inspect flash-garbled.bin"));
    assertStringIncludes(garbled, "BAD_CHECKSUM the device certificate has a wrong checksum");
  },
);
