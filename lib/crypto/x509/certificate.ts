import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, equalBytes } from "../../bytes/pack.ts";
import { derBlocks } from "../../bytes/pem.ts";
import { formatHex } from "../../bytes/text.ts";
import { BasicConstraints, Certificate, fromBER } from "../deps.ts";
import { berOf, readDer } from "../der/read.ts";
import { decodeSpki, keyName, type PublicKeyParts } from "../keys/encoding.ts";
import { formatName } from "./name.ts";
import { formatSans } from "./san.ts";
import type { SignatureScheme } from "../signing.ts";
import { EXTENSION, KEY_USAGE, signatureScheme } from "./extensions.ts";

/** What a certificate says. */
export interface CertificateInfo {
  /** Subject as text, in the order of its bytes. */
  readonly subject: string;
  /** Issuer as text. */
  readonly issuer: string;
  /** Serial number in hexadecimal, without a sign byte. */
  readonly serial: string;
  /** First moment of validity. */
  readonly notBefore: Date;
  /** Last moment of validity; the end of the year 9999 means that there is none. */
  readonly notAfter: Date;
  /** Kind of public key, such as `P-256` or `RSA-2048`; an object identifier for another kind. */
  readonly key: string;
  /** Subject alternative names, such as `dns:a.example`. */
  readonly sans: readonly string[];
  /** Whether it may sign certificates. */
  readonly isCa: boolean;
  /** How many CAs may follow below it. */
  readonly pathLength?: number;
  /** X.509 version, 1 to 3. */
  readonly version: number;
  /** How it is signed; absent for an algorithm that is not known. */
  readonly signedWith?: SignatureScheme;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Bytes;
  /** Subject, DER. */
  readonly subjectDer: Bytes;
  /** Issuer, DER. */
  readonly issuerDer: Bytes;
  /** subjectKeyIdentifier, where there is one. */
  readonly subjectKeyId?: Bytes;
  /** The signed part, DER. */
  readonly signedPart: Bytes;
  /** The signature. */
  readonly signature: Bytes;
  /** The whole certificate, DER. */
  readonly der: Bytes;
}

/**
 * What the first certificate of a file says.
 *
 * @param bytes PEM or DER; a NUL behind PEM does not matter.
 * @returns Its contents; the signature is not judged here.
 * @throws {SecureCertError} `ERR_CERTIFICATE` when it is malformed, `ERR_PEM` when a PEM holds none.
 */
export function readCertificate(bytes: Uint8Array): CertificateInfo {
  return parseCertificate(derBlocks(bytes, CERTIFICATE_LABELS)[0]!);
}

/**
 * What each certificate of a file says, in the order of the file.
 *
 * @param bytes A PEM bundle, one PEM or one DER.
 * @throws {SecureCertError} as {@linkcode readCertificate}.
 */
export function readCertificates(bytes: Uint8Array): CertificateInfo[] {
  return derBlocks(bytes, CERTIFICATE_LABELS).map(parseCertificate);
}

/** Reads the certificates of a file. */
export type CertificateReader = (bytes: Uint8Array) => readonly CertificateInfo[];

/**
 * A {@linkcode readCertificates} that knows the last certificates again, for work in which the same one
 * comes many times, such as a CA's: to take one apart costs more than to check its signature.
 *
 * @param most How many it keeps.
 */
export function createCertificateReader(most = 64): CertificateReader {
  const known: CertificateInfo[] = [];
  const read = (der: Bytes): CertificateInfo => {
    const at = known.findIndex((each) => equalBytes(each.der, der));
    const info = at < 0 ? parseCertificate(der) : known.splice(at, 1)[0]!;
    known.unshift(info);
    if (known.length > most) known.pop();
    return info;
  };
  return (bytes) => derBlocks(bytes, CERTIFICATE_LABELS).map(read);
}

/** Labels under which PEM files hold certificates. */
export const CERTIFICATE_LABELS: readonly string[] = ["CERTIFICATE", "X509 CERTIFICATE"];

