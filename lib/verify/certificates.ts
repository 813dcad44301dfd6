import { equalBytes } from "../bytes/pack.ts";
import { WEAK_RSA_BITS } from "../crypto/keys/curves.ts";
import { type Certificate, publicKeyOf } from "../crypto/x509/certificate.ts";
import { followChain } from "../crypto/x509/chain.ts";
import { type Finding, finding } from "../findings/findings.ts";
import type { CheckOptions, ReadImage } from "./check.ts";

const WEAK_EC_BITS = 224;

/**
 * Whether the device certificate leads to the CA: the one that is given, or else that of the image,
 * which may rightly be another one, such as the CA of the server that the device calls.
 */
export async function checkChain(
  { credentials: { deviceCerts, caCerts } }: ReadImage,
  { issuers }: CheckOptions,
): Promise<Finding[]> {
  const [first, ...rest] = deviceCerts;
  const trusted = issuers ?? caCerts;
  if (first === undefined || trusted.length === 0) return [];
  const { problem } = await followChain(first, [...rest, ...caCerts], trusted);
  if (problem === undefined) return [];
  const message = `the device certificate does not lead to the CA: ${problem}`;
  const isNamed = !isSelfIssued(first) &&
    trusted.some(({ subjectDer }) => equalBytes(subjectDer, first.issuerDer));
  if (issuers !== undefined || isNamed) return [finding("CHAIN_BROKEN", message)];
  return [finding("CHAIN_BROKEN", `${message}; fine when that CA is the server's`, {}, "warning")];
}

function isSelfIssued({ subjectDer, issuerDer }: Certificate): boolean {
  return equalBytes(subjectDer, issuerDer);
}

/** CA certificates that may not sign others. */
export function checkCas({ credentials: { caCerts } }: ReadImage): Finding[] {
  return caCerts.filter(({ isCa }) => !isCa).map(({ subject }) => {
    const message =
      `the CA certificate "${subject}" is not that of a CA, and may not sign other certificates`;
    return finding("NO_CA_CERT", message);
  });
}

/** Dates and strength of the certificates. */
export function checkCertificates(
  { credentials: { deviceCerts, caCerts } }: ReadImage,
  options: CheckOptions,
): Finding[] {
  return [
    ...deviceCerts.flatMap((certificate, index) => [
      ...checkDates(
        certificate,
        index === 0 ? "device certificate" : "certificate in the device's bundle",
        options,
      ),
      ...checkKeySize(certificate, options),
      ...checkSignature(certificate),
    ]),
    ...caCerts.flatMap((certificate) => [
      ...checkDates(certificate, "CA certificate", options),
      ...checkKeySize(certificate, options),
    ]),
  ];
}

function checkDates(
  { notBefore, notAfter, subject }: Certificate,
  what: string,
  { now }: CheckOptions,
): Finding[] {
  if (now > notAfter) {
    const message = `the ${what} "${subject}" expired on ${isoDay(notAfter)}`;
    return [finding("CERT_EXPIRED", message)];
  }
  if (now >= notBefore) return [];
  const message = `the ${what} "${subject}" is not valid before ${isoDay(notBefore)}`;
  return [finding("CERT_NOT_YET_VALID", message)];
}

function checkKeySize(certificate: Certificate, { allowWeak }: CheckOptions): Finding[] {
  const key = publicKeyOf(certificate);
  const { subject } = certificate;
  if (key === undefined) {
    return [finding("CERT_WEAK", `"${subject}" has a kind of key that is neither RSA nor EC`)];
  }
  if (key.type === "rsa" && key.bits < WEAK_RSA_BITS) {
    const message = `"${subject}" has an RSA key of ${key.bits} bits, which can be broken`;
    return [finding("CERT_WEAK", message, {}, allowWeak ? "warning" : "error")];
  }
  if (key.type === "ec" && key.bits < WEAK_EC_BITS) {
    return [finding("CERT_WEAK", `"${subject}" is on ${key.curve}, which TLS peers rarely take`)];
  }
  return [];
}

function checkSignature({ signedWith, subject }: Certificate): Finding[] {
  if (signedWith === undefined) {
    return [finding("CERT_WEAK", `"${subject}" is signed with an unknown algorithm`)];
  }
  if (signedWith.hash !== "SHA-1") return [];
  return [finding("CERT_WEAK", `"${subject}" is signed with SHA-1, which TLS peers refuse`)];
}

function isoDay(date: Date): string {
  return date.toISOString().slice(0, 10);
}
