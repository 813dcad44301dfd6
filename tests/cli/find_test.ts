import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { encodePartitionTable } from "../../mod.ts";
import { MemoryWorld } from "./memory_io.ts";

const OURS = { name: "esp_secure_cert", type: 0x3F, subtype: 6, offset: 0xD000, size: 0x2000 };
const NVS = { name: "nvs", type: 1, subtype: 2, offset: 0x9000, size: 0x4000 };

/** A provisioned image in a dump of flash. */
async function flashed(tableAt = 0x8000, entries = [NVS, OURS]): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  const { code, stderr } = await world.run("provision", "--id", "dev", "-o", "d");
  assertEquals(code, 0, stderr);
  const flash = new Uint8Array(0x40000).fill(0xFF);
  flash[0] = 0xE9;
  flash.set(encodePartitionTable(entries), tableAt);
  flash.set(world.bytes("d/esp_secure_cert.bin"), 0xD000);
  world.put("flash.bin", flash);
  world.put("table.bin", encodePartitionTable(entries));
  return world;
}

Deno.test("inspect and verify say where in a dump the image was found", async () => {
  const world = await flashed();
  const where =
    "found at 0xd000 through the partition table at 0x8000: esp_secure_cert (0x3f/0x6) at 0xd000, 0x2000 bytes";
  const inspected = await world.run("inspect", "flash.bin");
  assertEquals(inspected.code, 0);
  assertEquals(inspected.stdout.split("\n")[1], where);
  assertStringIncludes(inspected.stdout, "subject  CN=dev");
  const verified = await world.run("verify", "flash.bin", "--ca", "ca/ca.pem");
  assertEquals([verified.code, verified.stdout.split("\n")[0]], [0, where]);
  const plain = await world.run("inspect", "d/esp_secure_cert.bin");
  assertEquals(plain.stdout.includes("found at"), false);
});

Deno.test("inspect names the option that firmware needs for the older layouts", async () => {
  const world = await flashed();
  const option = "CONFIG_ESP_SECURE_CERT_SUPPORT_LEGACY_FORMATS";
  for (const [to, type, subtype] of [["cust_flash", 0x3F, 6], ["nvs", 1, 2]] as const) {
    const image = `${to}.bin`;
    await world.run("convert", "d/esp_secure_cert.bin", "--to", to, "-o", image);
    for (const [name, isRead] of [["esp_secure_cert", true], ["pre_prov", false]] as const) {
      const flash = world.bytes("flash.bin").slice().fill(0xFF, 0x8000);
      const entry = { name, type, subtype, offset: 0xD000, size: 0x6000 };
      flash.set(encodePartitionTable([entry]), 0x8000);
      flash.set(world.bytes(image), 0xD000);
      world.put("other.bin", flash);
      const { stdout } = await world.run("inspect", "other.bin");
      assertEquals(stdout.includes(`read by firmware with ${option}`), isRead, `${to} ${name}`);
      assertEquals(stdout.includes("WRONG_PARTITION"), !isRead, `${to} ${name}`);
      const { kconfig } = JSON.parse((await world.run("inspect", "other.bin", "--json")).stdout);
      assertEquals(kconfig, isRead ? option : undefined);
      assertEquals((await world.run("verify", "other.bin")).code, isRead ? 0 : 1);
    }
  }
  assertEquals((await world.run("inspect", "flash.bin")).stdout.includes("CONFIG_"), false);
});

Deno.test("--table-offset names another place of the table", async () => {
  const world = await flashed(0x7000);
  for (const command of ["inspect", "verify"]) {
    const scanned = await world.run(command, "flash.bin");
    assertEquals(scanned.code, 0);
    assertStringIncludes(scanned.stdout, "found at 0xd000 by its magic number");
    assertStringIncludes(scanned.stdout, "warning BAD_MAGIC");
    for (const offset of ["0x7000", "28672"]) {
      const { code, stdout } = await world.run(command, "flash.bin", "--table-offset", offset);
      assertEquals([code, stdout.includes("BAD_MAGIC")], [0, false]);
      assertStringIncludes(stdout, "through the partition table at 0x7000");
    }
    for (const wrong of ["-1", "x", "0x100000000"]) {
      const { code, stderr } = await world.run(command, "flash.bin", `--table-offset=${wrong}`);
      assertEquals(code, 2);
      assertMatch(stderr, /--table-offset is (not a number|a 32-bit number)/);
    }
  }
});

