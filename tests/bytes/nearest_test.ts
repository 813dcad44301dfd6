/** Names in other spellings, and names that somebody may have meant. */
import { assertEquals } from "@std/assert";
import { didYouMean, nearestName, spelledName } from "../../lib/bytes/nearest.ts";

const CHIPS = ["esp32", "esp32c3", "esp32c6", "esp32c61", "esp32s3"];

Deno.test("a name is known in any case, with and without dashes, underscores and blanks", () => {
  for (const word of ["esp32c3", "ESP32-C3", "esp32_c3", "ESP32C3", "Esp32 C3"]) {
    assertEquals(spelledName(word, CHIPS), "esp32c3", word);
  }
  for (const word of ["", "-", "esp32c", "esp32c33"]) {
    assertEquals(spelledName(word, CHIPS), undefined);
  }
});

Deno.test("a synonym means its name", () => {
  const synonyms = { "P-256": ["prime256v1", "secp256r1"] };
  for (const word of ["P-256", "p256", "PRIME256V1", "secp256r1"]) {
    assertEquals(spelledName(word, ["P-192", "P-256"], synonyms), "P-256", word);
  }
});

Deno.test("a word that may be several names means none, unless it is one exactly", () => {
  assertEquals(spelledName("AB", ["a-b", "ab"]), undefined);
  assertEquals(spelledName("ab", ["a-b", "ab"]), "ab");
});

Deno.test("the nearest name is the one that the fewest slips lead to", () => {
  const names = ["build", "bulk", "bulk status", "inspect", "verify"];
  for (
    const [word, name] of [
      ["biuld", "build"],
      ["buil", "build"],
      ["verfiy", "verify"],
      ["inspetc", "inspect"],
      ["blk", "bulk"],
      ["bulk-status", "bulk status"],
      ["bulk stauts", "bulk status"],
    ] as const
  ) assertEquals(nearestName(word, names), name, word);
});

Deno.test("a part of a name leads to it", () => {
  assertEquals(nearestName("c3", CHIPS), "esp32c3");
  assertEquals(nearestName("output", ["out", "force"]), "out");
  assertEquals(nearestName("password", ["out", "password-file"]), "password-file");
});

Deno.test("no name is suggested when none is near, and none for a long text", () => {
  for (const word of ["", "x", "esp", "zzzzz", "esp32c3".repeat(1000)]) {
    assertEquals(nearestName(word, ["verify", "bulk"]), undefined, word);
  }
  assertEquals(didYouMean("zzz", ["verify"]), "");
  assertEquals(didYouMean("verfy", ["verify"]), "; did you mean verify?");
});

Deno.test("of names that are equally near it is the first", () => {
  assertEquals(nearestName("user6", ["user1", "user2"]), "user1");
  assertEquals(nearestName("user6", ["user2", "user1"]), "user2");
});
