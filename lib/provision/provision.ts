import type { Bytes } from "../bytes/pack.ts";
import { formatPem } from "../bytes/pem.ts";
import { encodeUtf8 } from "../bytes/text.ts";
import {
  type CertificateUsage,
  createCa,
  issueCertificate,
  type Issuer,
} from "../crypto/certificate.ts";
import {
  exportPrivateKey,
  generateKey,
  type GenerateKeyOptions,
  type PrivateKey,
} from "../crypto/keys.ts";
import type { Sources } from "../crypto/sources.ts";
import { build, type BuildOptions, type BuildResult } from "./build.ts";
import type { DataEntry } from "./plan.ts";

/** What {@linkcode provision} makes for one device. */
export interface ProvisionOptions extends BuildOptions, Sources {
  /** The CA that issues the device certificate and is stored in the image. */
  readonly issuer: Issuer;
  /** Subject of the device certificate, such as `CN=device-1`. */
  readonly subject: string;
  /** Subject alternative names. @default [] */
  readonly sans?: readonly string[];
  /** What the certificate is for. @default ["client"] */
  readonly usage?: readonly CertificateUsage[];
  /** Validity of the certificate in days. @default 3650 */
  readonly days?: number | "forever";
  /** Kind of private key to make. @default a P-256 key */
  readonly key?: Omit<GenerateKeyOptions, keyof Sources>;
  /** Further entries. @default [] */
  readonly data?: readonly DataEntry[];
}

/** One provisioned device. */
export interface ProvisionResult extends BuildResult {
  /** The device's private key. */
  readonly key: PrivateKey;
  /** The device certificate, PEM. */
  readonly deviceCert: Bytes;
}

/** Subject of the CA that {@linkcode createDevelopmentCa} makes. */
export const DEVELOPMENT_CA_SUBJECT = "CN=Development CA,OU=NOT FOR PRODUCTION";

/** A CA for the bench, whose name says what it is: its key lies in a file. */
export async function createDevelopmentCa(sources: Sources = {}): Promise<Issuer> {
  const key = await generateKey(sources);
  return { key, certificate: await createCa({ subject: DEVELOPMENT_CA_SUBJECT, key, ...sources }) };
}

/**
 * Provisions one device from nothing but a CA: makes its key, issues its certificate, builds its
 * image and judges it.
 *
 * @param options CA, subject, kind of key, layout.
 * @returns Key, certificate, image and verdict.
 * @throws {SecureCertError} as {@linkcode issueCertificate} and {@linkcode build}.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { createDevelopmentCa, provision } from "@esp-secure-cert/toolkit";
 *
 * const issuer = await createDevelopmentCa();
 * const { verdict } = await provision({ issuer, subject: "CN=device-1" });
 * assertEquals(verdict.ok, true);
 * ```
 */
export async function provision(options: ProvisionOptions): Promise<ProvisionResult> {
  const { issuer, random, now, data = [] } = options;
  const sources: Sources = { ...random ? { random } : {}, ...now ? { now } : {} };
  const key = await generateKey({ ...options.key, ...sources });
  const certificate = await issueCertificate({ ...options, publicKey: key.publicKey });
  const deviceCert = encodeUtf8(formatPem("CERTIFICATE", certificate));
  const caCert = issuer.certificate;
  const privateKey = await exportPrivateKey(key);
  const built = await build({ deviceCert, caCert, privateKey, data }, options);
  return { ...built, key, deviceCert };
}
