import { SecureCertError } from "../bytes/errors.ts";
import { equalBytes } from "../bytes/pack.ts";
import { type CertificateInfo, publicKeyOf } from "../crypto/x509/certificate.ts";
import { WEAK_RSA_BITS } from "../crypto/keys/curves.ts";
import { decodeKeyParts } from "../crypto/keys/encoding.ts";
import { followChain } from "../crypto/x509/chain.ts";
import { type KeyStorage, keyStorageOf, TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import { isPem } from "../bytes/pem.ts";
import type { ReadEntry } from "../image/contents/contents.ts";
import type { Credentials } from "../image/contents/credentials.ts";
import { type Finding, finding, type FindingCode } from "../findings/findings.ts";

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
  ESP_SECURE_CERT_DS_DATA_TLV: DS_DATA,
} = TLV_TYPES;

/** What the credentials are judged against. */
export interface Trust {
  /** The CA that should have issued the device certificate. */
  readonly issuers?: readonly CertificateInfo[];
  /** Whether weak RSA keys are let pass with a warning. */
  readonly allowWeak: boolean;
  /** The time at which certificates should be valid. */
  readonly now: Date;
}

/** What is wrong with single entries: not readable, or key bytes where none belong. */
export function judgeContents(entries: readonly ReadEntry[]): Finding[] {
  return entries.flatMap(({ raw: { value, offset }, content }, entry) => {
    const place = { entry, offset };
    // judgeSignatures says what the firmware makes of these.
    if (value.type === TLV_TYPES.ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV) return [];
    if (content.kind === "unreadable") {
      const message = `the ${tlvTypeTitle(value.type)} cannot be read: ${content.problem}`;
      return [finding(UNREADABLE[value.type] ?? "NO_KEY", message, place, "error")];
    }
    if (value.type !== KEY) return [];
    const storage = keyStorageOf(value.flags);
    if (!holdsKey(storage, value.data)) return [];
    const message = "the entry says that the key is in an eFuse, and holds key bytes all the same";
    return [finding("KEY_IN_PERIPHERAL_ENTRY", message, place)];
  });
}

