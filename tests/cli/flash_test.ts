/** Flash encryption on the command line: `encrypt`, `decrypt`, and reading what is encrypted. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { encodePartitionTable, encryptFlash } from "../../mod.ts";
import type { ChipName } from "../../lib/format/chips/chips.ts";
import { intelHex } from "../dumps.ts";
import { MemoryWorld } from "./memory_io.ts";

const IMAGE = "d/esp_secure_cert.bin";
const ADDRESS = 0xD000;

async function withImage(): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  const { code, stderr } = await world.run("provision", "--id", "dev-1", "--fill", "-o", "d");
  assertEquals(code, 0, stderr);
  return world;
}

/** Runs a command line that is written as one. */
async function ok(world: MemoryWorld, line: string): Promise<string> {
  const { code, stdout, stderr } = await world.run(...line.split(" "));
  assertEquals(code, 0, `${line}: ${stderr}`);
  return stdout + stderr;
}

Deno.test("a new key never takes the place of one, and the hint is to use that", async () => {
  const world = await withImage();
  const flags = `--chip esp32s3 --bits 256 --address 0xD000`;
  await ok(world, `encrypt ${IMAGE} ${flags} --new-key k/flash.bin -o enc.bin`);
  const before = new Map(world.files);
  for (const force of ["", " --force"]) {
    const line = `encrypt ${IMAGE} ${flags} --new-key k/flash.bin -o enc2.bin${force}`;
    const { code, stderr } = await world.run(...line.split(" "));
    assertEquals([code, world.files], [1, before]);
    assertStringIncludes(stderr, "hint: give --key k/flash.bin to use the key that is there");
  }
  await ok(
    world,
    `encrypt ${IMAGE} --chip esp32s3 --address 0xD000 --key k/flash.bin -o enc2.bin`,
  );
  assertEquals(world.bytes("enc2.bin"), world.bytes("enc.bin"));
});

Deno.test("a new key encrypts an image, which comes back and is good on every chip", async () => {
  const keys: readonly [ChipName, string, number][] = [
    ["esp32", "", 1],
    ["esp32c2", "", 1],
    ["esp32c3", "", 1],
    ["esp32s3", "--bits 256", 2],
    ["esp32p4", "--bits 256", 2],
  ];
  for (const [chip, bits, blocks] of keys) {
    const world = await withImage();
    const flags = `--chip ${chip} --address 0xD000`;
    const printed = await ok(
      world,
      `encrypt ${IMAGE} ${flags} --new-key k/flash_key.bin -o enc.bin ${bits}`.trim(),
    );
    assertStringIncludes(printed, "espefuse --chip");
    const plan = JSON.parse(new TextDecoder().decode(world.bytes("k/flash_key.json")));
    assertEquals(plan.blocks.length, blocks);
    assertEquals(plan.keyMode, "flash-encryption");
    const key = world.bytes("k/flash_key.bin");
    assertEquals(key.length, 32 * blocks);
    assertEquals(world.files.get("k/flash_key.bin")!.secret, true);
    if (blocks === 2) {
      assertEquals(world.bytes("k/flash_key_1.bin"), key.slice(0, 32));
      assertEquals(world.bytes("k/flash_key_2.bin"), key.slice(32));
    }
    assertEquals(
      world.bytes("enc.bin"),
      encryptFlash(world.bytes(IMAGE), { chip, key, address: ADDRESS }),
    );
    await ok(world, `decrypt enc.bin ${flags} --key k/flash_key.bin -o plain.bin`);
    assertEquals(world.bytes("plain.bin"), world.bytes(IMAGE));
    await ok(world, `verify enc.bin ${flags} --flash-key k/flash_key.bin`);
    const shown = await ok(world, `inspect enc.bin ${flags} --flash-key k/flash_key.bin`);
    assertStringIncludes(shown, "CN=dev-1");
    const blind = await world.run("verify", "enc.bin", "--json");
    assertEquals(blind.code, 1);
    assertStringIncludes(blind.stdout, "LOOKS_ENCRYPTED");
  }
});

Deno.test("a wrong key, address or configuration never makes a good image", async () => {
  const world = await withImage();
  await ok(world, `encrypt ${IMAGE} --chip esp32 --address 0xD000 --new-key k.bin -o enc.bin`);
  world.put("other.bin", new Uint8Array(32).fill(7));
  const wrong = [
    "--chip esp32 --address 0xD000 --flash-key other.bin",
    "--chip esp32 --address 0xE000 --flash-key k.bin",
    "--chip esp32 --address 0xD000 --flash-key k.bin --config 7",
    "--chip esp32c3 --address 0xD000 --flash-key k.bin",
  ];
  for (const flags of wrong) {
    const { code } = await world.run("verify", "enc.bin", ...flags.split(" "));
    assertEquals(code, 1, flags);
  }
});

