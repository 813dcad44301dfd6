import { assertEquals } from "@std/assert";
import { encodeNvs } from "../../lib/format/nvs/encode.ts";
import { encodeNvsCredentials } from "../../lib/format/nvs/encode.ts";
import { recognise } from "../../lib/image/recognise.ts";
import { inspect } from "../../lib/toolkit/inspect.ts";
import { vector } from "../vectors.ts";

const HALF = 16;
const ERASED = 0xFF;

function random(length: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** What a partition reads as whose fill from here on is encrypted to the same blocks. */
function filled(from: number, unit: number, repeat: (at: number) => number): Uint8Array {
  const image = random(0x2000);
  for (let at = from; at < image.length; at += unit) {
    image.copyWithin(at + unit - HALF, repeat(at), repeat(at) + HALF);
  }
  return image;
}

function erasedAround(part: Uint8Array, at: number): Uint8Array {
  const image = new Uint8Array(0x8000).fill(ERASED);
  image.set(part, at);
  return image;
}

Deno.test("an encrypted partition is recognised, filled or not, and other random bytes are not", () => {
  const start = (...bytes: readonly number[]) => {
    const file = random(0x1000);
    file.set(bytes);
    return file;
  };
  const cases: readonly [name: string, file: Uint8Array, code: string][] = [
    ["filled, XTS", random(0x2000), "LOOKS_ENCRYPTED"],
    ["not filled", random(1376), "LOOKS_ENCRYPTED"],
    ["ESP32, both halves alike", filled(1408, 32, (at) => at), "LOOKS_ENCRYPTED"],
    ["ESP32 without its address", filled(1408, 16, () => 1408), "LOOKS_ENCRYPTED"],
    ["erased before and after", erasedAround(random(1024), 0x3000), "LOOKS_ENCRYPTED"],
    ["not whole blocks", random(5000), "NOT_AN_IMAGE"],
    ["a keystore", start(0xFE, 0xED, 0xFE, 0xED), "NOT_AN_IMAGE"],
    ["a gzip file", start(0x1F, 0x8B, 8), "NOT_AN_IMAGE"],
    ["a ZIP archive", start(0x50, 0x4B, 3, 4), "NOT_AN_IMAGE"],
    ["a picture", start(0x89, 0x50, 0x4E, 0x47, 13, 10, 26, 10), "NOT_AN_IMAGE"],
  ];
  for (const [name, file, code] of cases) {
    assertEquals(recognise(file).finding?.code, code, name);
  }
});

Deno.test("an encrypted NVS is called encrypted, and one with other namespaces is not an image", async () => {
  const nvs = encodeNvsCredentials({ deviceCert: vector("plain/device.pem") });
  for (let at = 64; at < 0x1000; at += 32) {
    if (nvs[at] !== ERASED) crypto.getRandomValues(nvs.subarray(at, at + 32));
  }
  const codes = async (image: Uint8Array) =>
    (await inspect(image)).findings.map(({ code }) => code);
  assertEquals(await codes(nvs), ["LOOKS_ENCRYPTED"]);
  const other = encodeNvs([{ namespace: "wifi", key: "ssid", type: "u8", value: 1 }], {
    size: 0x3000,
  });
  assertEquals(await codes(other), ["NOT_AN_IMAGE"]);
  assertEquals((await inspect(other)).others?.map(({ key }) => key), ["ssid"]);
});
