import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat } from "../../bytes/pack.ts";
import { sha1 } from "../deps.ts";
import {
  derBits,
  derContext,
  type DerElement,
  derInteger,
  derOctets,
  derOid,
  type DerPart,
  derSequence,
  derUnsigned,
  encodeDer,
} from "../der.ts";
import { type EcCurve, type HashName, WEAK_RSA_BITS } from "../keys/curves.ts";
import { decodeSpki, isSamePublicKey, publicKeyDer } from "../keys/encoding.ts";
import { importPrivateKey, type KeyInput, type PrivateKey } from "../keys/keys.ts";
import { ecdsaNumbers, encodeEcdsaSignature, hashFor, signBytes, verifyBytes } from "../signing.ts";
import { currentTime, randomBytes, type Sources } from "../sources.ts";
import { type Certificate, type CertificateInput, readCertificate } from "./certificate.ts";
import {
  encodeTime,
  EXTENDED_KEY_USAGE,
  EXTENSION,
  type KEY_USAGE,
  namesExtension,
  NO_EXPIRY,
  publicKeyBits,
  signatureAlgorithm,
} from "./extensions.ts";
import { encodeName, encodeSans } from "./names.ts";
import { readRequest, type SigningRequest } from "./request.ts";

const DAY = 86_400_000;
const SERIAL_SIZE = 20;
const VERSION_3 = derContext(0, derInteger(2));

/**
 * What issues certificates: a CA certificate, and either its key or a function that signs for it.
 *
 * @category Keys and certificates
 */
export interface Issuer {
  /** The CA certificate, or a chain that begins with it. */
  readonly certificate: CertificateInput;
  /** Its private key. */
  readonly key?: KeyInput;
  /**
   * Signs DER, not hashed yet, with a key that a device or a service keeps, by the kind of the CA's
   * key, the hash, and the curve of an EC key. Returns for RSA a PKCS#1 v1.5 signature, as long as
   * the modulus; for ECDSA r and s, in a DER sequence or big-endian, each as long as a coordinate.
   */
  readonly sign?: (
    signedPart: Bytes,
    algorithm: {
      readonly type: "ec" | "rsa";
      readonly hash: "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";
      readonly curve?: EcCurve;
    },
  ) => Promise<Uint8Array>;
  /** The hash of signatures with an RSA key. @default SHA-256, and SHA-384 above 3072 bits */
  readonly rsaHash?: "SHA-256" | "SHA-384" | "SHA-512";
}

/** A CA that {@linkcode createIssuer} has prepared, for many certificates. */
export type PreparedIssuer = Awaited<ReturnType<typeof createIssuer>>;

/** Signs a certificate. */
export type SignCertificate = NonNullable<Issuer["sign"]>;

/** How long a certificate is valid, from now. */
export interface Validity extends Sources {
  /** Days, or `"forever"` for "no well-defined expiration date". @default 3650, or until the CA ends */
  readonly days?: number | "forever";
}

/** What a TLS certificate is for. */
export type CertificateUsage = NonNullable<Parameters<typeof issueCertificate>[0]["usage"]>[number];

/** What an issuer has ready for each certificate. */
interface Prepared {
  /** Subject of the issuer, DER. */
  readonly name: Bytes;
  /** When the certificate of the issuer ends; a root has none yet. */
  readonly caEnd?: Date;
  /** AlgorithmIdentifier of its signatures. */
  readonly algorithm: DerElement;
  readonly template: Template;
  readonly sign: (signedPart: Bytes) => Promise<Uint8Array>;
  /** The last extension of each certificate, DER: whose key signed it. */
  readonly authorityKey: Bytes;
  /** The extensions that certificates of the same usage share, DER. */
  readonly shared: Map<string, Bytes>;
}

type Template = typeof import("./template.ts");

const prepared = new WeakMap<object, Prepared>();

/**
 * Prepares a CA for many certificates: what they share is made once, and the key is read once. An issuer
 * that is prepared already is returned as it is.
 *
 * @category Keys and certificates
 * @throws {SecureCertError} `ERR_CERTIFICATE` when the certificate is malformed, not a CA's, or of
 * another key; as {@linkcode importPrivateKey} for the key; `TypeError` unless there is either a key or
 * `sign`.
 */
