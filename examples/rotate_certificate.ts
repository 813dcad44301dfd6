// deno run --allow-read=factory --allow-write=factory examples/rotate_certificate.ts
//
// Replaces the certificate in an image by a new one for the same key, and keeps the rest. Run
// provision_device.ts first.

import { append, importPrivateKey, issueCertificate, type Issuer, openSecureCert } from "../mod.ts";
import { openCa } from "./provision_device.ts";

/** Returns the image with a certificate that is valid from now on. */
export async function renew(
  image: Uint8Array,
  options: { issuer: Issuer; subject: string; days: number },
): Promise<Uint8Array> {
  const device = openSecureCert(image);
  // If the key is in an eFuse, use the public key of the old certificate instead.
  const { publicKey } = await importPrivateKey(await device.privateKey());
  const certificate = await issueCertificate({ ...options, publicKey });
  const data = new TextEncoder().encode(certificate.pem);
  const result = await append(image, {
    replace: [{ type: "ESP_SECURE_CERT_DEV_CERT_TLV", data }],
  });
  return result.image;
}

if (import.meta.main) {
  const folder = "factory/device-1";
  const image = await Deno.readFile(`${folder}/esp_secure_cert.bin`);
  const issuer = await openCa("factory/ca");
  const renewed = await renew(image, { issuer, subject: "CN=device-1", days: 365 });
  await Deno.writeFile(`${folder}/renewed.bin`, renewed, { mode: 0o600 });
  console.log(`${folder}/renewed.bin: ${renewed.length} bytes`);
}
