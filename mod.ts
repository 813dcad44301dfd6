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
export { type ErrorCode, type Place, SecureCertError } from "./lib/bytes/errors.ts";
export type { Bytes, Decoded } from "./lib/bytes/pack.ts";
export { formatPem, parsePem, type PemBlock } from "./lib/bytes/pem.ts";
export { type KeyMode, TLV_FLAGS, TLV_TYPES, type TlvTypeName, tlvTypeName } from "./lib/format/names.ts";
export { decodeTlv, encodeTlv, MAX_TLV_LENGTH, type Tlv, type TlvInput, tlvSize } from "./lib/format/tlv.ts";
export { decodePartition, encodePartition, type Partition, type PartitionOptions } from "./lib/format/partition.ts";
export type { Sources } from "./lib/crypto/sources.ts";
export type { EcCurve, HashName } from "./lib/crypto/curves.ts";
export type { SignatureScheme } from "./lib/crypto/signing.ts";
export { type ExportKeyOptions, exportPrivateKey, generateKey, type GenerateKeyOptions, importPrivateKey, type PrivateKey } from "./lib/crypto/keys.ts";
export { type CertificateUsage, createCa, type CreateCaOptions, issueCertificate, type IssueCertificateOptions, type Issuer, type Validity } from "./lib/crypto/certificate.ts";
export { type CertificateInfo, readCertificate, readCertificates } from "./lib/crypto/certificate_info.ts";
export { createRequest, type CreateRequestOptions, readRequest, type RequestInfo } from "./lib/crypto/request.ts";
export { type Finding, type FindingCode, type FindingPlace } from "./lib/provision/findings.ts";
export type { ImageFormat } from "./lib/provision/recognise.ts";
export type { EntryKind } from "./lib/provision/contents.ts";
export { type OpenOptions, openSecureCert, type PrivateKeyType, type SecureCert } from "./lib/provision/read.ts";
export type { BuildPlan, DataEntry } from "./lib/provision/plan.ts";
export { build, type BuildOptions, type BuildResult } from "./lib/provision/build.ts";
export { type CertificateReport, type EntryReport, inspect, type Inspection, type InspectOptions } from "./lib/provision/inspect.ts";
export { type Check, type Verdict, verify, type VerifyOptions } from "./lib/provision/verify.ts";
export { createDevelopmentCa, provision, type ProvisionOptions, type ProvisionResult } from "./lib/provision/provision.ts";
