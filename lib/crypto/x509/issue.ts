import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, equalBytes } from "../../bytes/pack.ts";
import { type Certificate, readCertificate } from "./certificate.ts";
import { sha1 } from "../deps.ts";
import {
  derBits,
  derContext,
  derInteger,
  derOctets,
  derOid,
  derSequence,
  derUnsigned,
} from "../der.ts";
import { decodeSpki } from "../keys/encoding.ts";
import type { PrivateKey } from "../keys/keys.ts";
import { readRequest } from "./request.ts";
import { encodeName, encodeSans } from "./names.ts";
import { signBytes } from "../signing.ts";
import { currentTime, randomBytes, type Sources } from "../sources.ts";
import {
  encodeTime,
  EXTENDED_KEY_USAGE,
  EXTENSION,
  namesExtension,
  NO_EXPIRY,
  publicKeyBits,
  signatureAlgorithm,
} from "./extensions.ts";

const DAY = 86_400_000;
const SERIAL_SIZE = 20;

/** How long a certificate is valid, from now. */
export interface Validity extends Sources {
  /** Days, or `"forever"` for "no well-defined expiration date". @default 3650 */
  readonly days?: number | "forever";
}

/** The certificate and key that sign another certificate. */
export interface Issuer {
  /** The CA certificate, PEM or DER. */
  readonly certificate: Uint8Array;
  /** Its private key. */
  readonly key: PrivateKey;
}

/** What CA {@linkcode createCa} makes. */
export interface CreateCaOptions extends Validity {
  /** Subject, as {@linkcode issueCertificate} takes it. */
  readonly subject: string;
  /** The CA's own private key. */
  readonly key: PrivateKey;
  /** The CA above; self-signed without. */
  readonly issuer?: Issuer;
  /** How many CAs may follow below. @default 0 under an issuer, unlimited for a root */
  readonly pathLength?: number;
}

/** What a TLS certificate is for. */
export type CertificateUsage = "client" | "server";

/** What certificate {@linkcode issueCertificate} makes. */
export interface IssueCertificateOptions extends Validity {
  /** The CA. */
  readonly issuer: Issuer;
  /** A signing request, PEM or DER, which gives the public key, subject and names. */
  readonly request?: Uint8Array;
  /** SubjectPublicKeyInfo, DER, when there is no request. */
  readonly publicKey?: Uint8Array;
  /** Subject such as `CN=device 1,O=Example`; replaces that of the request. */
  readonly subject?: string;
  /** Names such as `dns:a.example`; replace those of the request. */
  readonly sans?: readonly string[];
  /** What the certificate is for. @default ["client"] */
  readonly usage?: readonly CertificateUsage[];
}

/**
 * A CA certificate (RFC 5280): a self-signed root, or an intermediate below an issuer.
 *
 * @param options Subject, key, validity, issuer and path length.
 * @returns The certificate, DER.
 * @throws {SecureCertError} `ERR_NAME` for a bad subject; `ERR_CERTIFICATE` when the issuer is no CA,
 * may have no CA below it, or its key is not that of its certificate.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { createCa, generateKey, readCertificate } from "@esp-secure-cert/toolkit";
 *
 * const key = await generateKey();
 * const ca = await createCa({ subject: "CN=Development CA", key });
 * assertEquals(readCertificate(ca).subject, "CN=Development CA");
 * ```
 */
export async function createCa(options: CreateCaOptions): Promise<Bytes> {
  const { subject, key, issuer } = options;
  const { pathLength = issuer === undefined ? undefined : 0 } = options;
  if (pathLength !== undefined && !(Number.isInteger(pathLength) && pathLength >= 0)) {
    throw new RangeError(`Path length must be a whole number from 0, is ${pathLength}`);
  }
  if (subject.trim() === "") throw unfit("a CA needs a subject");
  if (issuer !== undefined) checkPathLength(issuer, pathLength ?? 0);
  const { basicConstraintsExtension, keyUsageExtension } = await loadTemplate();
  return await makeCertificate(options, {
    subject: encodeName(subject),
    publicKey: key.publicKey,
    issuer,
    key: issuer?.key ?? key,
    extensions: [
      basicConstraintsExtension(true, pathLength),
      keyUsageExtension(["keyCertSign", "cRLSign"]),
    ],
  });
}

/**
 * A certificate for a device (RFC 5280), from a signing request or a public key.
 *
 * @param options The CA, the request or key, validity, names and usage.
 * @returns The certificate, DER.
 * @throws {SecureCertError} `ERR_NAME` for a bad subject or name; `ERR_CERTIFICATE` when the request's
 * signature is wrong, the issuer is no CA, its key is not that of its certificate, or neither subject
 * nor names are given; `ERR_KEY` when there is no public key.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { createCa, generateKey, issueCertificate, readCertificate } from "@esp-secure-cert/toolkit";
 *
 * const caKey = await generateKey();
 * const certificate = await createCa({ subject: "CN=CA", key: caKey });
 * const device = await generateKey();
 * const issued = await issueCertificate({
 *   issuer: { certificate, key: caKey },
 *   publicKey: device.publicKey,
 *   subject: "CN=device-1",
 *   days: 30,
 * });
 * assertEquals(readCertificate(issued).issuer, "CN=CA");
 * ```
 */