export async function createIssuer(
  options: Issuer,
): Promise<Issuer & { readonly certificate: Certificate }> {
  if (isPrepared(options)) return options;
  const certificate = readCertificate(options.certificate);
  const { key, sign } = options;
  if ((key === undefined) === (sign === undefined)) {
    throw new TypeError("Cannot prepare issuer: need either its key or a function that signs");
  }
  if (!certificate.isCa) throw unfit("the issuer's certificate is not a CA's");
  const { publicKey, subjectDer, subjectKeyId, notAfter } = certificate;
  const kind = decodeSpki(publicKey);
  const hash = kind.type === "rsa" && options.rsaHash || hashFor(kind);
  const issuer = Object.freeze({ certificate });
  const template = await loadTemplate();
  prepared.set(issuer, {
    name: subjectDer,
    caEnd: notAfter,
    algorithm: signatureAlgorithm(kind, hash),
    template,
    sign: sign === undefined
      ? signerOf(await ownKey(certificate, key!), hash)
      : checkedSign(certificate, sign, hash),
    authorityKey: template.authorityKeyExtension(subjectKeyId ?? keyIdentifier(publicKey)),
    shared: new Map(),
  });
  return issuer;
}

/**
 * A CA certificate (RFC 5280): a self-signed root, or an intermediate CA with an `issuer`; by default
 * valid for 3650 days, and with `pathLength` 0 for an intermediate CA.
 *
 * @category Keys and certificates
 * @throws {SecureCertError} `ERR_NAME` for a bad subject; `ERR_CERTIFICATE` when the issuer is not a CA,
 * allows no CA below it, or its key is not that of its certificate.
 */
export async function createCa(options: {
  /** Subject, such as `CN=Development CA,O=Example`. */
  readonly subject: string;
  /** The CA's own private key. */
  readonly key: KeyInput;
  /** The CA above. @default none: the CA is self-signed */
  readonly issuer?: Issuer;
  /** How many CAs may follow below. @default 0 with an issuer, unlimited for a root */
  readonly pathLength?: number;
  /**
   * Validity in days from now, or `"forever"` for "no well-defined expiration date".
   * @default 3650, or less where the CA ends earlier
   */
  readonly days?: number | "forever";
  /** A number of random bytes, for the serial number. @default `crypto.getRandomValues` */
  readonly random?: (length: number) => Uint8Array;
  /** The time from which it is valid. @default the system clock */
  readonly now?: () => Date;
}): Promise<Certificate> {
  const { subject, issuer } = options;
  const { pathLength = issuer === undefined ? undefined : 0 } = options;
  if (pathLength !== undefined && !(Number.isInteger(pathLength) && pathLength >= 0)) {
    throw new RangeError(`Path length must be a whole number from 0, is ${pathLength}`);
  }
  if (subject.trim() === "") throw unfit("a CA needs a subject");
  const key = await importPrivateKey(options.key);
  const name = encodeName(subject);
  const authority = issuer === undefined
    ? await selfIssuer(key, name)
    : await preparedFor(issuer, pathLength ?? 0);
  const { basicConstraintsExtension, keyUsageExtension } = authority.template;
  return await makeCertificate(options, authority, {
    subject: name,
    publicKey: key.publicKey,
    extensions: [
      basicConstraintsExtension(true, pathLength),
      keyUsageExtension(["keyCertSign", "cRLSign"]),
    ],
  });
}

/**
 * A certificate for a device (RFC 5280), from a signing request or a public key; by default for a TLS
 * client, and valid for 3650 days or until the CA ends.
 *
 * @category Keys and certificates
 * @throws {SecureCertError} `ERR_NAME` for a bad subject or SAN; `ERR_KEY` without a public key, or for a
 * weak one;
 * `ERR_CERTIFICATE` when the request's signature is wrong, the issuer is not a CA or its key is not that
 * of its certificate, or there is neither a subject nor a SAN.
 */
