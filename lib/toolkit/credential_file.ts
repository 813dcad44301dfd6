// Certificates, keys and signing requests as people keep them in files, of which only the public half is
// reported. Loaded when a file is neither an image nor a partition table.
import { SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { MAX_CREDENTIAL_FILE, parsePem, type PemBlock, pemText } from "../bytes/pem.ts";
import { formatHex } from "../bytes/text.ts";
import { sha256 } from "../crypto/deps.ts";
import { decodeSpki, keyName } from "../crypto/keys/encoding.ts";
import { importPrivateKey, isProtectedKey } from "../crypto/keys/keys.ts";
import { CERTIFICATE_LABELS, readCertificate } from "../crypto/x509/certificate.ts";
import { inspectRequest, REQUEST_LABELS } from "../crypto/x509/request.ts";

/**
 * A certificate, key or signing request in a file; never a secret.
 *
 * @category Reading and checking
 */
export interface CredentialFileReport {
  /** What it is. */
  readonly format: "certificate" | "private key" | "public key" | "request";
  /** Subject of a certificate or request. */
  readonly subject?: string;
  /** Issuer of a certificate. */
  readonly issuer?: string;
  /** Serial number of a certificate in hexadecimal. */
  readonly serial?: string;
  /** First moment of a certificate's validity, ISO 8601. */
  readonly notBefore?: string;
  /** Last moment of it, ISO 8601; 9999-12-31T23:59:59.000Z when there is no end. */
  readonly notAfter?: string;
  /** Kind of key, such as `P-256`; absent for a private key that is protected by a password. */
  readonly key?: string;
  /** Subject alternative names of a certificate or request. */
  readonly sans?: readonly string[];
  /** SHA-256 of a certificate or request, DER, hexadecimal. */
  readonly fingerprint?: string;
  /** SHA-256 of the public key, SubjectPublicKeyInfo in DER, hexadecimal. */
  readonly publicKeyFingerprint?: string;
  /** Present when a private key cannot be read without a password. */
  readonly encrypted?: true;
  /** What is wrong with it: it is malformed, or a request's signature is not its key's. */
  readonly problem?: string;
}

/** What {@linkcode readCredentialFile} finds. */
type CredentialFormat = CredentialFileReport["format"];

type Reader = (bytes: Bytes) => CredentialFileReport | Promise<CredentialFileReport>;

/** In the order in which a DER file is tried: no certificate can be read as a request, nor the reverse. */
const READERS: Readonly<Record<CredentialFormat, Reader>> = {
  "certificate": reportCertificateFile,
  "request": reportRequest,
  "private key": reportPrivateKey,
  "public key": (bytes) => ({ format: "public key", ...publicHalf(bytes) }),
};

/** What each PEM block is of which the label says so. */
const LABELS: Readonly<Record<string, CredentialFormat>> = Object.fromEntries([
  ...CERTIFICATE_LABELS.map((label) => [label, "certificate"]),
  ...REQUEST_LABELS.map((label) => [label, "request"]),
  ...["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]
    .map((label) => [label, "private key"]),
  ["PUBLIC KEY", "public key"],
]);

/**
 * The certificates, keys and signing requests in a file, PEM or DER, in its order; none for a file that
 * is something else. What is malformed in a PEM has its `problem`.
 */
export async function readCredentialFile(file: Uint8Array): Promise<CredentialFileReport[]> {
  if (file.length > MAX_CREDENTIAL_FILE) return [];
  const text = pemText(file);
  if (text === undefined) return await readDerFile(new Uint8Array(file));
  const blocks = await attempt(() => parsePem(text));
  if (blocks instanceof SecureCertError) return [];
  const known = blocks.filter(({ label }) => Object.hasOwn(LABELS, label));
  return await Promise.all(known.map(readBlock));
}

async function readBlock({ label, bytes, headers }: PemBlock): Promise<CredentialFileReport> {
  const format = LABELS[label]!;
  if ("DEK-Info" in headers) return { format, encrypted: true };
  const report = await attempt(() => READERS[format](bytes));
  return report instanceof SecureCertError ? { format, problem: report.message } : report;
}

/** One value, whose kind shows when it is read. */
async function readDerFile(file: Bytes): Promise<CredentialFileReport[]> {
  for (const read of Object.values(READERS)) {
    const report = await attempt(() => read(file));
    if (!(report instanceof SecureCertError)) return [report];
  }
  return [];
}

function reportCertificateFile(bytes: Bytes): CredentialFileReport {
  const { subject, issuer, serial, notBefore, notAfter, key, sans, der, publicKey } =
    readCertificate(bytes);
  return {
    format: "certificate",
    subject,
    issuer,
    serial,
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    key,
    sans,
    fingerprint: fingerprintOf(der),
    publicKeyFingerprint: fingerprintOf(publicKey),
  };
}

async function reportRequest(bytes: Bytes): Promise<CredentialFileReport> {
  const { request, problem } = await inspectRequest(bytes);
  const { subject, sans, der, publicKey } = request;
  return {
    format: "request",
    subject,
    sans,
    ...publicHalf(publicKey),
    fingerprint: fingerprintOf(der),
    problem,
  };
}

async function reportPrivateKey(bytes: Bytes): Promise<CredentialFileReport> {
  if (isProtectedKey(bytes)) return { format: "private key", encrypted: true };
  const { publicKey } = await importPrivateKey(bytes);
  return { format: "private key", ...publicHalf(publicKey) };
}

function publicHalf(spki: Uint8Array): Pick<CredentialFileReport, "key" | "publicKeyFingerprint"> {
  return { key: keyName(decodeSpki(spki)), publicKeyFingerprint: fingerprintOf(spki) };
}

function fingerprintOf(der: Uint8Array): string {
  return formatHex(sha256(der));
}

async function attempt<T>(read: () => T | Promise<T>): Promise<T | SecureCertError> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SecureCertError) return error;
    throw error;
  }
}
