import { SecureCertError } from "../bytes/errors.ts";
import { formatPem } from "../bytes/pem.ts";
import { decodeUtf8 } from "../bytes/text.ts";
import { type CertificateInfo, readCertificate } from "../crypto/certificate_info.ts";
import { readDer } from "../crypto/der.ts";
import type { ManifestRow } from "./manifest.ts";

/** A finished device on its way to a registry in the cloud. */
export interface ExportDevice {
  /** Its row of the manifest. */
  readonly row: ManifestRow;
  /** Its own certificate, without those above it. */
  readonly certificate: CertificateInfo;
}

/** A piece of a file of an export, in order; the files are written one after another. */
export interface ExportPart {
  /** Name of the file. */
  readonly file: string;
  /** What is appended to it. */
  readonly text: string;
}

/** What a registry takes. Made anew for every export, for it may remember the devices it has seen. */
export interface Exporter {
  /** What the registry would refuse about a device, in words; called once for each. */
  readonly problemsOf: (device: ExportDevice) => readonly string[];
  /** The files, from devices about which there is no problem. */
  readonly parts: (devices: AsyncIterable<ExportDevice>) => AsyncGenerator<ExportPart>;
}

const COMMON_NAME = "2.5.4.3";

/**
 * A device with its certificate.
 *
 * @param row Its row of the manifest.
 * @param certificate Its certificate file, PEM (a bundle too, the device's first) or DER.
 * @throws {SecureCertError} as `readCertificate`.
 */
export function exportDevice(row: ManifestRow, certificate: Uint8Array): ExportDevice {
  return { row, certificate: readCertificate(certificate) };
}

/** A certificate as PEM text. */
export function pemOf({ der }: CertificateInfo): string {
  return formatPem("CERTIFICATE", der);
}

/** The common name of a certificate's subject (RFC 5280 appendix A.1), the first if there are more. */
export function commonNameOf({ subjectDer }: CertificateInfo): string | undefined {
  const attributes = readDer(subjectDer, "name").children.flatMap((set) => set.children);
  const name = attributes.find(({ children }) => children[0]?.oid === COMMON_NAME)?.children[1];
  return name === undefined ? undefined : decodeUtf8(name.content);
}

/** What there is to say when the common name should be the device's name and is not. */
export function commonNameProblems({ row, certificate }: ExportDevice): string[] {
  const name = commonNameOf(certificate);
  if (name === row.id) return [];
  const what = name === undefined ? "has no common name" : `has the common name "${name}"`;
  return [`the certificate ${what}; it must be "${row.id}"`];
}

/** The CA certificate in a file, as PEM text; the first of a bundle. */
export function issuerPem(ca: Uint8Array): string {
  const certificate = readCertificate(ca);
  if (certificate.isCa) return pemOf(certificate);
  const message = `Cannot export: "${certificate.subject}" is not a CA's certificate`;
  throw new SecureCertError("ERR_CERTIFICATE", message);
}
