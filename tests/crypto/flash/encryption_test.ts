import { createDecipheriv } from "node:crypto";
import { assertEquals, assertThrows } from "@std/assert";
import { decryptFlash, encryptFlash } from "../../../lib/crypto/flash/encryption.ts";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import type { ChipName } from "../../../lib/format/chips/chips.ts";
import { installed, type Need, needing, PROCESSES } from "../../needs.ts";
import { vector } from "../../vectors.ts";

const KEY_256 = vector("flash/key_256.bin");

interface Vector {
  readonly plain: string;
  readonly encrypted: string;
  readonly chip: ChipName;
  readonly key: string;
  readonly address: number;
  readonly config?: number;
}

const VECTORS: readonly Vector[] = [
  ...[0, 3, 9, 12, 15].map((config): Vector => ({
    plain: "bootloader",
    encrypted: `bootloader_esp32_${config}`,
    chip: "esp32",
    key: "key_256",
    address: 0x1000,
    config,
  })),
  {
    plain: "bootloader",
    encrypted: "bootloader_xts_128",
    chip: "esp32c3",
    key: "key_256",
    address: 0x1000,
  },
  {
    plain: "hello_world",
    encrypted: "hello_world_xts_128",
    chip: "esp32s2",
    key: "key_hello_world",
    address: 0x20000,
  },
  {
    plain: "hello_world",
    encrypted: "hello_world_xts_256",
    chip: "esp32s3",
    key: "key_512",
    address: 0x10000,
  },
];

for (const { plain, encrypted, chip, key, address, config } of VECTORS) {
  Deno.test(`${encrypted} of Espressif's tool comes out, and back`, () => {
    const options = { chip, key: vector(`flash/${key}.bin`), address, config };
    const [from, to] = [vector(`flash/${plain}.bin`), vector(`flash/${encrypted}.bin`)];
    assertEquals(encryptFlash(from, options), to);
    assertEquals(decryptFlash(to, options), from);
  });
}

const NODE: Need = PROCESSES ?? installed("node");

/** Bytes of every length and place: an address, and how many. */
const PLACES = [0, 16, 0x70, 0xD000, 0xD010, 0xFFFF0000].flatMap((address) =>
  [0, 16, 112, 128, 144, 1024, 40_000].map((length) => ({ address, length }))
);

/** XTS of whole units by Node, each turned around as the chips do. */
const NODE_XTS = `
  const { createCipheriv } = require("node:crypto");
  const units = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
  process.stdout.write(JSON.stringify(units.map(({ key, number, unit }) => {
    const name = key.length === 64 ? "aes-128-xts" : "aes-256-xts";
    const cipher = createCipheriv(name, Buffer.from(key, "hex"), Buffer.from(number, "hex"));
    return cipher.update(unit, "hex", "hex");
  })));`;

needing(NODE).test("XTS-AES of every key, address and length is that of Node", async () => {
  for (const [chip, size] of [["esp32c3", 32], ["esp32p4", 64]] as const) {
    const key = patterned(size, 7);
    const cases = PLACES.map(({ address, length }) => ({
      address,
      bytes: patterned(length, address),
    }));
    const units = cases.map(({ address, bytes }) => unitsOf(bytes, address));
    const answers = await runNode(
      units.flat().map(({ number, unit }) => ({ key: key.toHex(), number, unit: unit.toHex() })),
    );
    cases.forEach(({ address, bytes }, at) => {
      const answered = answers.splice(0, units[at]!.length)
        .flatMap((unit) => [...Uint8Array.fromHex(unit).reverse()]);
      const lead = address % 128;
      const expected = new Uint8Array(answered.slice(lead, lead + bytes.length));
      const encrypted = encryptFlash(bytes, { chip, key, address });
      assertEquals(encrypted, expected, `${chip} ${address} ${bytes.length}`);
      assertEquals(decryptFlash(encrypted, { chip, key, address }), bytes);
    });
  }
});

/** The units that bytes at an address are in, turned around, with their numbers. */
function unitsOf(bytes: Uint8Array, address: number): { number: string; unit: Uint8Array }[] {
  const lead = address % 128;
  const whole = new Uint8Array(Math.ceil((lead + bytes.length) / 128) * 128);
  whole.set(bytes, lead);
  return Array.from({ length: whole.length / 128 }, (_, at) => {
    const number = new Uint8Array(16);
    new DataView(number.buffer).setUint32(0, address - lead + at * 128, true);
    return { number: number.toHex(), unit: whole.slice(at * 128, (at + 1) * 128).reverse() };
  });
}

async function runNode(units: readonly object[]): Promise<string[]> {
  const child = new Deno.Command("node", {
    args: ["-e", NODE_XTS],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(units)));
  await writer.close();
  return JSON.parse(new TextDecoder().decode((await child.output()).stdout));
}