export async function issueCertificate(options: {
  /** The CA; for many certificates one that {@linkcode createIssuer} prepared. */
  readonly issuer: Issuer;
  /** A signing request, which gives the public key, subject and names. */
  readonly request?: SigningRequest | Uint8Array | string;
  /** The public key, when there is no request: an object that has one, or SubjectPublicKeyInfo, PEM or DER. */
  readonly publicKey?: { readonly publicKey: Uint8Array } | Uint8Array | string;
  /** Subject such as `CN=device 1,O=Example`; replaces that of the request. */
  readonly subject?: string;
  /** Names such as `dns:a.example`; replace those of the request. */
  readonly sans?: readonly string[];
  /** What the certificate is for. @default ["client"] */
  readonly usage?: readonly ("client" | "server")[];
  /** Certify an RSA key under 2048 bits. @default false for that of a request, else true */
  readonly allowWeak?: boolean;
  /**
   * Validity in days from now, or `"forever"` for "no well-defined expiration date".
   * @default 3650, or less where the CA ends earlier
   */
  readonly days?: number | "forever";
  /** A number of random bytes, for the serial number. @default `crypto.getRandomValues` */
  readonly random?: (length: number) => Uint8Array;
  /** The time from which it is valid. @default the system clock */
  readonly now?: () => Date;
}): Promise<Certificate> {
  const request = options.request === undefined ? undefined : await readRequest(options.request);
  const certified = request ?? options.publicKey;
  if (certified === undefined) {
    const message = "Cannot issue certificate: need a signing request or a public key";
    throw new SecureCertError("ERR_KEY", message);
  }
  const publicKey = publicKeyDer(certified);
  if (!(options.allowWeak ?? request === undefined)) refuseWeak(publicKey);
  const text = options.subject ?? request?.subject ?? "";
  const sans = options.sans ?? request?.sans ?? [];
  if (text === "" && sans.length === 0) throw unfit("need a subject or a subject alternative name");
  const authority = await preparedFor(options.issuer);
  return await makeCertificate(options, authority, {
    subject: options.subject === undefined && request ? request.subjectDer : encodeName(text),
    publicKey,
    extensions: [
      usageExtensions(authority, publicKey, options.usage ?? ["client"]),
      ...sans.length === 0 ? [] : [namesExtension(encodeSans(sans), text === "")],
    ],
  });
}

function refuseWeak(publicKey: Uint8Array): void {
  const { type, bits } = decodeSpki(publicKey);
  if (type !== "rsa" || bits >= WEAK_RSA_BITS) return;
  const message = `Cannot issue certificate: the key is RSA-${bits}, which can be broken; ` +
    `need at least ${WEAK_RSA_BITS} bits`;
  throw new SecureCertError("ERR_KEY", message, { field: "allowWeak" });
}

/** What differs from certificate to certificate, DER. */
interface Content {
  readonly subject: Bytes;
  readonly publicKey: Uint8Array;
  /** All but the identifiers of the keys. */
  readonly extensions: readonly DerPart[];
}

async function makeCertificate(
  validity: Validity,
  { name, caEnd, algorithm, authorityKey, sign }: Prepared,
  { subject, publicKey, extensions }: Content,
): Promise<Certificate> {
  const signedPart = encodeDer(derSequence(
    VERSION_3,
    serialNumber(validity),
    algorithm,
    name,
    period(validity, caEnd),
    subject,
    publicKey,
    derContext(
      3,
      derSequence(
        ...extensions,
        derSequence(
          derOid(EXTENSION.subjectKeyIdentifier),
          derOctets(derOctets(keyIdentifier(publicKey))),
        ),
        authorityKey,
      ),
    ),
  ));
  const signature = await sign(signedPart);
  const certificate = derSequence(signedPart, algorithm, derBits(signature));
  return readCertificate(encodeDer(certificate));
}

/** What a root signs itself with. */
async function selfIssuer(key: PrivateKey, name: Bytes): Promise<Prepared> {
  const template = await loadTemplate();
  return {
    name,
    algorithm: signatureAlgorithm(key, hashFor(key)),
    template,
    sign: signerOf(key, hashFor(key)),
    authorityKey: template.authorityKeyExtension(keyIdentifier(key.publicKey)),
    shared: new Map(),
  };
}

/** What an issuer has ready, with room for CAs below the one that it issues, when it is one. */
async function preparedFor(
  issuer: Issuer,
  below?: number,
): Promise<Prepared> {
  const ready = isPrepared(issuer) ? issuer : await createIssuer(issuer);
  const { pathLength } = ready.certificate;
  if (below !== undefined && pathLength !== undefined && below >= pathLength) {
    throw unfit(`the issuer's path length ${pathLength} leaves no room for this CA`);
  }
  return prepared.get(ready)!;
}

function isPrepared(issuer: Issuer): issuer is PreparedIssuer {
  return prepared.has(issuer);
}

/** Loads pkijs. */
async function loadTemplate(): Promise<Template> {
  return await import("./template.ts");
}