export async function issueCertificate(options: IssueCertificateOptions): Promise<Bytes> {
  const request = options.request === undefined ? undefined : await readRequest(options.request);
  const publicKey = request?.publicKey ?? options.publicKey;
  if (publicKey === undefined) {
    throw new SecureCertError(
      "ERR_KEY",
      "Cannot issue certificate: need a signing request or a public key",
    );
  }
  const text = options.subject ?? request?.subject ?? "";
  const sans = options.sans ?? request?.sans ?? [];
  if (text === "" && sans.length === 0) throw unfit("need a subject or a subject alternative name");
  const { usage = ["client"] } = options;
  const { basicConstraintsExtension, keyUsageExtension, extendedKeyUsageExtension } =
    await loadTemplate();
  return await makeCertificate(options, {
    subject: options.subject === undefined && request ? request.subjectDer : encodeName(text),
    publicKey,
    issuer: options.issuer,
    key: options.issuer.key,
    extensions: [
      basicConstraintsExtension(false),
      keyUsageExtension(keyUsages(publicKey, usage)),
      extendedKeyUsageExtension(usage.map((each) => EXTENDED_KEY_USAGE[each])),
      ...sans.length === 0 ? [] : [namesExtension(encodeSans(sans), text === "")],
    ],
  });
}

interface Content {
  readonly subject: Bytes;
  readonly publicKey: Uint8Array;
  /** Self-signed without. */
  readonly issuer: Issuer | undefined;
  /** The key that signs. */
  readonly key: PrivateKey;
  /** DER. */
  readonly extensions: readonly Bytes[];
}

async function makeCertificate(validity: Validity, content: Content): Promise<Bytes> {
  const { subject, publicKey, issuer, key } = content;
  const authority = issuer === undefined ? undefined : readIssuer(issuer);
  const subjectId = keyIdentifier(publicKey);
  const authorityId = authority === undefined
    ? subjectId
    : authority.subjectKeyId ?? keyIdentifier(authority.publicKey);
  const { authorityKeyExtension } = await loadTemplate();
  const extensions = [
    ...content.extensions,
    derSequence(derOid(EXTENSION.subjectKeyIdentifier), derOctets(derOctets(subjectId))),
    authorityKeyExtension(authorityId),
  ];
  const algorithm = signatureAlgorithm(key);
  const tbs = derSequence(
    derContext(0, derInteger(2)),
    serialNumber(validity),
    algorithm,
    authority?.subjectDer ?? subject,
    period(validity),
    subject,
    publicKey,
    derContext(3, derSequence(...extensions)),
  );
  return derSequence(tbs, algorithm, derBits(await signBytes(key, tbs)));
}

/** Loads pkijs. */
export async function loadTemplate(): Promise<typeof import("./template.ts")> {
  return await import("./template.ts");
}

/** A key identifier: SHA-1 of the public key's bits (RFC 5280 section 4.2.1.2, method 1). */
export function keyIdentifier(spki: Uint8Array): Bytes {
  return sha1(publicKeyBits(spki)) as Bytes;
}

/** Twenty octets (RFC 5280 section 4.1.2.2), the second bit set so that it is positive and full. */
export function serialNumber(sources: Sources): Bytes {
  const serial = randomBytes(SERIAL_SIZE, sources);
  serial[0] = serial[0]! & 0x7F | 0x40;
  return derUnsigned(serial);
}

/** From now, for the days given. */
export function period({ days = 3650, ...sources }: Validity): Bytes {
  const from = currentTime(sources);
  if (days !== "forever" && !(Number.isFinite(days) && days > 0)) {
    throw new RangeError(`Days must be a number above 0, are ${days}`);
  }
  const until = days === "forever" ? NO_EXPIRY : new Date(from.getTime() + days * DAY);
  return derSequence(encodeTime(from), encodeTime(until));
}

/** The certificate of an issuer that may issue. */
export function readIssuer(issuer: Issuer): Certificate {
  const certificate = readCertificate(issuer.certificate);
  if (!certificate.isCa) throw unfit("the issuer's certificate is not a CA's");
  if (!equalBytes(certificate.publicKey, issuer.key.publicKey)) {
    throw unfit("the issuer's key is not that of its certificate");
  }
  return certificate;
}

function checkPathLength(issuer: Issuer, below: number): void {
  const { pathLength } = readIssuer(issuer);
  if (pathLength !== undefined && below >= pathLength) {
    throw unfit(`the issuer's path length ${pathLength} leaves no room for this CA`);
  }
}

/** TLS 1.2 with RSA key exchange encrypts to the server's key; all else signs. */
export function keyUsages(
  publicKey: Uint8Array,
  usage: readonly CertificateUsage[],
): ("digitalSignature" | "keyEncipherment")[] {
  const encrypts = usage.includes("server") && decodeSpki(publicKey).type === "rsa";
  return encrypts ? ["digitalSignature", "keyEncipherment"] : ["digitalSignature"];
}

/** The error for a certificate that cannot be issued. */
export function unfit(problem: string): SecureCertError {
  return new SecureCertError("ERR_CERTIFICATE", `Cannot issue certificate: ${problem}`);
}
