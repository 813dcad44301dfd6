import type { Certificate } from "../../crypto/x509/certificate.ts";
import type { Io } from "../io.ts";

/** Warns of a CA that has expired, or will before the certificate that it issued. */
export function noteIssuer(issuer: Certificate, issued: Certificate, io: Io): void {
  const now = new Date();
  const day = issuer.notAfter.toISOString().slice(0, 10);
  if (now > issuer.notAfter) io.note(`warning: the CA "${issuer.subject}" expired on ${day}`);
  else if (issued.notAfter > issuer.notAfter) {
    io.note(`warning: the certificate outlives its CA "${issuer.subject}", which ends on ${day}`);
  }
}
