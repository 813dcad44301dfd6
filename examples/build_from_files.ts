// deno run --allow-read=factory --allow-write=factory examples/build_from_files.ts
//
// Builds an image from an existing certificate, CA certificate and key, with a serial number as user
// data. Run provision_device.ts first, or put your own files there.

import { build, SecureCertError } from "../mod.ts";

const CA = "factory/ca/ca.pem";
const DEVICE = "factory/device-1";

/** Builds the image, or returns the findings that prevent it. */
export async function buildImage(): Promise<Uint8Array | string[]> {
  try {
    const { image } = await build({
      caCert: await Deno.readFile(CA),
      deviceCert: await Deno.readFile(`${DEVICE}/device.pem`),
      privateKey: await Deno.readFile(`${DEVICE}/device.key.pem`),
      data: [{ type: "ESP_SECURE_CERT_USER_DATA_1", data: new TextEncoder().encode("SN-0001") }],
    }, { size: 0x2000, fill: true });
    return image;
  } catch (error) {
    if (!(error instanceof SecureCertError) || error.code !== "ERR_VERIFY") throw error;
    return (error.verdict?.findings ?? []).map(({ code, message }) => `${code}: ${message}`);
  }
}

if (import.meta.main) {
  const image = await buildImage();
  if (image instanceof Uint8Array) {
    await Deno.writeFile(`${DEVICE}/with_serial.bin`, image, { mode: 0o600 });
    console.log(`${DEVICE}/with_serial.bin: ${image.length} bytes`);
  } else {
    console.error(image.join("\n"));
    Deno.exitCode = 1;
  }
}