Deno.test("of a dump the table and the partitions that it flags are decrypted", async () => {
  for (const encrypted of [true, false]) {
    for (const start of [0, 0x1000, 0x8000]) {
      const world = await withImage();
      const key = new Uint8Array(32).fill(3);
      world.put("k.bin", key);
      world.put("dump.bin", dumpOf(world.bytes(IMAGE), { encrypted, key, start }));
      const flags = `--chip esp32c3 --address ${start} --flash-key k.bin`;
      const { code, stdout, stderr } = await world.run(
        "verify",
        "dump.bin",
        ...flags.split(" "),
        "--json",
      );
      assertEquals(code, 0, `${encrypted} ${start} ${stdout}${stderr}`);
      assertEquals(JSON.parse(stdout).location.partition.encrypted, encrypted);
    }
  }
});

Deno.test("an image in plain where the chip decrypts is bad, though it looks good", async () => {
  const world = await withImage();
  const key = new Uint8Array(32).fill(3);
  world.put("k.bin", key);
  const dump = dumpOf(world.bytes(IMAGE), { encrypted: true, key, start: 0 });
  dump.set(world.bytes(IMAGE), ADDRESS);
  world.put("dump.bin", dump);
  const flags = "--chip esp32c3 --address 0 --flash-key k.bin".split(" ");
  assertEquals((await world.run("verify", "dump.bin", ...flags)).code, 1);
});

Deno.test("an image that is not encrypted is read, with a note", async () => {
  const world = await withImage();
  world.put("k.bin", new Uint8Array(32));
  const flags = `--chip esp32c3 --address 0xD000 --flash-key k.bin`;
  assertStringIncludes(await ok(world, `verify ${IMAGE} ${flags}`), "is not encrypted");
});

Deno.test("what is missing or does not belong is said, and nothing is written", async () => {
  const world = await withImage();
  world.put("k.bin", new Uint8Array(32));
  world.put("short.bin", new Uint8Array(31));
  const before = [...world.files.keys()];
  const lines: readonly [string, number, string][] = [
    ["encrypt d/esp_secure_cert.bin --chip esp32c3 --address 0 -o e", 2, "--new-key"],
    ["encrypt d/esp_secure_cert.bin --chip esp32c3 --key k.bin -o e", 2, "--address"],
    ["encrypt d/esp_secure_cert.bin --address 0 --key k.bin -o e", 2, "--chip"],
    ["encrypt d/esp_secure_cert.bin --chip esp32c3 --address 8 --key k.bin -o e", 2, "16"],
    ["encrypt d/esp_secure_cert.bin --chip esp32 --address 0xFFF000 --key k.bin -o e", 2, "16 MiB"],
    [
      "encrypt d/esp_secure_cert.bin --chip esp32c3 --address 0 --config 3 --key k.bin -o e",
      2,
      "esp32",
    ],
    [
      "encrypt d/esp_secure_cert.bin --chip esp32 --address 0 --config 16 --key k.bin -o e",
      2,
      "0 to 15",
    ],
    [
      "encrypt d/esp_secure_cert.bin --chip esp32c3 --address 0 --key short.bin -o e",
      1,
      "31 bytes",
    ],
    ["encrypt short.bin --chip esp32c3 --address 0 --key k.bin -o e", 1, "multiple of 16"],
    [
      "encrypt d/esp_secure_cert.bin --chip esp32c3 --address 0 --new-key k.bin -o e",
      1,
      "k.bin",
    ],
    [
      "encrypt d/esp_secure_cert.bin --chip esp32c3 --bits 256 --address 0 --new-key n.bin -o e",
      1,
      "256",
    ],
    ["decrypt k.bin --chip esp32c3 --key k.bin -o e", 2, "--address"],
    ["verify d/esp_secure_cert.bin --flash-key k.bin", 2, "--chip"],
    ["verify d/esp_secure_cert.bin --address 0xD000", 2, "--flash-key"],
    [
      "verify d/esp_secure_cert.bin k.bin --flash-key k.bin --chip esp32 --address 0",
      2,
      "one image",
    ],
  ];
  for (const [line, expected, says] of lines) {
    const { code, stderr } = await world.run(...line.split(" "));
    assertEquals(code, expected, `${line}: ${stderr}`);
    assertStringIncludes(stderr, says, line);
    assertEquals([...world.files.keys()], before, line);
  }
});

/** Runs verify and inspect of a file with a key, and returns what both say of it. */
async function opened(world: MemoryWorld, line: string): Promise<readonly unknown[]> {
  const reports: unknown[][] = [];
  for (const command of ["verify", "inspect"]) {
    const words = `${command} ${line} --chip esp32c3 --flash-key k.bin --json`.split(" ");
    const { code, stdout, stderr } = await world.run(...words);
    const { format, location, encoding } = JSON.parse(stdout);
    assertEquals(code, 0, `${line} ${stdout} ${stderr}`);
    reports.push([format, location?.offset, encoding]);
  }
  assertEquals(reports[0], reports[1], line);
  return reports[0]!;
}

