// deno run --allow-read=factory examples/compare_dumps.ts factory/device-1/esp_secure_cert.bin factory/device-1/renewed.bin
//
// Prints what differs between two images, such as the one you built and the one read from a board.
// Run rotate_certificate.ts first.

import { diff } from "../mod.ts";

/** One line for each entry that differs, and one for each field below it. */
export async function compare(a: Uint8Array, b: Uint8Array): Promise<string[]> {
  const { layout, entries } = await diff(a, b);
  return [
    ...layout.map(({ field, a, b }) => `${field}: ${a} and ${b}`),
    ...entries.flatMap(({ change, typeName, subtype, fields }) => [
      `${change}: ${typeName} ${subtype}`,
      ...fields.map(({ field, a, b }) => `  ${field}: ${a} and ${b}`),
    ]),
  ];
}

if (import.meta.main) {
  const [a, b] = Deno.args;
  if (a === undefined || b === undefined) throw new TypeError("Give two images");
  const lines = await compare(await Deno.readFile(a), await Deno.readFile(b));
  console.log(lines.length === 0 ? "no difference" : lines.join("\n"));
}
