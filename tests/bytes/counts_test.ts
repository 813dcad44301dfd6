/** Counts in messages: one of a thing is not said as several. */
import { assertEquals } from "@std/assert";
import { countOf } from "../../lib/bytes/errors.ts";

const LIB = new URL("../../lib/", import.meta.url);
/** What messages count. */
const THINGS = "bytes|entries|devices|files|images|characters|certificates|keys|signatures|" +
  "partitions|columns|problems|signers|fields|families|parts|pages|rows|lines|items|blocks|chains";
/** A value in a template, with what is counted after it. */
const COUNTED = new RegExp(
  String.raw`\$\{((?:[^{}]|\{[^{}]*\})*)\} (?:[a-z]+ )?(?:${THINGS})\b`,
  "g",
);
/** Constants, numbers in hexadecimal, and texts. */
const OTHERS =
  /^(?:[A-Z][\w.]*|hex\(.*|countOf\(.*|.*toString\(16\)|(?:\w+\.)?(?:keyMode|mode|format|name|algorithm|agreement|names|what|title|curve|type|key|path|joinPath\(.*))$/s;
/** Lines that other programs look for, and numbers that are never 1. */
const EXEMPT = [
  "cli/configure/",
  // Hashes, signatures and what they cover; ciphertexts of the DS peripheral.
  "cli/commands/sign.ts: ",
  "crypto/peripherals/ds.ts: need",
];

function sourcesIn(folder: URL): URL[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory
      ? sourcesIn(new URL(`${name}/`, folder))
      : name.endsWith(".ts")
      ? [new URL(name, folder)]
      : []
  );
}

Deno.test("a number of things is said with one function", () => {
  assertEquals([0, 1, 2].map((count) => countOf(count, "byte")), ["0 bytes", "1 byte", "2 bytes"]);
  assertEquals(countOf(1, "entry follows", "entries follow"), "1 entry follows");
  const counted = sourcesIn(LIB).flatMap((url) => {
    const path = url.href.slice(LIB.href.length);
    return [...Deno.readTextFileSync(url).matchAll(COUNTED)]
      .filter(([, value]) => !OTHERS.test(value!))
      .map(([, value]) => `${path}: ${value}`);
  });
  assertEquals(counted.filter((each) => !EXEMPT.some((exempt) => each.startsWith(exempt))), []);
});