Deno.test("JSON has its documented members and the location after them", async () => {
  const world = await flashed();
  const documented = ["format", "size", "used", "entries", "credentials", "findings"];
  const plain = JSON.parse((await world.run("inspect", "d/esp_secure_cert.bin", "--json")).stdout);
  assertEquals(Object.keys(plain), documented);
  const report = JSON.parse((await world.run("inspect", "flash.bin", "--json")).stdout);
  assertEquals(Object.keys(report), [...documented, "location", "partitionTable"]);
  assertEquals(report.entries, plain.entries);
  const verdict = JSON.parse((await world.run("verify", "flash.bin", "--json")).stdout);
  assertEquals(Object.keys(verdict), [
    "ok",
    "complete",
    "format",
    "checks",
    "findings",
    "location",
  ]);
  assertEquals(verdict.location, report.location);
  assertEquals([verdict.location.offset, verdict.location.partition.size], [0xD000, 0x2000]);
});

Deno.test("a partition table is shown in columns, with where credentials are read from", async () => {
  const world = await flashed();
  const { code, stdout } = await world.run("inspect", "table.bin");
  assertEquals(code, 0);
  assertEquals(
    stdout,
    `partition table: 2 partitions

name             type  subtype  offset    size  flags
nvs              data  nvs      0x9000  0x4000
esp_secure_cert  0x3f  0x6      0xd000  0x2000

MD5 matches
the firmware reads esp_secure_cert (0x3f/0x6) at 0xd000, 0x2000 bytes`,
  );
  assertEquals((await world.run("verify", "table.bin")).code, 1);
  world.put(
    "t.csv",
    "esp_secure_cert, 0x3F, , 0xD000, 0x2000, encrypted\nx, data, nvs, 0xE000, 1K\n",
  );
  const text = (await world.run("inspect", "t.csv")).stdout;
  assertMatch(text, /esp_secure_cert +0x3f +0x6 +0xd000 +0x2000 +encrypted/);
  assertStringIncludes(text, "table overlap x overlaps esp_secure_cert");
  assertStringIncludes(text, "table nvs-too-small x has 0x400 bytes");
  world.put("none.csv", "nvs, data, nvs, 0x9000, 0x4000\n");
  assertStringIncludes((await world.run("inspect", "none.csv")).stdout, "the firmware finds none");
});

Deno.test("a dump without the partition shows its table; one without a table gives a hint", async () => {
  const world = await flashed(0x8000, [NVS]);
  world.put("flash.bin", world.bytes("flash.bin").fill(0xFF, 0xD000, 0xE000));
  const { code, stdout, stderr } = await world.run("inspect", "flash.bin");
  assertEquals([code, stderr], [1, ""]);
  assertMatch(stdout, /nvs +data +nvs +0x9000 +0x4000/);
  assertStringIncludes(stdout, "names no esp_secure_cert partition");
  const hidden = await flashed(0x7000);
  hidden.put("flash.bin", hidden.bytes("flash.bin").fill(0xFF, 0xD000, 0xE000));
  const lost = await hidden.run("inspect", "flash.bin");
  assertEquals(lost.code, 1);
  assertStringIncludes(lost.stderr, "hint: if this is a dump of flash");
  const erased = await hidden.run("inspect", "flash.bin", "--table-offset", "0x7000");
  assertEquals([erased.code, erased.stderr], [1, ""]);
  assertStringIncludes(erased.stdout, "LOOKS_ERASED");
});

Deno.test("a name out of flash does not reach the terminal as it is", async () => {
  const world = new MemoryWorld();
  const name = "\x1b[31m\u202e";
  world.put("t.bin", encodePartitionTable([{ ...NVS, name, offset: 1 }]));
  const { stdout } = await world.run("inspect", "t.bin");
  assertStringIncludes(stdout, "\\u001b[31m\\u202e");
  assertEquals(["\x1b", "\u202e"].some((each) => stdout.includes(each)), false);
});
