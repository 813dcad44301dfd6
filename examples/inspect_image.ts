// deno run --allow-read=factory examples/inspect_image.ts factory/device-1/esp_secure_cert.bin
//
// Prints what an image contains, and what the firmware would read from it.

import { inspect, openSecureCert } from "../mod.ts";

/** One line for each entry, and one for each finding. */
export async function describe(image: Uint8Array): Promise<string[]> {
  const { entries, findings } = await inspect(image);
  return [
    ...entries.map(({ offset, typeName, length, certificate }) =>
      `${offset} ${typeName} ${length} bytes ${certificate?.subject ?? ""}`.trimEnd()
    ),
    ...findings.map(({ severity, code, message }) => `${severity} ${code}: ${message}`),
  ];
}

if (import.meta.main) {
  const image = await Deno.readFile(Deno.args[0] ?? "factory/device-1/esp_secure_cert.bin");
  for (const line of await describe(image)) console.log(line);
  const device = openSecureCert(image);
  console.log(`the firmware reads a ${await device.privateKeyType()} private key`);
}
