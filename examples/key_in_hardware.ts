// deno run --allow-read=factory --allow-write=factory examples/key_in_hardware.ts
//
// Provisions a device for each way a chip can protect its private key: in the RSA DS peripheral, in
// the ECDSA peripheral, encrypted with an eFuse key, or derived from one.

import { type EfusePlan, provision } from "../mod.ts";
import { openCa } from "./provision_device.ts";

type EfuseKeyMode = EfusePlan["keyMode"];

/** A chip for each key mode; the esp32c3 has no ECDSA peripheral. */
export const CHIP_OF = {
  "rsa-ds": "esp32c3",
  "ecdsa-peripheral": "esp32h2",
  // esp_secure_cert_mgr 2.7.0 to 2.9.3 cannot read these entries; 2.6.1 and older can.
  "hmac-encrypted": "esp32c6",
  "hmac-derived": "esp32s3",
} as const satisfies Record<EfuseKeyMode, string>;

/** Provisions a device whose private key is in hardware or protected by it. */
export async function provisionDevice(
  id: string,
  keyMode: EfuseKeyMode,
): ReturnType<typeof provision> {
  return await provision({
    issuer: await openCa("factory/ca"),
    subject: `CN=${id}`,
    chip: CHIP_OF[keyMode],
    keyMode,
    efuseKeyId: 2,
  });
}

/** The command that burns the eFuse key; the device cannot use the image without it. */
export function burnLine(plan: EfusePlan): string {
  return plan.command.join(" ");
}

if (import.meta.main) {
  for (const keyMode of Object.keys(CHIP_OF) as EfuseKeyMode[]) {
    const { image, efuse } = await provisionDevice(keyMode, keyMode);
    const folder = `factory/${keyMode}`;
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeFile(`${folder}/esp_secure_cert.bin`, image, { mode: 0o600 });
    // Keep this: without the eFuse key, nothing can open the image.
    const { keyFiles, plan } = efuse!;
    for (const { path, bytes } of keyFiles) {
      await Deno.writeFile(`${folder}/${path}`, bytes, { createNew: true, mode: 0o600 });
    }
    console.log(`${folder}: ${image.length} bytes; then burn, which cannot be undone:`);
    console.log(`  ${burnLine(plan)}`);
  }
}
