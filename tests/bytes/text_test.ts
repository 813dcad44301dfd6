/** What a message may show of a text that somebody typed, or that a file has in the place of a name. */
import { assertEquals, assertRejects } from "@std/assert";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { encodedTexts } from "./encoded.ts";
import {
  decodeText,
  decodeTextParts,
  mayBeSecret,
  printable,
  printableLine,
  shownName,
  shownValue,
} from "../../lib/bytes/text.ts";

const HEX = "0011223344556677 8899aabbccddeeff".replace(" ", "");
const BASE64 = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=";

Deno.test("what is a key in any notation is not shown", () => {
  const bytes = [...HEX.matchAll(/../g)].map(([byte]) => byte);
  const secrets = [
    HEX,
    HEX.toUpperCase(),
    `0x${HEX}`,
    `key=${HEX}`,
    `./${HEX}.bin`,
    `folder_${HEX}`,
    bytes.join(" "),
    bytes.join(":"),
    bytes.join(": "),
    bytes.map((byte) => `0x${byte}`).join(", "),
    bytes.map((byte) => `\\x${byte}`).join(""),
    BigInt(`0x${HEX}`).toString(),
    BASE64,
    BASE64.replaceAll("=", ""),
    // A slash in base64 is no separator of folders.
    "iT9/xJkQ2vWb7LrY/pZ4cH8mNsGdE3uKtA5oXfRw6yI=",
    "iT9_xJkQ2vWb7LrY-pZ4cH8mNsGdE3uKtA5oXfRw6yI",
    "-----BEGIN EC PRIVATE KEY-----",
    "two\nlines",
    "two\rlines",
    "a.".repeat(128),
    "é".repeat(128),
  ];
  for (const secret of secrets) {
    assertEquals([secret, mayBeSecret(secret)], [secret, true]);
    assertEquals(shownName(secret), "(text that is not a file's name)");
    assertEquals(shownValue(secret), "(a value that may be a secret)");
  }
});

Deno.test("names of files are shown", () => {
  const names = [
    "device.key.pem",
    "esp_secure_cert_signed_by_the_second_ca_of_2026.bin",
    "/a/very/long/path/of/a/folder/that/has/no/dot/in/it",
    "/home/alice/Documents/FirmwareProject/DeviceKeys/esp32c3/production",
    "/tmp/5a0c6f1d2b3e4f56/images/device",
    "images/3f2b8c1e-1234-4abc-9def-0123456789ab.bin",
    "24:6F:28:AA:BB:CC.pem",
    HEX.slice(1),
    "a.".repeat(127),
  ];
  for (const name of names) assertEquals(shownName(name), name);
  assertEquals(shownName("a\tb\u2028"), "a\\u0009b\\u2028");
});

Deno.test("escapes are those of JSON, of UTF-16 units", () => {
  const text = "a\tb\nc\x1b\x7F\x9B\u2028\u{E0041}\u200B\uD800é✓…🙂";
  const escaped = "\\u001b\\u007f\\u009b\\u2028\\udb40\\udc41\\u200b\\ud800é✓…🙂";
  assertEquals(printable(text), `a\tb\nc${escaped}`);
  assertEquals(printableLine(text), `a\\u0009b\\u000ac${escaped}`);
  assertEquals(JSON.parse(`"${printableLine(text)}"`), text);
});

Deno.test("every UTF-16 unit that a terminal must not get is escaped, by itself and among others", () => {
  for (let unit = 0; unit <= 0xFFFF; unit++) {
    const character = String.fromCharCode(unit);
    const isRefused = /[^\P{Cc}\t\n]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{DI}]/u.test(character);
    const expected = isRefused ? `\\u${unit.toString(16).padStart(4, "0")}` : character;
    if (printable(character) !== expected) assertEquals(printable(character), expected);
    if (printable(`a${character}b`) !== `a${expected}b`) assertEquals(character, expected);
  }
});

Deno.test("text in UTF-8 and UTF-16 is read, with a byte order mark and without", async () => {
  const text = "id;subject\r\n\u00E4\u20AC;\u{1F600}\n";
  const partsOf = async (parts: Uint8Array[]) =>
    (await Array.fromAsync(decodeTextParts(parts))).join("");
  for (const [name, bytes] of encodedTexts(text)) {
    assertEquals(decodeText(bytes), text, name);
    for (let cut = 0; cut <= bytes.length; cut++) {
      assertEquals(await partsOf([bytes.subarray(0, cut), bytes.subarray(cut)]), text, name);
    }
    assertEquals(await partsOf(Array.from(bytes, (byte) => Uint8Array.of(byte))), text, name);
  }
});

Deno.test("bytes in neither encoding are not text, and no bytes are an empty text", async () => {
  const bad = ["ff", "ff41", "41ff42", "fffe00d84100", "feffd800", "fffe41", "feff0041ff", "e2"]
    .map((hex) => Uint8Array.fromHex(hex));
  for (const bytes of bad) {
    assertEquals(decodeText(bytes), undefined, bytes.toHex());
    await assertRejects(() => Array.fromAsync(decodeTextParts([bytes])), SecureCertError);
  }
  for (const hex of ["", "efbbbf", "fffe", "feff"]) {
    const bytes = Uint8Array.fromHex(hex);
    assertEquals(decodeText(bytes), "", hex);
    assertEquals((await Array.fromAsync(decodeTextParts([bytes]))).join(""), "", hex);
  }
  // The mark of UTF-32 is that of UTF-16 and a NUL.
  assertEquals(decodeText(Uint8Array.fromHex("fffe0000")), "\0");
});
