/**
 * What can be wrong with an image, for programs. Codes are stable.
 *
 * | code | means |
 * |---|---|
 * | `NOT_AN_IMAGE` | the bytes are something else; the message says what they look like |
 * | `LOOKS_ERASED` | nothing but 0xFF, as erased flash reads |
 * | `LOOKS_ENCRYPTED` | no structure, and every byte value equally often |
 * | `BAD_MAGIC` | an entry does not begin with the magic number |
 * | `TRUNCATED` | an entry runs past the end of the image |
 * | `BAD_CHECKSUM` | an entry's CRC-32 is wrong; the firmware refuses the entry |
 * | `BAD_INTEGRITY` | the SHA-256 over the image is wrong, or does not cover everything |
 * | `BAD_SIGNATURE` | a signature entry does not verify |
 * | `DUPLICATE_ENTRY` | a second entry of the same type and subtype; the firmware never reads it |
 * | `BAD_SUBTYPE`, `UNKNOWN_TYPE` | numbers that the firmware reserves, or nobody has named |
 * | `STRAY_BYTES` | bytes behind the chain that the firmware does not reach |
 * | `NOT_ALIGNED` | a length that is no multiple of 16, which flash encryption refuses |
 * | `TOO_LARGE`, `OVER_64K` | more than the partition holds, or than the firmware can walk |
 * | `LAST_SUBTYPE` | default and legacy builds of the firmware read different entries |
 * | `NO_DEVICE_CERT`, `NO_CA_CERT`, `NO_KEY` | missing, or not readable as such |
 * | `PEM_NO_NUL` | PEM text without the NUL that mbedTLS needs |
 * | `KEY_MISMATCH` | the private key is not that of the device certificate |
 * | `CHAIN_BROKEN` | the device certificate does not lead to the CA |
 * | `CERT_EXPIRED`, `CERT_NOT_YET_VALID`, `CERT_WEAK` | the certificate's dates, key or hash |
 * | `PLAINTEXT_KEY` | whoever reads the flash has the private key |
 * | `KEY_IN_PERIPHERAL_ENTRY` | key bytes where the flags say that the key is in an eFuse |
 * | `CHIP_UNSUPPORTED`, `DS_SIZE`, `DS_BLOB`, `DS_CONTEXT` | not for this chip's peripherals |
 * | `GCM_NONCE_REUSE`, `GCM_READER_VERSION` | limits of HMAC-encrypted entries |
 */
export type FindingCode =
  | "NOT_AN_IMAGE"
  | "LOOKS_ERASED"
  | "LOOKS_ENCRYPTED"
  | "BAD_MAGIC"
  | "TRUNCATED"
  | "BAD_CHECKSUM"
  | "BAD_INTEGRITY"
  | "BAD_SIGNATURE"
  | "DUPLICATE_ENTRY"
  | "BAD_SUBTYPE"
  | "UNKNOWN_TYPE"
  | "STRAY_BYTES"
  | "NOT_ALIGNED"
  | "TOO_LARGE"
  | "OVER_64K"
  | "LAST_SUBTYPE"
  | "NO_DEVICE_CERT"
  | "NO_CA_CERT"
  | "NO_KEY"
  | "PEM_NO_NUL"
  | "KEY_MISMATCH"
  | "CHAIN_BROKEN"
  | "CERT_EXPIRED"
  | "CERT_NOT_YET_VALID"
  | "CERT_WEAK"
  | "PLAINTEXT_KEY"
  | "KEY_IN_PERIPHERAL_ENTRY"
  | "CHIP_UNSUPPORTED"
  | "DS_SIZE"
  | "DS_BLOB"
  | "DS_CONTEXT"
  | "GCM_NONCE_REUSE"
  | "GCM_READER_VERSION";

/** Where in an image something was found. */
export interface FindingPlace {
  /** Index of the entry, from 0. */
  readonly entry?: number;
  /** Bytes from the start of the image. */
  readonly offset?: number;
}

/**
 * One thing that is wrong or worth knowing. An error when the firmware will read the image wrongly
 * or the device be unsafe, else a warning.
 */
export interface Finding {
  /** Errors make the verdict bad. */
  readonly severity: "error" | "warning";
  /** Stable identifier. */
  readonly code: FindingCode;
  /** One line for people. */
  readonly message: string;
  /** Where; empty when it concerns the whole image. */
  readonly place: FindingPlace;
}

/** A finding that makes the verdict bad. */
export function errorFinding(
  code: FindingCode,
  message: string,
  place: FindingPlace = {},
): Finding {
  return { severity: "error", code, message, place };
}

/** A finding that is worth knowing. */
export function warningFinding(
  code: FindingCode,
  message: string,
  place: FindingPlace = {},
): Finding {
  return { severity: "warning", code, message, place };
}

/** Whether no finding is an error. */
export function isGood(findings: readonly Finding[]): boolean {
  return findings.every(({ severity }) => severity !== "error");
}
