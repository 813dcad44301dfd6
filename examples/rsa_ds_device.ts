// deno run --allow-read=factory --allow-write=factory examples/rsa_ds_device.ts
//
// RSA with the DS peripheral: the flash holds the key encrypted, an eFuse holds what opens it.

import { type EfusePlan, provision, type ProvisionResult } from "../mod.ts";
import { openCa } from "./provision_device.ts";

/** A device whose private key is an RSA key that only the DS peripheral can use. */
export async function provisionDevice(id: string): Promise<ProvisionResult> {
  return await provision({
    issuer: await openCa("factory/ca"),
    subject: `CN=${id}`,
    chip: "esp32c3",
    keyMode: "rsa-ds",
    efuseKeyId: 2,
  });
}

/** What to burn, before the image is of use. */
export function burnLine(plan: EfusePlan): string {
  return plan.command.join(" ");
}

if (import.meta.main) {
  const { image, efuse } = await provisionDevice("rsa_ds_device");
  const folder = "factory/rsa_ds_device";
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(`${folder}/esp_secure_cert.bin`, image, { mode: 0o600 });
  // Lost or overwritten before it is burned, this key takes the device's credentials with it.
  await Deno.writeFile(`${folder}/hmac_key.bin`, efuse!.hmacKey!, { createNew: true, mode: 0o600 });
  console.log(`${folder}: ${image.length} bytes; then burn, once and for ever:`);
  console.log(burnLine(efuse!.plan));
}
