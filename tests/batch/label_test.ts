import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import jsqr from "jsqr";
import { formatLabel, formatLabelPayload } from "../../lib/batch/label.ts";

const SERIAL = "498788d14b4e01d53462196098521b1524851e69";
const PIXELS = 4;

/** What a reader that shares no code with the writer sees in the drawing. */
function decode(svg: string): string | undefined {
  const [, side, height] = /viewBox="0 0 (\d+) ([\d.]+)"/.exec(svg)!.map(Number);
  assert(height! > side!);
  const [width, pixels] = [side! * PIXELS, new Uint8ClampedArray((side! * PIXELS) ** 2 * 4)];
  pixels.fill(255);
  const [, path] = / d="([^"]*)"/.exec(svg)!;
  for (const [, x, y, run, back] of path!.matchAll(/M(\d+) (\d+)h(\d+)v1h-(\d+)z/g)) {
    assertEquals(run, back);
    for (let row = 0; row < PIXELS; row++) {
      const start = (Number(y) * PIXELS + row) * width + Number(x) * PIXELS;
      for (let at = start; at < start + Number(run) * PIXELS; at++) {
        pixels.fill(0, at * 4, at * 4 + 3);
      }
    }
  }
  assertEquals(path!.replace(/M\d+ \d+h\d+v1h-\d+z/g, ""), "");
  // The types of the package do not say that its module is its default export.
  const read = jsqr as unknown as typeof jsqr.default;
  const found = read(pixels, width, width);
  return found === null ? undefined : new TextDecoder().decode(new Uint8Array(found.binaryData));
}

const texts = (svg: string) =>
  [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map((each) => each[1]);

Deno.test("a label's code says id and serial, and so does the text below", () => {
  const svg = formatLabel({ id: "dev-000001", serial: SERIAL });
  assertEquals(decode(svg), `{"id":"dev-000001","serial":"${SERIAL}"}`);
  assertEquals(texts(svg), ["dev-000001", SERIAL]);
});

Deno.test("a label has a quiet zone of four modules and text within its width", () => {
  const svg = formatLabel({ id: "x".repeat(60), serial: SERIAL });
  const side = Number(/viewBox="0 0 (\d+)/.exec(svg)![1]);
  for (const [, x, y, run] of svg.matchAll(/M(\d+) (\d+)h(\d+)v/g)) {
    assert(Number(x) >= 4 && Number(y) >= 4 && Number(x) + Number(run) <= side - 4);
    assert(Number(y) < side - 4);
  }
  for (const [, size, text] of svg.matchAll(/font-size="([\d.]+)">([^<]*)</g)) {
    assert(Number(size) * 0.6 * text!.length <= side - 8 + 0.5);
  }
});

Deno.test("whatever the name, the label is XML and its code reads back", () => {
  const names = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(names, (id) => {
      const svg = formatLabel({ id, serial: "0a" });
      assertEquals(decode(svg), formatLabelPayload({ id, serial: "0a" }));
      assertWellFormed(svg);
    }),
    { seed: 5, numRuns: 60 },
  );
});

Deno.test("names full of markup, control characters and half surrogates stay text", () => {
  const svg = formatLabel({ id: `<a b="&'">\0\x1b\ud800]]>`, serial: "" });
  assertWellFormed(svg);
  assertEquals(texts(svg), [`&lt;a b="&amp;'"&gt;\ufffd\ufffd\ufffd]]&gt;`]);
  assertEquals(formatLabel({ id: "a", serial: "b" }), formatLabel({ id: "a", serial: "b" }));
});

Deno.test("a name that no code holds is refused", () => {
  assertThrows(() => formatLabel({ id: "x".repeat(3000), serial: "" }), Error);
});

/** As far as the label uses XML: tags are balanced, and nothing but entities follows an ampersand. */
function assertWellFormed(svg: string): void {
  const open: string[] = [];
  for (const [, close, name, rest] of svg.matchAll(/<(\/?)(\w+)([^>]*)>/g)) {
    assertMatch(rest!, /^(?: [\w:-]+="[^"<]*")*\/?$/);
    if (close === "/") assertEquals(open.pop(), name);
    else if (!rest!.endsWith("/")) open.push(name!);
  }
  assertEquals(open, []);
  assertEquals(/&(?!(amp|lt|gt);)/.test(svg), false);
  // deno-lint-ignore no-control-regex
  assertEquals(/[\x00-\x08\x0b-\x1f]/.test(svg), false);
}