Deno.test("an ESP32-C2 may derive its key from 16 bytes", async () => {
  const key = patterned(16, 3);
  const derived = new Uint8Array(await crypto.subtle.digest("SHA-256", key));
  const bytes = patterned(256, 1);
  const [chip, address] = ["esp32c2", 0x8000] as const;
  assertEquals(
    encryptFlash(bytes, { chip, key, address }),
    encryptFlash(bytes, { chip, key: derived, address }),
  );
});

/** The ESP32's way, bit by bit from its description, over OpenSSL's AES. */
function referenceEsp32(
  bytes: Uint8Array,
  key: Uint8Array,
  address: number,
  config: number,
): Uint8Array {
  const long = Array.from({ length: 19 }, (_, at) => 23 - at);
  const pattern = [14, 12, 10, 8].flatMap((last) => [
    ...long,
    ...long,
    ...long,
    ...long.filter((bit) => bit <= last),
  ]);
  const rangeOf = (bit: number) => [66, 131, 194, 255].findIndex((end) => bit <= end);
  const out = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at += 16) {
    const row = (address + at) & ~31;
    let number = BigInt("0x" + key.toHex());
    pattern.forEach((addressBit, bit) => {
      if ((config >> rangeOf(bit) & 1) === 0 || (row >>> addressBit & 1) === 0) return;
      number ^= 1n << BigInt(255 - bit);
    });
    const rowKey = Uint8Array.fromHex(number.toString(16).padStart(64, "0"));
    out.set(inverseAes(rowKey, bytes.slice(at, at + 16).reverse()).reverse(), at);
  }
  return out;
}

/** AES-256 decryption of a block. */
function inverseAes(key: Uint8Array, block: Uint8Array): Uint8Array {
  const decipher = createDecipheriv("aes-256-ecb", key, null).setAutoPadding(false);
  return new Uint8Array(decipher.update(block));
}

Deno.test("the ESP32's encryption with each configuration is that of its description", () => {
  const key = patterned(32, 11);
  for (let config = 0; config < 16; config++) {
    for (const address of [0, 0x10, 0xD000, 0x123450, 0xFFFF00]) {
      const bytes = patterned(160, config);
      const options = { chip: "esp32", key, address, config } as const;
      const encrypted = encryptFlash(bytes, options);
      assertEquals(encrypted, referenceEsp32(bytes, key, address, config), `${config} ${address}`);
      assertEquals(decryptFlash(encrypted, options), bytes);
    }
  }
});

Deno.test("the ESP32 fills up a key of 3/4 coding, and the last block with random bytes", () => {
  const key = patterned(24, 5);
  const filled = new Uint8Array([...key, ...key.subarray(8, 16)]);
  const random = (length: number) => new Uint8Array(length).fill(0xA5);
  const options = { chip: "esp32", address: 0x20, random } as const;
  const encrypted = encryptFlash(patterned(21, 1), { ...options, key });
  const whole = new Uint8Array(32).fill(0xA5);
  whole.set(patterned(21, 1));
  assertEquals(encrypted, encryptFlash(whole, { ...options, key: filled }));
});

Deno.test("what cannot be encrypted is refused by name", () => {
  const key = KEY_256;
  const bytes = new Uint8Array(32);
  const range = (options: Partial<Parameters<typeof encryptFlash>[1]>, message: string) =>
    assertThrows(
      () => encryptFlash(bytes, { chip: "esp32c3", key, address: 0, ...options }),
      RangeError,
      message,
    );
  range({ address: 8 }, "not a multiple of 16");
  range({ address: -16 }, "address");
  range({ address: 0x1_0000_0000 }, "address");
  range({ config: 15 }, "only the ESP32 has a config");
  range({ chip: "esp32", config: 16 }, "config");
  const refused = (options: Parameters<typeof encryptFlash>[1], code: string, size = 32) => {
    const input = new Uint8Array(size);
    for (const work of [encryptFlash, decryptFlash]) {
      const error = assertThrows(() => work(input, options), SecureCertError);
      assertEquals(error.code, code);
    }
  };
  refused({ chip: "esp32c3", key: new Uint8Array(64), address: 0 }, "ERR_KEY");
  refused({ chip: "esp32", key: new Uint8Array(64), address: 0 }, "ERR_KEY");
  refused({ chip: "esp32s3", key: new Uint8Array(16), address: 0 }, "ERR_KEY");
  refused({ chip: "esp32c3", key, address: 0 }, "ERR_LENGTH", 20);
  assertThrows(() => decryptFlash(new Uint8Array(20), { chip: "esp32", key, address: 0 }));
});

/** Bytes that look random and are the same each time. */
function patterned(length: number, seed: number): Uint8Array<ArrayBuffer> {
  let state = seed + 1;
  return Uint8Array.from({ length }, () => {
    state = Math.imul(state, 1664525) + 1013904223 >>> 0;
    return state >>> 24;
  });
}
