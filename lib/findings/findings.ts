/** An error makes the result bad, a warning does not. */
type Severity = "error" | "warning";

/** What is known of a code. */
interface FindingRow {
  /** How serious it can be; the first is the default. */
  readonly severities: readonly [Severity, ...Severity[]];
  /** The checks that it belongs to, by their names in the result of `verify`. */
  readonly checks: readonly [string, ...string[]];
  /** What it means on the device. */
  readonly meaning: string;
  /** What to do about it. */
  readonly advice: string;
}

/**
 * What can be wrong with an image, a row for each code. Codes are stable. `verify` reports its checks
 * in the order in which they first appear here.
 *
 * @category Reading and checking
 */
export const FINDINGS = {
  NOT_AN_IMAGE: {
    severities: ["error"],
    checks: ["format"],
    meaning: "the bytes are something else; the message says what they look like",
    advice: "give the partition's image, or a dump of flash that holds it",
  },
  LOOKS_ERASED: {
    severities: ["error"],
    checks: ["format"],
    meaning: "only 0xFF, as erased flash reads; the firmware finds no credentials",
    advice: "flash the image, or check offset and size of what was read",
  },
  LOOKS_ENCRYPTED: {
    severities: ["error"],
    checks: ["format"],
    meaning: "no structure, and every byte value equally often",
    advice: "open it with `verify --flash-key`, or read it through the chip",
  },
  BAD_MAGIC: {
    severities: ["error", "warning"],
    checks: ["format", "layout"],
    meaning: "the firmware stops where an entry or a table does not begin with its magic number",
    advice: "rebuild the image; check that nothing was written across it",
  },
  WRONG_PARTITION: {
    severities: ["error"],
    checks: ["layout"],
    meaning:
      "the firmware looks for another layout in that partition, or in another partition first",
    advice:
      "give the partition the type and label that this layout is read in, or convert the image",
  },
  NVS_TYPE: {
    severities: ["error"],
    checks: ["layout"],
    meaning: "the firmware asks NVS for another type of value, and gets an error",
    advice: "write certificates and key as strings (`file,string` in an NVS CSV)",
  },
  TRUNCATED: {
    severities: ["error", "warning"],
    checks: ["layout"],
    meaning: "a value runs past the end of the image, or is shorter than it should be",
    advice: "read or copy the whole partition",
  },
  OVER_64K: {
    severities: ["error"],
    checks: ["layout"],
    meaning: "the firmware's 16-bit offset wraps, and its walk over the entries never ends",
    advice: "keep the chain under 64 KiB",
  },
  TOO_LARGE: {
    severities: ["error", "warning"],
    checks: ["layout"],
    meaning: "the content takes more than the partition, or a part of it, holds",
    advice: "make the partition larger, in the partition table too, or the content smaller",
  },
  STRAY_BYTES: {
    severities: ["warning", "error"],
    checks: ["layout"],
    meaning: "bytes that belong to no value; the firmware never reads them",
    advice: "rebuild the image without them",
  },
  NOT_ALIGNED: {
    severities: ["warning"],
    checks: ["layout"],
    meaning: "the length is not a multiple of 16, so flash encryption refuses the image",
    advice: "rewrite it with `append` or `convert` before it is encrypted",
  },
  BAD_CHECKSUM: {
    severities: ["error"],
    checks: ["checksums"],
    meaning: "the firmware refuses what the checksum covers",
    advice: "rebuild the image; the firmware refuses this entry",
  },
  BAD_INTEGRITY: {
    severities: ["error", "warning"],
    checks: ["integrity"],
    meaning: "the SHA-256 over the image is wrong, or does not cover every entry",
    advice: "rebuild the image, or append an integrity entry once the rest is right",
  },
  BAD_SIGNATURE: {
    severities: ["error", "warning"],
    checks: ["signatures"],
    meaning: "the firmware refuses the signature, or reads what it does not cover",
    advice: "sign the image again, with the keys whose digests are burned",
  },
  P192_REMOVED: {
    severities: ["warning"],
    checks: ["signatures"],
    meaning: "ESP-IDF from 6.0.2 on does not check P-192 signatures; 5.5 and 6.0.1 do",
    advice: "sign with P-256 where the chip has it",
  },
  DUPLICATE_ENTRY: {
    severities: ["error", "warning"],
    checks: ["entry numbers"],
    meaning: "the firmware reads the first entry of a type and subtype, and never this one",
    advice: "give it another subtype, or leave one out",
  },
  BAD_SUBTYPE: {
    severities: ["error"],
    checks: ["entry numbers"],
    meaning: "the number is reserved; the firmware takes it for a query",
    advice: "use a subtype from 0 to 253",
  },
  UNKNOWN_TYPE: {
    severities: ["warning", "error"],
    checks: ["entry numbers"],
    meaning: "the firmware has no name for the type, or reserves its number",
    advice: "use user1 to user5 for data of your own",
  },
  FLAGS_MISREAD: {
    severities: ["error"],
    checks: ["entry flags"],
    meaning: "the flags are a key's, and make the firmware reset or refuse what it should read",
    advice: "clear the flags, or open the entry with `verify --hmac-key`",
  },
  LAST_SUBTYPE: {
    severities: ["warning"],
    checks: ["entry numbers"],
    meaning: "default and legacy builds of the firmware read different entries",
    advice: "put subtype 0 last, if firmware with legacy formats is to read it",
  },
  NO_DEVICE_CERT: {
    severities: ["warning"],
    checks: ["device certificate"],
    meaning: "the firmware finds no device certificate",
    advice: "add it with `build --device-cert`, if the device is to present one",
  },
  NO_CA_CERT: {
    severities: ["warning"],
    checks: ["CA certificate"],
    meaning: "the firmware finds no CA certificate",
    advice: "add it with `build --ca-cert`, if the device is to check its server",
  },
  NO_KEY: {
    severities: ["warning", "error"],
    checks: ["private key"],
    meaning: "the firmware finds no private key, or no salt or block for it",
    advice: "add it with `build --private-key`; rebuild the image of a key in an eFuse",
  },
  PLAINTEXT_KEY: {
    severities: ["warning"],
    checks: ["private key"],
    meaning: "anyone who reads the flash has the private key",
    advice: "encrypt the flash, or use another `build --key-mode`",
  },
  KEY_IN_PERIPHERAL_ENTRY: {
    severities: ["error"],
    checks: ["private key"],
    meaning: "key bytes in flash, in an entry whose flags say that the key is in an eFuse",
    advice: "treat the key as compromised, and rebuild the image",
  },
  KEY_EXPOSED: {
    severities: ["error", "warning"],
    checks: ["private key"],
    meaning:
      "private key bytes where the firmware never reads them, and anyone with the flash does",
    advice: "treat the key as compromised, and rebuild the image without these bytes",
  },
  PEM_NO_NUL: {
    severities: ["error"],
    checks: ["PEM endings"],
    meaning: "mbedTLS refuses PEM text without a NUL at its end",
    advice: "rebuild the image from the PEM file",
  },
  CERT_REFUSED: {
    severities: ["error", "warning"],
    checks: ["certificates parse"],
    meaning: "the device's TLS library does not parse the certificate, or skips one of a bundle",
    advice: "issue it without what the message names, or store it as `build` does, from its file",
  },
  KEY_REFUSED: {
    severities: ["error"],
    checks: ["private key"],
    meaning: "the device's TLS library does not parse the private key, or it does not open",
    advice: "store the key as `build` does, from its file; open it with `verify --hmac-key`",
  },
  KEY_MISMATCH: {
    severities: ["error"],
    checks: ["key matches certificate"],
    meaning: "the private key does not belong to the device certificate; TLS handshakes fail",
    advice: "use the key for which the certificate was issued",
  },
  CHAIN_BROKEN: {
    severities: ["error"],
    checks: ["certificate chain"],
    meaning:
      "the device certificate does not chain to the CA; servers that trust it refuse the device",
    advice:
      "use the CA that issued it, add the intermediate to the bundle, or name the issuer with `verify --ca`",
  },
  CA_NOT_ISSUER: {
    severities: ["warning"],
    checks: ["certificate chain"],
    meaning:
      "the device trusts the servers of the CA that it stores, which did not issue its certificate",
    advice:
      "nothing to do if it is the CA of the server that the device calls; else store the issuer's",
  },
  CHAIN_UNCHECKED: {
    severities: ["warning"],
    checks: ["certificate chain"],
    meaning: "a signature of the chain is of a kind, or by a kind of key, that is not known here",
    advice: "check the chain with another tool, such as `openssl verify`",
  },
  CERT_EXPIRED: {
    severities: ["error"],
    checks: ["certificate dates"],
    meaning: "TLS peers refuse the certificate",
    advice: "issue a new certificate",
  },
  CERT_EXPIRES_SOON: {
    severities: ["warning", "error"],
    checks: ["certificate dates"],
    meaning: "servers refuse the device from that day on",
    advice:
      "renew it before then; `append --replace dev=file:…` (`ca=file:…` for a CA) puts the new one there",
  },
  CERT_NOT_YET_VALID: {
    severities: ["error"],
    checks: ["certificate dates"],
    meaning: "TLS peers refuse the certificate until then",
    advice: "check the clock of the machine that issued it",
  },
  CERT_WEAK: {
    severities: ["warning", "error"],
    checks: ["certificate strength"],
    meaning: "TLS peers may refuse the certificate's key or signature, or attackers break it",
    advice: "use P-256 or RSA-2048 and SHA-256, or better",
  },
  CERT_PURPOSE: {
    severities: ["warning"],
    checks: ["certificate purpose"],
    meaning: "the certificate is read, and says that it is for something else; peers may refuse it",
    advice:
      "issue the device certificate with clientAuth and digitalSignature, and no CA's in its place",
  },
  CHIP_UNSUPPORTED: {
    severities: ["error", "warning"],
    checks: ["chip"],
    meaning: "the chip lacks what the image asks for",
    advice: "see `chips` for what it has",
  },
  DS_SIZE: {
    severities: ["error"],
    checks: ["DS peripheral"],
    meaning: "the chip's DS peripheral takes another size of key or ciphertext",
    advice: "use `build --chip` for this chip",
  },
  DS_BLOB: {
    severities: ["error"],
    checks: ["DS peripheral"],
    meaning: "the DS data is missing, cannot be read, or was not made with this HMAC key",
    advice: "give the HMAC key that it was made with, or rebuild the image",
  },
  DS_CONTEXT: {
    severities: ["error"],
    checks: ["DS peripheral"],
    meaning: "the firmware does not know which eFuse key or RSA length the DS data needs",
    advice: "rebuild the image with `build --efuse-key-id`",
  },
  GCM_READER_VERSION: {
    severities: ["warning"],
    checks: ["HMAC encryption"],
    meaning: "some versions of esp_secure_cert_mgr cannot read HMAC-encrypted entries",
    advice: "use another component version, or `hmac-derived`",
  },
  GCM_NONCE_REUSE: {
    severities: ["error"],
    checks: ["HMAC encryption"],
    meaning: "two values are encrypted with the same key and nonce, which reveals both",
    advice: "keep one HMAC-encrypted entry on a device, and treat the contents as compromised",
  },
} as const satisfies Readonly<Record<string, FindingRow>>;

