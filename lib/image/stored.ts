import { SecureCertError } from "../bytes/errors.ts";
import { type Bytes, concat } from "../bytes/pack.ts";
import { isPem } from "../bytes/pem.ts";
import { encodeUtf8 } from "../bytes/text.ts";
import { TAG } from "../crypto/der.ts";
import {
  type Certificate,
  type CertificateInput,
  readCertificates,
} from "../crypto/x509/certificate.ts";
import { exportPrivateKey, importPrivateKey, type PrivateKey } from "../crypto/keys/keys.ts";

const NUL = new Uint8Array(1);

/**
 * Certificates as the device stores them: PEM in its canonical form, one block after the other, and
 * a NUL; DER without what follows the certificate.
 *
 * @throws {SecureCertError} `ERR_CERTIFICATE` or `ERR_PEM` when they cannot be read; `ERR_CERTIFICATE` for DER
 * with a second certificate after the first, which the device would not see.
 */
export function storedCertificates(input: CertificateInput): Bytes {
  const certificates = readCertificates(input);
  if (!isDer(input)) return pemOf(certificates);
  const { der } = certificates[0]!;
  if (isCertificate(input.subarray(der.length))) {
    throw new SecureCertError(
      "ERR_CERTIFICATE",
      `Cannot store certificates: a second one at byte ${der.length}; DER holds one, PEM a bundle`,
      { offset: der.length },
    );
  }
  return new Uint8Array(der);
}

function isCertificate(bytes: Uint8Array): boolean {
  try {
    return bytes.length > 0 && readCertificates(bytes).length > 0;
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}

/** Whether the input is a DER file; PEM, JSON, text and objects are stored as PEM. */
export function isDer(input: unknown): input is Uint8Array {
  return input instanceof Uint8Array && input[0] === TAG.sequence && !isPem(input);
}

/**
 * A private key as the device stores it in plaintext: PKCS#1 or SEC1, PEM and a NUL, or DER.
 *
 * @param key The key.
 * @param form PEM or DER.
 */
export function encodeStoredKey(key: PrivateKey, form: "pem" | "der"): Bytes {
  const bytes = exportPrivateKey(key, { encoding: "traditional", form });
  return form === "der" ? bytes : concat(bytes, NUL);
}

/**
 * A private key as {@linkcode encodeStoredKey} stores it, in the form that it came in.
 *
 * @throws {SecureCertError} as {@linkcode importPrivateKey}.
 */
export async function storedPrivateKey(bytes: Uint8Array): Promise<Bytes> {
  return encodeStoredKey(await importPrivateKey(bytes), isDer(bytes) ? "der" : "pem");
}

/** Certificates as NVS stores them, which holds only text: DER becomes PEM. */
export function certificatesAsPem(input: CertificateInput): Bytes {
  if (input instanceof Uint8Array && isPem(input)) return new Uint8Array(input);
  return pemOf(readCertificates(input));
}

/** PEM of certificates, one block after the other, and a NUL. */
function pemOf(certificates: readonly Certificate[]): Bytes {
  return encodeUtf8(`${certificates.map(({ pem }) => pem).join("")}\0`);
}

/** A private key as NVS stores it: DER becomes traditional PEM. */
export async function privateKeyAsPem(bytes: Uint8Array): Promise<Bytes> {
  if (isPem(bytes)) return new Uint8Array(bytes);
  return encodeStoredKey(await importPrivateKey(bytes), "pem");
}
