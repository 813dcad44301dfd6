// deno-fmt-ignore-file: one line a file, so that it reads as a table of contents

/**
 * Toolkit for the `esp_secure_cert` partition of Espressif chips: pure encoders and decoders, keys
 * and certificates over WebCrypto, and the verbs of the command line on bytes.
 *
 * @example From nothing to an image
 * ```ts
 * import { createDevelopmentCa, provision } from "@esp-secure-cert/toolkit";
 *
 * const issuer = await createDevelopmentCa();
 * const { image } = await provision({ issuer, subject: "CN=device-1" });
 * console.log(image.length);
 * ```
 *
 * @module
 */

// Errors and text
export { type ErrorCode, SecureCertError } from "./lib/bytes/errors.ts";
export type { Bytes } from "./lib/bytes/pack.ts";
export { formatPem } from "./lib/bytes/pem.ts";

// Names and chips
export { type ImageFormat, type KeyMode, TLV_TYPE_TABLE, TLV_TYPES, type TlvType } from "./lib/format/names.ts";
export type { Chip } from "./lib/format/chips/chip.ts";
export { type ChipName, CHIPS } from "./lib/format/chips/chips.ts";

// TLV images
export { type DecodedTlv, decodeTlv, encodeTlv, type Tlv, tlvSize } from "./lib/format/tlv.ts";
export { decodePartition, encodePartition } from "./lib/format/partition.ts";

// cust_flash and NVS
export type { Credentials } from "./lib/format/credentials.ts";
export { decodeCustFlash, encodeCustFlash } from "./lib/format/cust_flash/codec.ts";
export type { DecodedNvs, NvsItem } from "./lib/format/nvs/decoded.ts";
export { decodeNvs } from "./lib/format/nvs/decode.ts";
export { encodeNvs, encodeNvsCredentials } from "./lib/format/nvs/encode.ts";
export { decodeNvsCredentials } from "./lib/format/nvs/credentials.ts";

// Values in an image: peripherals and signatures
export { decodeDsContext, decodeDsData, decodeSecurityConfig, encodeDsContext, encodeDsData, encodeSecurityConfig } from "./lib/format/peripheral.ts";
export { decodeSignatureBlock, decodeSignatureEntry, encodeSignatureBlock, encodeSignatureEntry, type SignatureKey } from "./lib/format/signature_block.ts";

// Partition tables and configuration CSV
export { decodePartitionTable, encodePartitionTable, type PartitionTableEntry } from "./lib/format/table/binary.ts";
export { formatPartitionCsv, parsePartitionCsv } from "./lib/format/table/csv.ts";
export type { ConfigRow } from "./lib/format/config/row.ts";
export { formatConfigCsv, parseConfigCsv } from "./lib/format/config/csv.ts";

// Keys and certificates
export type { EcCurve } from "./lib/crypto/keys/curves.ts";
export { keyName, type PrivateKey } from "./lib/crypto/keys/encoding.ts";
export { exportPrivateKey, generateKey, importPrivateKey, type KeyInput } from "./lib/crypto/keys/keys.ts";
export { type Certificate, type CertificateInput, readCertificate } from "./lib/crypto/x509/certificate.ts";
export { escapeNameValue } from "./lib/crypto/x509/names.ts";
export { createRequest, type SigningRequest } from "./lib/crypto/x509/request.ts";
export { createCa, createIssuer, issueCertificate, type Issuer } from "./lib/crypto/x509/issue.ts";
export type { Signer } from "./lib/crypto/signature.ts";

// What the DS and HMAC peripherals compute
export { decryptDsParameters, encryptDsParameters } from "./lib/crypto/peripherals/ds.ts";
export { decryptEntry, deriveEcdsaKey, encryptEntry } from "./lib/crypto/peripherals/hmac.ts";

// Flash encryption
export { decryptFlash, encryptFlash } from "./lib/crypto/flash/encryption.ts";

// Findings
export { type Finding, FINDINGS } from "./lib/findings/findings.ts";

// Images: what is in a dump, and what the firmware reads
export { findSecureCert, type Found } from "./lib/image/find/find.ts";
export type { ImageLocation } from "./lib/image/find/locate.ts";
export { openSecureCert, type SecureCert } from "./lib/image/firmware/open.ts";

// Key modes and their eFuses
export { keyModesOf } from "./lib/key_modes/modes.ts";
export type { EfusePlan } from "./lib/key_modes/efuse_plan.ts";

// Checking
export { type Verdict, verify } from "./lib/verify/verify.ts";
export { verifySignatures } from "./lib/verify/signatures.ts";

// Reading
export type { CredentialFileReport } from "./lib/toolkit/credential_file.ts";
export { type EntryReport, inspect, type Inspection, reportCertificate } from "./lib/toolkit/inspect.ts";
export { deviceCredentials } from "./lib/toolkit/device_credentials.ts";
export { diff, type Diff } from "./lib/toolkit/diff.ts";

// Building and changing
export type { BuildPlan, DataEntry } from "./lib/toolkit/plan/entry.ts";
export type { EfuseKey } from "./lib/toolkit/plan/planner.ts";
export { build, buildFromCsv, type BuildOptions, type BuildResult } from "./lib/toolkit/build.ts";
export { createDevelopmentCa, provision } from "./lib/toolkit/provision.ts";
export { append } from "./lib/toolkit/append.ts";
export { convert } from "./lib/toolkit/convert.ts";
export { extract } from "./lib/toolkit/extract.ts";
export { attachSignatures, signingDigest, signPartition } from "./lib/toolkit/sign.ts";
