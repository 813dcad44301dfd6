import { equalBytes } from "../bytes/pack.ts";
import { isPem } from "../bytes/pem.ts";
import { quoted } from "../bytes/text.ts";
import { WEAK_RSA_BITS } from "../crypto/keys/curves.ts";
import { isSamePublicKey, type PublicKeyParts } from "../crypto/keys/encoding.ts";
import { findPrivateKey } from "../crypto/keys/find.ts";
import { type Certificate, fitInBundle, publicKeyOf } from "../crypto/x509/certificate.ts";
import { followChain, isSelfSigned } from "../crypto/x509/chain.ts";
import { ANY_USAGE, EXTENDED_KEY_USAGE } from "../crypto/x509/extensions.ts";
import { type Finding, finding } from "../findings/findings.ts";
import { type KeyStorage, keyStorageOf, TLV_TYPES } from "../format/names.ts";
import type { CheckOptions, ReadImage } from "./check.ts";

const WEAK_EC_BITS = 224;
/** RSA exponents up to this one are weak with careless padding. */
const WEAK_RSA_EXPONENT = 3;

/**
 * Whether the device certificate chains to the CA: the given one, or else the one in the image, which
 * may rightly be a different one, such as the CA of the server that the device calls.
 */
export async function checkChain(
  { credentials: { deviceCerts, caCerts } }: ReadImage,
  { issuers }: CheckOptions,
): Promise<Finding[]> {
  const [first, ...rest] = deviceCerts;
  const trusted = issuers ?? caCerts;
  if (first === undefined || trusted.length === 0) return [];
  const { path, fault, problem } = await followChain(first, [...rest, ...caCerts], trusted);
  if (fault === undefined) return [];
  if (fault === "unchecked") {
    return [finding("CHAIN_UNCHECKED", `the chain cannot be checked: ${problem}`)];
  }
  if (issuers === undefined && fault === "unfit") return [];
  const isOwn = !isSelfIssued(first) && caCerts.every(({ der }) => equalBytes(der, first.der));
  const last = path.at(-1)!;
  // A root that signed itself may have the stored CA's name by chance.
  const isWrong = fault === "wrong" && !await isSelfSigned(last);
  if (issuers !== undefined || isWrong || isOwn) {
    const message = `the device certificate does not chain to the CA: ${problem}`;
    return [finding("CHAIN_BROKEN", message)];
  }
  return [finding("CA_NOT_ISSUER", otherIssuerMessage(trusted[0]!, last))];
}

/**
 * Whether the device stores another CA than the one that issued its certificate, which is known to be
 * right otherwise.
 *
 * @param bundle The device certificate, and those that follow it.
 * @param caCerts What the device stores as its CA.
 */
export async function checkStoredCa(
  [first, ...rest]: readonly Certificate[],
  caCerts: readonly Certificate[],
): Promise<Finding[]> {
  const [stored] = caCerts;
  if (first === undefined || stored === undefined) return [];
  const { path, fault } = await followChain(first, [...rest, ...caCerts], caCerts);
  if (fault !== "absent" && fault !== "wrong") return [];
  return [finding("CA_NOT_ISSUER", otherIssuerMessage(stored, path.at(-1)!))];
}

function otherIssuerMessage(stored: Certificate, last: Certificate): string {
  const { subject, issuer } = last;
  const issued = isSelfIssued(last)
    ? `${quoted(subject)} is its own issuer`
    : `${quoted(subject)} was issued by ${quoted(issuer)}`;
  return `${issued}, and the device stores the CA ${
    quoted(stored.subject)
  }: it trusts servers with a certificate of that CA, such as a cloud service`;
}

function isSelfIssued({ subjectDer, issuerDer }: Certificate): boolean {
  return equalBytes(subjectDer, issuerDer);
}

/** Certificates whose stated purpose is not what a TLS client needs. */
export function checkPurposes({ credentials: { deviceCerts, caCerts } }: ReadImage): Finding[] {
  const [first] = deviceCerts;
  const problems = [
    ...first === undefined
      ? []
      : clientProblems(first).map((problem) =>
        `the device certificate ${quoted(first.subject)} ${problem}`
      ),
    ...caCerts.filter(({ isCa }) => !isCa).map(({ subject }) =>
      `the CA certificate ${
        quoted(subject)
      } is not that of a CA, and may not sign other certificates`
    ),
  ];
  return problems.map((message) => finding("CERT_PURPOSE", message));
}

function clientProblems({ keyUsage, extendedKeyUsage, claimsCa }: Certificate): string[] {
  const isForClients = extendedKeyUsage === undefined ||
    extendedKeyUsage.includes(EXTENDED_KEY_USAGE.client) || extendedKeyUsage.includes(ANY_USAGE);
  return [
    ...isForClients ? [] : ["is not for TLS clients: its extended key usage lacks clientAuth"],
    ...keyUsage?.includes("digitalSignature") === false
      ? ["may not sign TLS handshakes: its key usage lacks digitalSignature"]
      : [],
    ...claimsCa ? ["is a CA certificate, which TLS servers may refuse"] : [],
  ];
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
      ...checkKey(certificate, options),
      ...index > 0 && isSelfIssued(certificate) ? [] : checkSignature(certificate),
    ]),
    ...caCerts.flatMap((certificate) => [
      ...checkDates(certificate, "CA certificate", options),
      ...checkKey(certificate, options),
      ...isSelfIssued(certificate) ? [] : checkSignature(certificate),
    ]),
  ];
}

