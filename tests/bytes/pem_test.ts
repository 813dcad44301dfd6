import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { derBlocks, formatPem, isPem, MAX_CREDENTIAL_FILE, parsePem } from "../../lib/bytes/pem.ts";
import { encodeUtf8 } from "../../lib/bytes/text.ts";
import { growsLinearly } from "../growth.ts";

const ONE = new Uint8Array([0x30, 1, 2]);
const TWO = new Uint8Array(70).fill(7);
const BUNDLE = `a comment\n${formatPem("CERTIFICATE", ONE)}${
  formatPem("PRIVATE KEY", ONE)
}between\n${formatPem("CERTIFICATE", TWO)}\0`;

Deno.test("the blocks of a file are taken by their label, from bytes and from text", () => {
  for (const file of [BUNDLE, encodeUtf8(BUNDLE), BUNDLE.replaceAll("\n", "\r\n")]) {
    assertEquals(derBlocks(file, ["X509 CERTIFICATE", "CERTIFICATE"]), [ONE, TWO]);
    assertEquals(derBlocks(file, ["PRIVATE KEY"]), [ONE]);
    assertEquals(isPem(file), true);
  }
});

Deno.test("bytes that are not PEM are one DER value, a text is not", () => {
  const file = new Uint8Array([0x30, 0]);
  const [der] = derBlocks(file, ["CERTIFICATE"]);
  assertEquals(der, file);
  assertEquals(der === file, false);
  assertEquals(isPem(file), false);
  for (const text of ["", "text", formatPem("CERTIFICATE", ONE)]) {
    const error = assertThrows(() => derBlocks(text, ["PUBLIC KEY"]), SecureCertError);
    assertEquals([error.code, error.message], [
      "ERR_PEM",
      "Cannot decode PEM: no PUBLIC KEY block",
    ]);
  }
});

Deno.test("a malformed block is refused with its place", () => {
  const good = formatPem("CERTIFICATE", ONE);
  const cases = [
    "-----BEGIN certificate-----\n",
    "-----BEGIN CERTIFICATE-----\nMAEC\n",
    "-----BEGIN CERTIFICATE-----\nMAE\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\nM_EC\n-----END CERTIFICATE-----\n",
  ];
  for (const text of cases) {
    const error = assertThrows(() => parsePem(good + text), SecureCertError, undefined, text);
    assertEquals([error.code, error.place.offset], ["ERR_PEM", good.length]);
  }
});

Deno.test("a file longer than any bundle is refused before it is looked into", () => {
  const long = new Uint8Array(MAX_CREDENTIAL_FILE + 1).fill(0x2D);
  assertEquals(isPem(long), false);
  const error = assertThrows(() => derBlocks(long, ["CERTIFICATE"]), SecureCertError);
  assertEquals(error.code, "ERR_LENGTH");
  assertStringIncludes(error.message, "at most 4 MiB");
});

Deno.test("dashes in any number take linear time", async () => {
  const work = (length: number) => {
    const dashes = new Uint8Array(length).fill(0x2D);
    return () => isPem(dashes);
  };
  assertEquals(await growsLinearly(work, [0x4000, 0x100000]), true);
  assertEquals(isPem(new TextEncoder().encode("---------BEGIN X-----")), true);
});
