// deno run --allow-read=factory --allow-write=factory examples/provision_device.ts device-1
//
// Provisions one device. The first run makes a CA, which is kept for the next device.

import {
  createDevelopmentCa,
  exportPrivateKey,
  importPrivateKey,
  type Issuer,
  provision,
} from "../mod.ts";

/** Opens the CA in a folder; the first call makes it. */
export async function openCa(folder: string): Promise<Issuer> {
  const [certificate, key] = [`${folder}/ca.pem`, `${folder}/ca.key.pem`];
  try {
    return {
      certificate: await Deno.readFile(certificate),
      key: await importPrivateKey(await Deno.readFile(key)),
    };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const ca = await createDevelopmentCa();
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(key, await exportPrivateKey(ca.key), { createNew: true, mode: 0o600 });
  await Deno.writeTextFile(certificate, ca.certificate.pem);
  return ca;
}

if (import.meta.main) {
  const id = Deno.args[0] ?? "device-1";
  const folder = `factory/${id}`;
  const device = await provision({ issuer: await openCa("factory/ca"), subject: `CN=${id}` });
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(`${folder}/esp_secure_cert.bin`, device.image, { mode: 0o600 });
  await Deno.writeTextFile(`${folder}/device.pem`, device.certificate.pem);
  const key = await exportPrivateKey(device.key);
  await Deno.writeFile(`${folder}/device.key.pem`, key, { mode: 0o600 });
  console.log(`${folder}: ${device.verdict.ok ? "good" : "bad"}, ${device.image.length} bytes`);
}
