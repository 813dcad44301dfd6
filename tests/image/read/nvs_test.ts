import { assertEquals, assertStringIncludes } from "@std/assert";
import { encodeNvs, inspect } from "../../../mod.ts";

Deno.test("of the problems of an image the first of each kind are findings, and the rest are counted", async () => {
  const page = encodeNvs(
    Array.from(
      { length: 9 },
      (_, at) => ({ namespace: "esp_secure_cert", key: `k${at}`, type: "u8", value: 1 } as const),
    ),
  )
    .subarray(0, 0x1000);
  const image = new Uint8Array(60 * 0x1000);
  for (let at = 0; at < image.length; at += page.length) image.set(page, at);
  const { findings } = await inspect(image);
  const doubles = findings.filter(({ code }) => code === "DUPLICATE_ENTRY");
  assertEquals(doubles.length, 101);
  assertStringIncludes(doubles.at(-1)!.message, "more like this");
});