async function ownKey(certificate: Certificate, input: KeyInput): Promise<PrivateKey> {
  const key = await importPrivateKey(input);
  if (isSamePublicKey(certificate.publicKey, key.publicKey)) return key;
  throw unfit("the issuer's key is not that of its certificate");
}

function signerOf(key: PrivateKey, hash: HashName): Prepared["sign"] {
  return (signedPart) => signBytes(key, signedPart, { hash });
}

/** A signature from elsewhere is checked, and brought into the one form that DER has for it. */
function checkedSign(
  certificate: Certificate,
  sign: SignCertificate,
  hash: HashName,
): Prepared["sign"] {
  const kind = decodeSpki(certificate.publicKey);
  const curve = kind.type === "ec" ? kind.curve : undefined;
  return async (signedPart) => {
    const given = await sign(signedPart, { type: kind.type, hash, curve });
    const signature = kind.type === "rsa" ? given : ecdsaSignature(given, kind.point);
    if (signature && await verifyBytes(certificate, signedPart, signature, { hash })) {
      return signature;
    }
    throw unfit("the signature that came back is not of the issuer's key");
  };
}

/** r and s in DER, which devices give in one way or another; undefined for what is neither. */
function ecdsaSignature(given: Uint8Array, point: Uint8Array): Bytes | undefined {
  const size = (point.length - 1) / 2;
  const raw = given.length === 2 * size ? given : ecdsaNumbers(given, size);
  return raw && encodeEcdsaSignature(raw);
}

/** basicConstraints, keyUsage and extendedKeyUsage of a device certificate, one after the other. */
function usageExtensions(
  { template, shared }: Prepared,
  publicKey: Uint8Array,
  usage: readonly CertificateUsage[],
): Bytes {
  const usages = keyUsages(publicKey, usage);
  const name = [...usage, ...usages].join();
  const known = shared.get(name);
  if (known !== undefined) return known;
  const made = concat(
    template.basicConstraintsExtension(false),
    template.keyUsageExtension(usages),
    template.extendedKeyUsageExtension(usage.map((each) => EXTENDED_KEY_USAGE[each])),
  );
  shared.set(name, made);
  return made;
}

/** TLS 1.2 with RSA key exchange encrypts to the server's key; all else signs. */
function keyUsages(
  publicKey: Uint8Array,
  usage: readonly CertificateUsage[],
): (keyof typeof KEY_USAGE)[] {
  const encrypts = usage.includes("server") && decodeSpki(publicKey).type === "rsa";
  return encrypts ? ["digitalSignature", "keyEncipherment"] : ["digitalSignature"];
}

/** A key identifier: SHA-1 of the public key's bits (RFC 5280 section 4.2.1.2, method 1). */
function keyIdentifier(spki: Uint8Array): Bytes {
  return sha1(publicKeyBits(spki)) as Bytes;
}

/** Twenty octets (RFC 5280 section 4.1.2.2), the second bit set so that it is positive and full. */
function serialNumber(sources: Sources): DerElement {
  const serial = randomBytes(SERIAL_SIZE, sources);
  serial[0] = serial[0]! & 0x7F | 0x40;
  return derUnsigned(serial);
}

const DEFAULT_DAYS = 3650;

/** From now, for the days given. */
function period({ days, ...sources }: Validity, caEnd = NO_EXPIRY): DerElement {
  const from = currentTime(sources);
  if (days === undefined) return derSequence(encodeTime(from), encodeTime(usualEnd(from, caEnd)));
  if (days !== "forever" && !(Number.isFinite(days) && days > 0)) {
    throw new RangeError(`Days must be a number above 0, are ${days}`);
  }
  const until = days === "forever" ? NO_EXPIRY : after(from, days);
  if (!(until.getTime() <= NO_EXPIRY.getTime())) {
    const most = Math.floor((NO_EXPIRY.getTime() - from.getTime()) / DAY);
    throw new RangeError(`Days must be at most ${most}, which ends in 9999, are ${days}`);
  }
  return derSequence(encodeTime(from), encodeTime(until));
}

/** A certificate ends no later than its CA, unless that has ended already. */
function usualEnd(from: Date, caEnd: Date): Date {
  const until = after(from, DEFAULT_DAYS);
  return caEnd > from && caEnd < until ? caEnd : until;
}

function after(from: Date, days: number): Date {
  return new Date(from.getTime() + days * DAY);
}

function unfit(problem: string): SecureCertError {
  return new SecureCertError("ERR_CERTIFICATE", `Cannot issue certificate: ${problem}`);
}
