// deno run --allow-read=factory --allow-write=factory examples/hmac_derived_device.ts
//
// No private key in flash at all: the chip derives it from an eFuse key and a salt.

import { type EfusePlan, provision, type ProvisionResult } from "../mod.ts";
import { openCa } from "./provision_device.ts";

/** A device whose private key is derived on the chip. */
export async function provisionDevice(id: string): Promise<ProvisionResult> {
  return await provision({
    issuer: await openCa("factory/ca"),
    subject: `CN=${id}`,
    chip: "esp32s3",
    keyMode: "hmac-derived",
    efuseKeyId: 2,
  });
}

/** What to burn, before the image is of use. */
export function burnLine(plan: EfusePlan): string {
  return plan.command.join(" ");
}

if (import.meta.main) {
  const { image, efuse } = await provisionDevice("hmac_derived_device");
  const folder = "factory/hmac_derived_device";
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(`${folder}/esp_secure_cert.bin`, image, { mode: 0o600 });
  // Lost or overwritten before it is burned, this key takes the device's credentials with it.
  await Deno.writeFile(`${folder}/hmac_key.bin`, efuse!.hmacKey!, { createNew: true, mode: 0o600 });
  console.log(`${folder}: ${image.length} bytes; then burn, once and for ever:`);
  console.log(burnLine(efuse!.plan));
}
