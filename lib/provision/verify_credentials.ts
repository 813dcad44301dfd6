import { equalBytes } from "../bytes/pack.ts";
import { type CertificateInfo, publicKeyOf } from "../crypto/certificate_info.ts";
import { followChain } from "../crypto/chain.ts";
import type { PrivateKey } from "../crypto/keys.ts";
import { keyStorageOf, TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import type { ReadEntry } from "./contents.ts";
import { errorFinding, type Finding, type FindingCode, warningFinding } from "./findings.ts";

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
} = TLV_TYPES;
const WEAK_RSA_BITS = 2048;

/** What an image holds for TLS: the entries that the firmware's getters read. */
export interface Credentials {
  /** Device certificate, and what follows it in a bundle. */
  readonly deviceCerts: readonly CertificateInfo[];
  /** CA certificates. */
  readonly caCerts: readonly CertificateInfo[];
  /** The private key, when the image holds it in plaintext. */
  readonly privateKey?: PrivateKey;
  /** Whether there is a private key entry at all. */
  readonly hasKeyEntry: boolean;
}

/** What the credentials are judged against. */
export interface Trust {
  /** The CA that should have issued the device certificate. */
  readonly issuers?: readonly CertificateInfo[];
  /** The time at which certificates should be valid. */
  readonly now: Date;
}

/** The credentials of an image: the first entry of each type with subtype 0. */
export function findCredentials(entries: readonly ReadEntry[]): Credentials {
  const content = (type: number) =>
    entries.find(({ raw: { value } }) => value.type === type && value.subtype === 0)?.content;
  const certificates = (type: number) => {
    const found = content(type);
    return found?.kind === "certificate" ? found.certificates : [];
  };
  const key = content(KEY);
  return {
    deviceCerts: certificates(DEV),
    caCerts: certificates(CA),
    ...key?.kind === "privateKey" ? { privateKey: key.key } : {},
    hasKeyEntry: key !== undefined,
  };
}

/** What is wrong with single entries: not readable, or key bytes where none belong. */
export function judgeContents(entries: readonly ReadEntry[]): Finding[] {
  return entries.flatMap(({ raw: { value, offset }, content }, entry) => {
    const place = { entry, offset };
    if (content.kind === "unreadable") {
      const message = `the ${tlvTypeTitle(value.type)} cannot be read: ${content.problem}`;
      return [errorFinding(MISSING[value.type] ?? "NO_KEY", message, place)];
    }
    if (value.type !== KEY) return [];
    const storage = keyStorageOf(value.flags);
    if (storage === "plaintext") {
      const message = "the private key lies in flash in plaintext; whoever reads the flash has it";
      return [warningFinding("PLAINTEXT_KEY", message, place)];
    }
    if (storage !== "ecdsa-peripheral" || value.data.length === 0) return [];
    const message = "the entry says that the key is in an eFuse, and holds key bytes all the same";
    return [errorFinding("KEY_IN_PERIPHERAL_ENTRY", message, place)];
  });
}

/** What is missing. Legal, for the firmware reads what is there. */
export function judgeMissing(credentials: Credentials, entries: readonly ReadEntry[]): Finding[] {
  const has = (type: number) =>
    entries.some(({ raw: { value } }) => value.type === type && value.subtype === 0);
  const hasDs = entries.some(({ raw: { value } }) =>
    value.type === TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV
  );
  const findings: Finding[] = [];
  if (!has(DEV)) findings.push(warningFinding("NO_DEVICE_CERT", "there is no device certificate"));
  if (!has(CA)) findings.push(warningFinding("NO_CA_CERT", "there is no CA certificate"));
  if (!credentials.hasKeyEntry && !hasDs) {
    findings.push(warningFinding("NO_KEY", "there is no private key"));
  }
  return findings;
}

/** Whether the private key is that of the device certificate. */
export function judgeKey({ deviceCerts: [certificate], privateKey }: Credentials): Finding[] {
  if (certificate === undefined || privateKey === undefined) return [];
  if (equalBytes(certificate.publicKey, privateKey.publicKey)) return [];
  const message =
    "the private key is not that of the device certificate; no TLS handshake will succeed";
  return [errorFinding("KEY_MISMATCH", message)];
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
  if (issuers !== undefined) return [errorFinding("CHAIN_BROKEN", message)];
  return [warningFinding("CHAIN_BROKEN", `${message}; fine when that CA is the server's`)];
}

/** Dates and strength of the certificates. */
export function judgeCertificates(
  { deviceCerts, caCerts }: Credentials,
  { now }: Trust,
): Finding[] {
  return [
    ...deviceCerts.flatMap((certificate, index) => [
      ...judgeDates(
        certificate,
        now,
        index === 0 ? "device certificate" : "certificate in the device's bundle",
      ),
      ...judgeStrength(certificate),
    ]),
    ...caCerts.flatMap((certificate) => [
      ...judgeDates(certificate, now, "CA certificate"),
      ...judgeKeySize(certificate),
    ]),
  ];
}

const MISSING: Readonly<Record<number, FindingCode>> = {
  [CA]: "NO_CA_CERT",
  [DEV]: "NO_DEVICE_CERT",
  [KEY]: "NO_KEY",
};

function judgeDates(
  { notBefore, notAfter, subject }: CertificateInfo,
  now: Date,
  what: string,
): Finding[] {
  if (now > notAfter) {
    const message = `the ${what} "${subject}" expired on ${isoDay(notAfter)}`;
    return [errorFinding("CERT_EXPIRED", message)];
  }
  if (now >= notBefore) return [];
  const message = `the ${what} "${subject}" is not valid before ${isoDay(notBefore)}`;
  return [errorFinding("CERT_NOT_YET_VALID", message)];
}

function judgeStrength(certificate: CertificateInfo): Finding[] {
  const findings = judgeKeySize(certificate);
  const { signedWith, subject } = certificate;
  if (signedWith?.hash === "SHA-1") {
    findings.push(
      warningFinding("CERT_WEAK", `"${subject}" is signed with SHA-1, which TLS peers refuse`),
    );
  }
  if (signedWith === undefined) {
    findings.push(warningFinding("CERT_WEAK", `"${subject}" is signed with an unknown algorithm`));
  }
  return findings;
}

function judgeKeySize(certificate: CertificateInfo): Finding[] {
  const key = publicKeyOf(certificate);
  const { subject } = certificate;
  if (key === undefined) {
    return [
      warningFinding("CERT_WEAK", `"${subject}" has a kind of key that is neither RSA nor EC`),
    ];
  }
  if (key.type === "rsa" && key.bits < WEAK_RSA_BITS) {
    return [
      errorFinding(
        "CERT_WEAK",
        `"${subject}" has an RSA key of ${key.bits} bits, which can be broken`,
      ),
    ];
  }
  if (key.type === "ec" && key.bits < 224) {
    return [
      warningFinding("CERT_WEAK", `"${subject}" is on ${key.curve}, which TLS peers rarely take`),
    ];
  }
  return [];
}

function isoDay(date: Date): string {
  return date.toISOString().slice(0, 10);
}
