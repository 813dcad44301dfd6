// deno run --allow-read=factory --allow-write=factory examples/issue_from_csr.ts
//
// The key stays on the device: the device makes a signing request, and the CA answers with a
// certificate. Run provision_device.ts first, because it makes the CA.

import { createRequest, generateKey, issueCertificate } from "../mod.ts";
import { openCa } from "./provision_device.ts";

/** The device's part: makes a key, which stays there, and a signing request. */
export async function askForCertificate(subject: string): Promise<string> {
  const key = await generateKey({ curve: "P-256" });
  const sans = [`dns:${subject.slice(3)}.example`];
  return (await createRequest({ key, subject, sans })).pem;
}

if (import.meta.main) {
  const request = await askForCertificate("CN=device-2");
  const certificate = await issueCertificate({
    issuer: await openCa("factory/ca"),
    request,
    days: 365,
    usage: ["client"],
  });
  await Deno.writeTextFile("factory/device-2.pem", certificate.pem);
  const { subject, issuer, sans } = certificate;
  console.log(`"${subject}" (${sans.join(", ")}) issued by "${issuer}"`);
}
