// deno run --allow-read=factory --allow-write=factory examples/issue_from_csr.ts
//
// The key stays on the device: the device makes a signing request, and the CA answers with a
// certificate. Run provision_device.ts first, because it makes the CA.

import {
  createRequest,
  formatPem,
  generateKey,
  issueCertificate,
  readCertificate,
} from "../mod.ts";
import { openCa } from "./provision_device.ts";

/** The device's part: makes a key, which stays there, and a signing request. */
export async function askForCertificate(subject: string): Promise<Uint8Array> {
  const key = await generateKey({ curve: "P-256" });
  return await createRequest({ key, subject, sans: [`dns:${subject.slice(3)}.example`] });
}

if (import.meta.main) {
  const request = await askForCertificate("CN=device-2");
  const certificate = await issueCertificate({
    issuer: await openCa("factory/ca"),
    request,
    days: 365,
    usage: ["client"],
  });
  await Deno.writeTextFile("factory/device-2.pem", formatPem("CERTIFICATE", certificate));
  const { subject, issuer, sans } = readCertificate(certificate);
  console.log(`"${subject}" (${sans.join(", ")}) issued by "${issuer}"`);
}
