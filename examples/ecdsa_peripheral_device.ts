// deno run --allow-read=factory --allow-write=factory examples/ecdsa_peripheral_device.ts
//
// The private key in an eFuse, which only the ECDSA peripheral can use.

import { type EfusePlan, exportPrivateKey, provision, type ProvisionResult } from "../mod.ts";
import { openCa } from "./provision_device.ts";

/** A device whose private key is in an eFuse. */
export async function provisionDevice(id: string): Promise<ProvisionResult> {
  return await provision({
    issuer: await openCa("factory/ca"),
    subject: `CN=${id}`,
    chip: "esp32h2",
    keyMode: "ecdsa-peripheral",
    efuseKeyId: 2,
  });
}

/** What to burn, before the image is of use. */
export function burnLine(plan: EfusePlan): string {
  return plan.command.join(" ");
}

if (import.meta.main) {
  const { image, efuse, key } = await provisionDevice("ecdsa_peripheral_device");
  const folder = "factory/ecdsa_peripheral_device";
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(`${folder}/esp_secure_cert.bin`, image, { mode: 0o600 });
  // espefuse takes the key as PEM. Once it is burned, the file has done its work.
  const pem = await exportPrivateKey(key);
  await Deno.writeFile(`${folder}/device.key.pem`, pem, { createNew: true, mode: 0o600 });
  console.log(`${folder}: ${image.length} bytes; then burn, once and for ever:`);
  console.log(burnLine(efuse!.plan));
}
