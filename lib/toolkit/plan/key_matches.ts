import { SecureCertError } from "../../bytes/errors.ts";
import { equalBytes } from "../../bytes/pack.ts";
import { type CertificateInfo, readCertificate } from "../../crypto/x509/certificate.ts";
import { TLV_TYPES } from "../../format/names.ts";
import type { EntrySource, SourceProblem } from "./entry_source.ts";

/** Device certificates that are not those of the private key with the same subtype. */
export function certificateProblems(
  sources: readonly EntrySource[],
  publicKeys: ReadonlyMap<number, Uint8Array>,
): SourceProblem[] {
  return sources.flatMap((source) => {
    const key = publicKeys.get(source.subtype);
    if (source.type !== TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV || key === undefined) return [];
    const certificate = read(source.data);
    if (certificate === undefined || equalBytes(certificate.publicKey, key)) return [];
    const message =
      `the device certificate "${certificate.subject}" is for another key than the private key`;
    return [{ ...source.places?.data_value, message }];
  });
}

/** What cannot be read is reported where it is planned. */
function read(data: Uint8Array): CertificateInfo | undefined {
  try {
    return readCertificate(data);
  } catch (error) {
    if (error instanceof SecureCertError) return undefined;
    throw error;
  }
}
