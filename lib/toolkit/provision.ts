import {
  type CertificateUsage,
  createCa,
  issueCertificate,
  type Issuer,
} from "../crypto/x509/issue.ts";
import { type Certificate, readCertificates } from "../crypto/x509/certificate.ts";
import { createDerivedKey } from "../crypto/peripherals/hmac.ts";
import { HMAC_KEY_SIZE } from "../crypto/peripherals/hmac_key.ts";
import { generateKey, type GenerateKeyOptions, type PrivateKey } from "../crypto/keys/keys.ts";
import { randomBytes, type Sources } from "../crypto/sources.ts";
import { build, type BuildOptions, type BuildResult } from "./build.ts";
import type { BuildPlan, DataEntry } from "./plan/credentials.ts";
import { KEY_MODE_RULES } from "../key_modes/modes.ts";

/** What {@linkcode provision} makes for one device. */
export interface ProvisionOptions
  extends
    BuildOptions,
    Omit<BuildPlan, "privateKey" | "deviceCert" | "caCert" | "salt" | "data" | "password"> {
  /** The CA that issues the device certificate and is stored in the image, as PEM. */
  readonly issuer: Issuer;
  /** Subject of the device certificate, such as `CN=device-1`. */
  readonly subject: string;
  /** Subject alternative names. @default [] */
  readonly sans?: readonly string[];
  /** What the certificate is for. @default ["client"] */
  readonly usage?: readonly CertificateUsage[];
  /** Validity of the certificate in days. @default 3650 */
  readonly days?: number | "forever";
  /** Kind of private key to make. @default an RSA-2048 key for `rsa-ds`, else a P-256 key */
  readonly key?: Omit<GenerateKeyOptions, keyof Sources>;
  /** Further entries. @default [] */
  readonly data?: readonly DataEntry[];
}

/** One provisioned device. */
export interface ProvisionResult extends BuildResult {
  /** The device's private key. */
  readonly key: PrivateKey;
  /** The device certificate. */
  readonly certificate: Certificate;
}

/** Subject of the CA that {@linkcode createDevelopmentCa} makes. */
const DEVELOPMENT_CA_SUBJECT = "CN=Development CA,OU=NOT FOR PRODUCTION";

/** A CA with its key. */
export interface DevelopmentCa extends Issuer {
  /** The certificate, self-signed. */
  readonly certificate: Certificate;
  /** The private key. */
  readonly key: PrivateKey;
}

/** A CA for the bench, whose name says what it is: its key is in a file. */
export async function createDevelopmentCa(sources: Sources = {}): Promise<DevelopmentCa> {
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
  const { issuer, data = [] } = options;
  const { key, ...made } = await makeKey(options);
  const certificate = await issueCertificate({ ...options, publicKey: key });
  const caCert = readCertificates(issuer.certificate);
  const built = await build(
    { ...options, ...made, deviceCert: certificate, caCert, data },
    options,
  );
  return { ...built, key, certificate };
}

interface MadeKey extends Pick<BuildPlan, "privateKey" | "hmacKey" | "salt"> {
  readonly key: PrivateKey;
}

/** The device's key, and what of it goes into the plan: itself, or what it is derived from. */
async function makeKey(options: ProvisionOptions): Promise<MadeKey> {
  const { keyMode = "plaintext", random } = options;
  const { privateKey, standardKey } = KEY_MODE_RULES[keyMode];
  if (privateKey === "derived") {
    const hmacKey = options.hmacKey ?? randomBytes(HMAC_KEY_SIZE, { random });
    const { salt, key } = await createDerivedKey({ hmacKey, random });
    return { key, hmacKey, salt };
  }
  const key = await generateKey({ ...standardKey, ...options.key, random });
  return { key, privateKey: key };
}