/** Key bytes in an entry whose flags say that the key is elsewhere, or encrypted. */
function holdsKey(storage: KeyStorage, data: Uint8Array): boolean {
  if (storage === "plaintext" || data.length === 0) return false;
  if (storage === "ecdsa-peripheral" || isPem(data)) return true;
  try {
    decodeKeyParts(data);
    return true;
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}

/** What is missing. Legal, for the firmware reads what is there. */
export function judgeMissing({ types }: Credentials): Finding[] {
  const findings: Finding[] = [];
  if (!types.has(DEV)) {
    findings.push(finding("NO_DEVICE_CERT", "there is no device certificate"));
  }
  if (!types.has(CA)) findings.push(finding("NO_CA_CERT", "there is no CA certificate"));
  if (!types.has(KEY) && !types.has(DS_DATA)) {
    findings.push(finding("NO_KEY", "there is no private key"));
  }
  return findings;
}

/** Whether the private key, as far as it is known, is that of the device certificate. */
export function judgeKey(
  { deviceCerts: [certificate], keyEntry, dsData }: Credentials,
  known: Uint8Array | undefined,
): Finding[] {
  const publicKey = keyEntry?.publicKey ?? known;
  // DS data that was opened has been compared by itself.
  if (certificate === undefined || publicKey === undefined || dsData?.opened) return [];
  if (equalBytes(certificate.publicKey, publicKey)) return [];
  const message =
    "the private key is not that of the device certificate; no TLS handshake will succeed";
  return [finding("KEY_MISMATCH", message)];
}

/**
 * Whether the device certificate leads to the CA: the one it is judged against, or else that of the
 * image, which may rightly be another one, such as the CA of the server that the device calls.
 */
export async function judgeChain(credentials: Credentials, { issuers }: Trust): Promise<Finding[]> {
  const [first, ...rest] = credentials.deviceCerts;
  const trusted = issuers ?? credentials.caCerts;
  if (first === undefined || trusted.length === 0) return [];
  const { problem } = await followChain(first, [...rest, ...credentials.caCerts], trusted);
  if (problem === undefined) return [];
  const message = `the device certificate does not lead to the CA: ${problem}`;
  const isNamed = !isSelfIssued(first) &&
    trusted.some(({ subjectDer }) => equalBytes(subjectDer, first.issuerDer));
  if (issuers !== undefined || isNamed) return [finding("CHAIN_BROKEN", message)];
  return [finding("CHAIN_BROKEN", `${message}; fine when that CA is the server's`, {}, "warning")];
}

function isSelfIssued({ subjectDer, issuerDer }: CertificateInfo): boolean {
  return equalBytes(subjectDer, issuerDer);
}

/** CA certificates that may sign none. */
export function judgeCa({ caCerts }: Credentials): Finding[] {
  return caCerts.filter(({ isCa }) => !isCa).map(({ subject }) => {
    const message =
      `the CA certificate "${subject}" is not a CA's; it vouches for no other certificate`;
    return finding("NO_CA_CERT", message);
  });
}

/** Dates and strength of the certificates. */
export function judgeCertificates(
  { deviceCerts, caCerts }: Credentials,
  { now, allowWeak }: Trust,
): Finding[] {
  return [
    ...deviceCerts.flatMap((certificate, index) => [
      ...judgeDates(
        certificate,
        now,
        index === 0 ? "device certificate" : "certificate in the device's bundle",
      ),
      ...judgeStrength(certificate, allowWeak),
    ]),
    ...caCerts.flatMap((certificate) => [
      ...judgeDates(certificate, now, "CA certificate"),
      ...judgeKeySize(certificate, allowWeak),
    ]),
  ];
}

const UNREADABLE: Readonly<Record<number, FindingCode>> = {
  [CA]: "NO_CA_CERT",
  [DEV]: "NO_DEVICE_CERT",
  [KEY]: "NO_KEY",
  [DS_DATA]: "DS_BLOB",
  [TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV]: "DS_CONTEXT",
  [TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG]: "NO_KEY",
};

function judgeDates(
  { notBefore, notAfter, subject }: CertificateInfo,
  now: Date,
  what: string,
): Finding[] {
  if (now > notAfter) {
    const message = `the ${what} "${subject}" expired on ${isoDay(notAfter)}`;
    return [finding("CERT_EXPIRED", message)];
  }
  if (now >= notBefore) return [];
  const message = `the ${what} "${subject}" is not valid before ${isoDay(notBefore)}`;
  return [finding("CERT_NOT_YET_VALID", message)];
}

function judgeStrength(certificate: CertificateInfo, allowWeak: boolean): Finding[] {
  const findings = judgeKeySize(certificate, allowWeak);
  const { signedWith, subject } = certificate;
  if (signedWith?.hash === "SHA-1") {
    findings.push(
      finding("CERT_WEAK", `"${subject}" is signed with SHA-1, which TLS peers refuse`),
    );
  }
  if (signedWith === undefined) {
    findings.push(finding("CERT_WEAK", `"${subject}" is signed with an unknown algorithm`));
  }
  return findings;
}

function judgeKeySize(certificate: CertificateInfo, allowWeak: boolean): Finding[] {
  const key = publicKeyOf(certificate);
  const { subject } = certificate;
  if (key === undefined) {
    return [
      finding("CERT_WEAK", `"${subject}" has a kind of key that is neither RSA nor EC`),
    ];
  }
  if (key.type === "rsa" && key.bits < WEAK_RSA_BITS) {
    const message = `"${subject}" has an RSA key of ${key.bits} bits, which can be broken`;
    return [finding("CERT_WEAK", message, {}, allowWeak ? "warning" : "error")];
  }
  if (key.type === "ec" && key.bits < 224) {
    return [
      finding("CERT_WEAK", `"${subject}" is on ${key.curve}, which TLS peers rarely take`),
    ];
  }
  return [];
}

function isoDay(date: Date): string {
  return date.toISOString().slice(0, 10);
}