function checkDates(
  certificate: Certificate,
  what: string,
  options: CheckOptions,
): Finding[] {
  const { now } = options;
  const { notBefore, notAfter } = certificate;
  if (now > notAfter) {
    const message = `the ${what} ${quoted(certificate.subject)} expired on ${isoDay(notAfter)}`;
    return [finding("CERT_EXPIRED", message)];
  }
  const soon = checkEnd(certificate, what, options);
  if (now >= notBefore) return soon;
  const message = `the ${what} ${quoted(certificate.subject)} is not valid before ${
    isoDay(notBefore)
  }`;
  return [finding("CERT_NOT_YET_VALID", message), ...soon];
}

const DAY_MS = 86_400_000;
/** Days before the end of a certificate in which a warning is due. */
const SOON_DAYS = 90;

/** Whether a valid certificate ends soon, or within the days that were asked about. */
function checkEnd(
  certificate: Certificate,
  what: string,
  { now, expiresWithin }: CheckOptions,
): Finding[] {
  const { notAfter } = certificate;
  const left = (notAfter.getTime() - now.getTime()) / DAY_MS;
  if (left > (expiresWithin ?? SOON_DAYS)) return [];
  const days = Math.floor(left);
  const when = days === 1 ? "in 1 day" : days === 0 ? "in less than a day" : `in ${days} days`;
  const message = `the ${what} ${quoted(certificate.subject)} ends ${when}, on ${isoDay(notAfter)}`;
  return [
    finding("CERT_EXPIRES_SOON", message, {}, expiresWithin === undefined ? "warning" : "error"),
  ];
}

/** Keys that can be broken; other checks report one that cannot be read. */
function checkKey(certificate: Certificate, options: CheckOptions): Finding[] {
  const key = publicKeyOf(certificate);
  if (key?.type === "rsa") return checkRsaKey(certificate, key, options);
  if (key === undefined || key.bits >= WEAK_EC_BITS) return [];
  return [
    finding(
      "CERT_WEAK",
      `${quoted(certificate.subject)} has a key on ${key.curve}, which few TLS peers accept`,
    ),
  ];
}

function checkRsaKey(
  certificate: Certificate,
  { bits, exponent }: Extract<PublicKeyParts, { readonly type: "rsa" }>,
  { allowWeak }: CheckOptions,
): Finding[] {
  const findings: Finding[] = [];
  if (bits < WEAK_RSA_BITS) {
    const message = `${
      quoted(certificate.subject)
    } has an RSA key of ${bits} bits, which can be broken`;
    findings.push(finding("CERT_WEAK", message, {}, allowWeak ? "warning" : "error"));
  }
  if (exponent.length <= 1 && (exponent[0] ?? 0) <= WEAK_RSA_EXPONENT) {
    const message = `${quoted(certificate.subject)} has an RSA key with the exponent ${
      exponent[0] ?? 0
    }`;
    findings.push(finding("CERT_WEAK", message));
  }
  return findings;
}

/** The signature of a certificate that peers trust as it is, like that of a root, does not matter. */
function checkSignature(certificate: Certificate): Finding[] {
  const { signedWith } = certificate;
  if (signedWith?.hash !== "SHA-1" && signedWith?.hash !== "MD5") return [];
  const message = `${
    quoted(certificate.subject)
  } is signed with ${signedWith.hash}, which TLS peers refuse`;
  return [finding("CERT_WEAK", message)];
}

function isoDay(date: Date): string {
  return date.toISOString().slice(0, 10);
}

/** Whether the private key, as far as it is known, is that of the device certificate. */
export function checkKeyMatch(
  { credentials: { deviceCerts, keyEntry, dsData } }: ReadImage,
  options: CheckOptions,
): Finding[] {
  const [certificate] = deviceCerts;
  if (keyEntry?.isBroken) {
    const message =
      "the numbers of the private key contradict each other; its signatures are wrong";
    return [finding("KEY_MISMATCH", message, keyEntry.place)];
  }
  if (keyEntry?.agreement !== undefined) {
    // KEY_REFUSED is for what the device does not parse; it parses these, and then has no key to sign with.
    const message =
      `the private key is for ${keyEntry.agreement}, which cannot sign; no TLS handshake will succeed`;
    return [finding("KEY_MISMATCH", message, keyEntry.place)];
  }
  const publicKey = keyEntry?.publicKey ?? options.publicKey;
  // The check of the DS mode has compared what it opened.
  if (certificate === undefined || publicKey === undefined || dsData?.opened) return [];
  if (isSamePublicKey(certificate.publicKey, publicKey)) return [];
  const message =
    "the private key is not that of the device certificate; no TLS handshake will succeed";
  const fit = fitInBundle(deviceCerts, (each) => isSamePublicKey(each.publicKey, publicKey));
  return [finding("KEY_MISMATCH", message + fit)];
}

/** Key bytes in entries whose flags say that the key is elsewhere, or encrypted. */
export function checkKeyBytes({ entries }: ReadImage): Finding[] {
  return entries.flatMap(({ raw: { value, offset } }, entry) => {
    const { type, flags, data } = value;
    if (type !== TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV) return [];
    if (!holdsKey(keyStorageOf(flags), data)) return [];
    const message = "the entry's flags say that the key is in an eFuse, yet it holds key bytes";
    return [finding("KEY_IN_PERIPHERAL_ENTRY", message, { entry, offset })];
  });
}

/** What a derived key's entry holds is exposed: the firmware looks at none of it. */
function holdsKey(storage: KeyStorage, data: Uint8Array): boolean {
  if (storage === "ecdsa-peripheral") return data.length > 0;
  return storage === "hmac-encrypted" && (isPem(data) || findPrivateKey(data) !== undefined);
}
