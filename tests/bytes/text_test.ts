/** What a message may show of a text that somebody typed, or that a file has in the place of a name. */
import { assertEquals } from "@std/assert";
import {
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
