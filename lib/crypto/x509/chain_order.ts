import { equalBytes } from "../../bytes/pack.ts";
import type { CertificateInfo } from "./certificate.ts";

/**
 * The certificates that stand behind a device's own when it shows itself (RFC 8446 section 4.4.2): each
 * is the issuer of the one before. A self-signed one, which the other side has, is left out.
 *
 * @param leaf The device certificate.
 * @param others Where to look for them, in any order; what does not belong there is passed over.
 */
export function chainBehind(
  leaf: CertificateInfo,
  others: readonly CertificateInfo[],
): CertificateInfo[] {
  const chain: CertificateInfo[] = [];
  const isIssuerOf = (below: CertificateInfo) => (above: CertificateInfo) =>
    above.isCa && equalBytes(above.subjectDer, below.issuerDer) &&
    !equalBytes(above.subjectDer, above.issuerDer) && !chain.includes(above);
  for (let next = others.find(isIssuerOf(leaf)); next; next = others.find(isIssuerOf(next))) {
    chain.push(next);
  }
  return chain;
}
