/** What the commands print of the way onto a board. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { encodePartitionTable, parsePartitionCsv } from "../../mod.ts";
import { MemoryWorld } from "./memory_io.ts";

const TABLE = `nvs, data, nvs, 0x9000, 0x4000,
esp_secure_cert, 0x3F, , 0x12000, 0x2000, encrypted
esp_secure_cert2, data, nvs, 0x14000, 0x3000,
factory, app, factory, , 1M,
`;
const PROVISION: readonly string[] = ["provision", "--id", "a", "--chip", "esp32c3", "-o", "d"];
const FILES = ["--device-cert", "d/device.pem", "--ca-cert", "ca/ca.pem"] as const;
const BUILD = ["build", ...FILES, "--private-key", "d/device.key.pem"] as const;

/** The steps of what a command printed: number and first word of each. */
const titles = (stderr: string) =>
  [...stderr.matchAll(/^ {2}([0-9])\. ([a-z ]+)[:,]/gm)].map(([, number, title]) =>
    `${number} ${title}`
  );
const STEPS = ["1 table", "2 flash", "3 burn", "4 read back", "5 verify", "6 handshake"];

Deno.test("provision, build and configure print the same steps", async () => {
  const world = new MemoryWorld();
  const provisioned = await world.run(...PROVISION);
  const built = await world.run(...BUILD, "-o", "b.bin");
  const configure = [...FILES, "--private-key", "d/device.key.pem", "--skip_flash"];
  const configured = await world.run("configure", "--target_chip", "esp32c3", ...configure);
  for (const { code, stderr } of [provisioned, built, configured]) {
    assertEquals([code, titles(stderr)], [0, STEPS], stderr);
    for (const line of stderr.split("\n").filter((line) => !line.startsWith("       "))) {
      assertEquals(line.length < 100, true, line);
    }
  }
  assertStringIncludes(provisioned.stderr, "nvs, data, nvs, 0x9000, 0x4000,");
  assertStringIncludes(built.stderr, "  esptool write-flash 0xD000 b.bin\n");
  assertStringIncludes(built.stderr, "  esptool write-flash --encrypt 0xD000 b.bin\n");
  assertStringIncludes(built.stderr, "for 4: esptool.py write_flash");
  assertMatch(configured.stderr, /esptool\.py --chip esp32c3 -p <PORT> write_flash 0xD000 /);
  assertEquals(/esptool |espefuse /.test(configured.stderr.replace("(esptool 4,", "")), false);
  const both = await world.run(...BUILD, "-o", "c.bin", "--json");
  assertEquals(titles(both.stderr), []);
});

Deno.test("--table says where an image is flashed, and whether encrypted", async () => {
  const world = new MemoryWorld();
  await world.run(...PROVISION);
  world.put("table.csv", TABLE);
  world.put("table.bin", encodePartitionTable(parsePartitionCsv(TABLE)));
  world.put("plain.csv", TABLE.replace(" encrypted", ""));
  for (const table of ["table.csv", "table.bin"]) {
    const { code, stderr } = await world.run(...BUILD, "--table", table, "-o", `${table}.out`);
    assertEquals([code, titles(stderr)], [0, STEPS], stderr);
    assertStringIncludes(stderr, `${table} has the row esp_secure_cert at 0x12000, 0x2000 bytes`);
    assertStringIncludes(stderr, `esptool write-flash --encrypt 0x12000 ${table}.out`);
    assertStringIncludes(stderr, "esptool read-flash 0x12000 0x2000 board.bin");
  }
  const plain = await world.run(...PROVISION.with(-1, "e"), "--table", "plain.csv");
  assertEquals(plain.stderr.includes("--encrypt"), false);
  assertStringIncludes(plain.stderr, "write-flash 0x12000 e/esp_secure_cert.bin");
});

Deno.test("a table without the partition, or without room, is an error, and nothing is written", async () => {
  const world = new MemoryWorld();
  await world.run(...PROVISION);
  world.put("table.csv", TABLE);
  world.put("small.csv", TABLE.replace("0x12000, 0x2000", "0x12000, 0x1000"));
  world.put("overlap.csv", TABLE.replace("0x12000", "0xC000"));
  world.put("text.csv", "nothing");
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [
      ["--table", "table.csv", "--format", "nvs"],
      /table\.csv has no partition esp_secure_cert of data, nvs/,
    ],
    [
      ["--table", "table.csv", "--format", "cust_flash_legacy"],
      /has no partition pre_prov of type 0x3F/,
    ],
    [["--table", "small.csv", "--fill"], /it has 8192 bytes, and its partition 4096/],
    [["--table", "text.csv"], /Cannot parse partition/],
    [["--table", "none.csv"], /none\.csv: no such file/],
  ];
  for (const [flags, message] of cases) {
    const { code, stderr } = await world.run(...BUILD, ...flags, "-o", "x.bin");
    assertEquals(code, 1, flags.join(" "));
    assertMatch(stderr, message);
    assertEquals(world.files.has("x.bin"), false);
  }
  const { code, stderr } = await world.run(...BUILD, "--table", "overlap.csv", "-o", "x.bin");
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, "ESP-IDF refuses overlap.csv");
});