/** The parts of a certificate's public key, or undefined for a kind that is neither RSA nor EC. */
export function publicKeyOf(certificate: CertificateInfo): PublicKeyParts | undefined {
  try {
    return decodeSpki(certificate.publicKey);
  } catch (error) {
    if (error instanceof SecureCertError) return undefined;
    throw error;
  }
}

function parseCertificate(der: Bytes): CertificateInfo {
  try {
    return infoOf(Certificate.fromBER(der), der);
  } catch (cause) {
    const message = "Cannot decode certificate: malformed";
    throw new SecureCertError("ERR_CERTIFICATE", message, {}, { cause });
  }
}

function infoOf(certificate: Certificate, der: Bytes): CertificateInfo {
  const publicKey = berOf(certificate.subjectPublicKeyInfo.toSchema());
  const subjectDer = berOf(certificate.subject.toSchema());
  const issuerDer = berOf(certificate.issuer.toSchema());
  const values = extensionValues(certificate);
  const constraints = basicConstraints(values.get(EXTENSION.basicConstraints));
  const sans = values.get(EXTENSION.subjectAltName);
  const keyId = values.get(EXTENSION.subjectKeyIdentifier);
  const signedWith = signatureScheme(berOf(certificate.signatureAlgorithm.toSchema()));
  return {
    subject: formatName(subjectDer),
    issuer: formatName(issuerDer),
    serial: serialOf(certificate),
    notBefore: validTime(certificate.notBefore.value),
    notAfter: validTime(certificate.notAfter.value),
    key: publicKeyName(publicKey),
    sans: sans === undefined ? [] : formatSans(sans),
    isCa: mayIssue(certificate, constraints, values.get(EXTENSION.keyUsage)),
    ...constraints.pathLength === undefined ? {} : { pathLength: constraints.pathLength },
    version: certificate.version + 1,
    ...signedWith === undefined ? {} : { signedWith },
    publicKey,
    subjectDer,
    issuerDer,
    ...keyId === undefined ? {} : { subjectKeyId: readDer(keyId, "key identifier").content },
    signedPart: new Uint8Array(certificate.tbsView),
    signature: new Uint8Array(certificate.signatureValue.valueBlock.valueHexView),
    der,
  };
}

function extensionValues({ extensions = [] }: Certificate): ReadonlyMap<string, Bytes> {
  return new Map(
    extensions.map((
      { extnID, extnValue },
    ) => [extnID, new Uint8Array(extnValue.valueBlock.valueHexView)]),
  );
}

function basicConstraints(value: Bytes | undefined): { isCa: boolean; pathLength?: number } {
  if (value === undefined) return { isCa: false };
  const { cA, pathLenConstraint } = new BasicConstraints({ schema: fromBER(value).result });
  if (pathLenConstraint === undefined) return { isCa: cA };
  const isNumber = typeof pathLenConstraint === "number";
  return { isCa: cA, pathLength: isNumber ? pathLenConstraint : Number.MAX_SAFE_INTEGER };
}

/** A version 1 certificate cannot say that it is a CA's; mbedTLS takes a self-issued one for it. */
function mayIssue(
  certificate: Certificate,
  constraints: { isCa: boolean },
  keyUsage: Bytes | undefined,
): boolean {
  if (certificate.version === 0) return certificate.subject.isEqual(certificate.issuer);
  const bits = keyUsage === undefined ? 0xFF : readDer(keyUsage, "key usage").content[0] ?? 0;
  return constraints.isCa && (bits & 0x80 >> KEY_USAGE.keyCertSign) !== 0;
}

function serialOf({ serialNumber }: Certificate): string {
  const bytes = new Uint8Array(serialNumber.valueBlock.valueHexView);
  return formatHex(bytes[0] === 0 && bytes.length > 1 ? bytes.subarray(1) : bytes);
}

function validTime(time: Date): Date {
  if (Number.isNaN(time.getTime())) throw new RangeError("no time");
  return time;
}

function publicKeyName(spki: Bytes): string {
  try {
    return keyName(decodeSpki(spki));
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return readDer(spki, "public key").children[0]?.children[0]?.oid ?? "unknown";
  }
}