/** A code of {@linkcode FINDINGS}. */
export type FindingCode = keyof typeof FINDINGS;

/**
 * One thing that is wrong or worth knowing. An error when the firmware will read the image wrongly
 * or the device be unsafe, else a warning.
 *
 * @category Reading and checking
 */
export interface Finding {
  /** An error makes the result bad. */
  readonly severity: "error" | "warning";
  /** Stable identifier. */
  readonly code: keyof typeof FINDINGS;
  /** One line for people. */
  readonly message: string;
  /** Where: index of the entry, and bytes from the start of the image; empty for the whole image. */
  readonly place: { readonly entry?: number; readonly offset?: number };
}

/** Where in an image something was found. */
export type FindingPlace = Finding["place"];

/**
 * A finding.
 *
 * @param code What was found.
 * @param message One line for people.
 * @param place Where; nothing when it concerns the whole image.
 * @param severity One that the code can have. @default the first of its row
 */
export function finding<Code extends FindingCode>(
  code: Code,
  message: string,
  place: FindingPlace = {},
  severity: typeof FINDINGS[Code]["severities"][number] = FINDINGS[code].severities[0],
): Finding {
  return { severity, code, message, place };
}

/** Whether no finding is an error. */
export function isGood(findings: readonly Finding[]): boolean {
  return findings.every(({ severity }) => severity !== "error");
}