Deno.test("an encrypted dump is found in Intel HEX too, and --offset is in the file", async () => {
  const world = await withImage();
  const key = new Uint8Array(32).fill(3);
  world.put("k.bin", key);
  const flash = dumpOf(world.bytes(IMAGE), { encrypted: true, key, start: 0 });
  world.put("part.bin", flash.subarray(0x1000));
  world.put("part.hex", intelHex(0x8000, flash.subarray(0x8000)));
  world.put("image.hex", intelHex(ADDRESS, flash.subarray(ADDRESS, 0xF000)));
  const raw = ["tlv", ADDRESS, undefined];
  assertEquals(await opened(world, "part.bin --address 0x1000"), raw);
  assertEquals(await opened(world, "part.bin --address 0x1000 --offset 0xC000"), raw);
  const encoded = ["tlv", ADDRESS, "intel_hex"];
  assertEquals(await opened(world, "part.hex"), encoded);
  assertEquals(await opened(world, "part.hex --offset 0xD000"), encoded);
  assertEquals(await opened(world, "image.hex"), ["tlv", undefined, "intel_hex"]);
  assertEquals(await opened(world, "image.hex --offset 0xD000"), ["tlv", undefined, "intel_hex"]);
});

Deno.test("the table of an encrypted dump may be elsewhere", async () => {
  const world = await withImage();
  const key = new Uint8Array(32).fill(3);
  world.put("k.bin", key);
  const flash = dumpOf(world.bytes(IMAGE), { encrypted: true, key, start: 0, tableAt: 0xC000 });
  world.put("dump.bin", flash);
  const found = await opened(world, "dump.bin --address 0 --table-offset 0xC000");
  assertEquals(found, ["tlv", ADDRESS, undefined]);
  assertEquals(await opened(world, "dump.bin --address 0 --offset 0xD000"), [
    "tlv",
    undefined,
    undefined,
  ]);
});

Deno.test("NVS in plain is read, though the table calls it encrypted, as ESP-IDF does", async () => {
  const world = await withImage();
  const key = new Uint8Array(32).fill(3);
  world.put("k.bin", key);
  await ok(world, `convert ${IMAGE} --to nvs -o nvs.bin`);
  const nvs = world.bytes("nvs.bin");
  const flash = dumpOf(nvs, { encrypted: true, key, start: 0, isNvs: true });
  world.put("dump.bin", flash);
  assertEquals(await opened(world, "dump.bin --address 0"), ["nvs", ADDRESS, undefined]);
  flash.set(nvs, ADDRESS);
  world.put("dump.bin", flash);
  assertEquals(await opened(world, "dump.bin --address 0"), ["nvs", ADDRESS, undefined]);
});

Deno.test("--flash-key opens the one image of a folder, and what it does not open has a hint", async () => {
  const world = await withImage();
  const key = new Uint8Array(32).fill(3);
  world.put("k.bin", key);
  world.put("other.bin", new Uint8Array(32));
  world.put(
    "f/x.bin",
    encryptFlash(world.bytes(IMAGE), { chip: "esp32c3", key, address: ADDRESS }),
  );
  for (const command of ["verify", "inspect"]) {
    const flags = "--chip esp32c3 --address 0xD000 --flash-key k.bin --json";
    const { images: [image] } = JSON.parse(await ok(world, `${command} f ${flags}`));
    assertEquals([image.file, image.format], ["f/x.bin", "tlv"]);
    for (const what of ["f", "f/x.bin"]) {
      assertEquals((await world.run(command, what, "--flash-key", "k.bin")).code, 2);
      assertEquals((await world.run(command, what, "--address", "0")).code, 2);
    }
    const wrong = flags.replace("k.bin", "other.bin").split(" ");
    const { code, stderr } = await world.run(command, "f/x.bin", ...wrong);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "hint: check --flash-key");
  }
});

/** Flash from an address on, with an encrypted table and the image in its partition. */
function dumpOf(
  image: Uint8Array,
  { encrypted, key, start, tableAt = 0x8000, isNvs = false }: {
    readonly encrypted: boolean;
    readonly key: Uint8Array;
    readonly start: number;
    readonly tableAt?: number;
    readonly isNvs?: boolean;
  },
): Uint8Array<ArrayBuffer> {
  const chip = "esp32c3";
  const table = encodePartitionTable([
    { name: "nvs", type: 1, subtype: 2, offset: 0x9000, size: 0x3000 },
    {
      name: "esp_secure_cert",
      type: isNvs ? 1 : 0x3F,
      subtype: isNvs ? 2 : 6,
      offset: ADDRESS,
      size: image.length,
      flags: encrypted ? 1 : 0,
    },
    { name: "factory", type: 0, subtype: 0, offset: 0x10000, size: 0x10000 },
  ]);
  const flash = new Uint8Array(0x10000).fill(0xFF);
  const sector = new Uint8Array(0x1000).fill(0xFF);
  sector.set(table);
  flash.set(encryptFlash(sector, { chip, key, address: tableAt }), tableAt);
  flash.set(encrypted ? encryptFlash(image, { chip, key, address: ADDRESS }) : image, ADDRESS);
  assert(start <= 0x8000);
  return flash.slice(start);
}