Deno.test("the burn step has the command of the plan, and verify its key", async () => {
  const world = new MemoryWorld();
  const { stderr } = await world.run(...PROVISION, "--key-mode", "hmac-derived");
  const plan = JSON.parse(new TextDecoder().decode(world.bytes("d/efuse_plan.json")));
  assertStringIncludes(stderr, `  3. burn:\n       ${plan.command}\n`);
  assertStringIncludes(stderr, "verify board.bin --chip esp32c3 --hmac-key d/hmac_key.bin");
  assertMatch(plan.notes.at(-1), /espefuse 5; with version 4, write espefuse\.py and burn_key/);
});

Deno.test("the handshake has the flags for the key that is in an eFuse", async () => {
  const world = new MemoryWorld();
  world.program = "esp-secure-cert";
  const plain = await world.run(...PROVISION);
  assertStringIncludes(plain.stderr, "connect d/esp_secure_cert.bin HOST:8883\n");
  const modes = [
    ["hmac-derived", "esp32c3", "--hmac-key e/hmac_key.bin"],
    ["ecdsa-peripheral", "esp32h2", "--private-key KEY.pem"],
  ] as const;
  for (const [keyMode, chip, flag] of modes) {
    const line = ["provision", "--id", "a", "--chip", chip, "-o", "e", "--force-key"];
    const { stderr } = await world.run(...line, "--key-mode", keyMode);
    assertStringIncludes(stderr, `connect e/esp_secure_cert.bin HOST:8883 ${flag}\n`);
  }
});

Deno.test("rows that reach further move what follows", async () => {
  const world = new MemoryWorld();
  await world.run(...PROVISION);
  const { stderr } = await world.run(...BUILD, "--format", "cust_flash", "-o", "c.bin");
  assertStringIncludes(stderr, "esp_secure_cert, 0x3F, , 0xD000, 0x6000, encrypted");
  assertStringIncludes(stderr, "Rows after it move too");
  const legacy = await world.run(...BUILD, "--format", "nvs_legacy", "-o", "n.bin");
  assertStringIncludes(legacy.stderr, "pre_prov, data, nvs, 0xD000, 0x3000,\n");
  assertEquals(legacy.stderr.includes("--encrypt"), false);
});

Deno.test("verify is called as the program is, so that it works when it is pasted", async () => {
  const world = new MemoryWorld();
  const line = [...PROVISION, "--key-mode", "hmac-derived"];
  const flags = "verify board.bin --chip esp32c3 --hmac-key";
  const reads = "--allow-read=board.bin,d/hmac_key.bin";
  const script = await world.run(...line);
  assertStringIncludes(script.stderr, `deno run ${reads} \\\n`);
  assertStringIncludes(script.stderr, ` cli.ts ${flags} d/hmac_key.bin\n`);
  world.program = "esp-secure-cert";
  const installed = await world.run(...line.with(6, "e"));
  assertStringIncludes(installed.stderr, `       esp-secure-cert ${flags} e/hmac_key.bin\n`);
  assertEquals(installed.stderr.includes("deno run"), false);
  world.program = undefined;
  world.script = { deno: "npx --yes deno@2.9.6", path: "/a/b c/cli.ts" };
  const npx = await world.run(...line.with(6, "f,g"));
  assertStringIncludes(npx.stderr, "       npx --yes deno@2.9.6 run --allow-read \\\n");
  assertStringIncludes(npx.stderr, `'/a/b c/cli.ts' ${flags} f,g/hmac_key.bin`);
});

Deno.test("the steps fit a terminal of 80 columns, but for rows and commands", async () => {
  const world = new MemoryWorld();
  world.columns = 80;
  const { stderr } = await world.run(...PROVISION, "--key-mode", "hmac-derived");
  for (const line of stderr.slice(stderr.indexOf("next:")).split("\n")) {
    assertEquals(line.length <= 80 || line.startsWith("       "), true, line);
  }
});
