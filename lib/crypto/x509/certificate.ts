import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, equalBytes } from "../../bytes/pack.ts";
import { derBlocks, formatPem } from "../../bytes/pem.ts";
import { formatHex } from "../../bytes/text.ts";
import {
  bitsOf,
  childrenOf,
  constructedTag,
  contentOf,
  contextTag,
  type DerCursor,
  type DerNode,
  enterDer,
  nextDer,
  numberOf,
  oidOf,
  optionalDer,
  rawOf,
  readDer,
  shownOid,
  TAG,
} from "../der.ts";
import { readAs } from "../foreign.ts";
import { keyName, type PublicKeyParts, publicKeyParts, readAlgorithm } from "../keys/encoding.ts";
import {
  decodeTime,
  EXTENSION,
  KEY_USAGE,
  type KeyUsageName,
  readExtensions,
  signatureScheme,
} from "./extensions.ts";
import { formatSan, nameText, type ReadName, readName } from "./names.ts";

/**
 * A certificate: what it says, and its bytes. Made once, and not changed.
 *
 * @category Keys and certificates
 */
export interface Certificate {
  /** Subject as text, in the order of its bytes. */
  readonly subject: string;
  /** Issuer as text. */
  readonly issuer: string;
  /** Serial number in hexadecimal, without a sign byte. */
  readonly serial: string;
  /** First moment of validity. */
  readonly notBefore: Date;
  /** Last moment of validity; the end of the year 9999 means that there is none. */
  readonly notAfter: Date;
  /** Kind of public key, such as `P-256` or `RSA-2048`; an object identifier for another kind. */
  readonly key: string;
  /** Subject alternative names, such as `dns:a.example`. */
  readonly sans: readonly string[];
  /** Whether it may sign certificates. */
  readonly isCa: boolean;
  /** How many CAs may follow below it. */
  readonly pathLength?: number;
  /** X.509 version, 1 to 3. */
  readonly version: number;
  /** Whether basicConstraints say that it is a CA's, whatever keyUsage says. */
  readonly claimsCa: boolean;
  /** What keyUsage lets its key do, by the names of RFC 5280; absent without that extension. */
  readonly keyUsage?: readonly (
    | "digitalSignature"
    | "nonRepudiation"
    | "keyEncipherment"
    | "dataEncipherment"
    | "keyAgreement"
    | "keyCertSign"
    | "cRLSign"
    | "encipherOnly"
    | "decipherOnly"
  )[];
  /** What extendedKeyUsage lets it do, as object identifiers; absent without that extension. */
  readonly extendedKeyUsage?: readonly string[];
  /**
   * How it is signed: kind of key, hash, salt length in bytes of RSA-PSS, and the hash of its mask when
   * that is another; absent when not known.
   */
  readonly signedWith?: {
    readonly type?: "ec" | "rsa";
    readonly hash: "MD5" | "SHA-1" | "SHA-224" | "SHA-256" | "SHA-384" | "SHA-512";
    readonly pssSaltLength?: number;
    readonly pssMaskHash?: "MD5" | "SHA-1" | "SHA-224" | "SHA-256" | "SHA-384" | "SHA-512";
  };
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Bytes;
  /** Subject, DER. */
  readonly subjectDer: Bytes;
  /** Issuer, DER. */
  readonly issuerDer: Bytes;
  /** subjectKeyIdentifier, where there is one. */
  readonly subjectKeyId?: Bytes;
  /** The signed part, DER. */
  readonly signedPart: Bytes;
  /** The signature. */
  readonly signature: Bytes;
  /** The whole certificate, DER, without what may follow it. */
  readonly der: Bytes;
  /** The same as PEM, with a line break at its end. */
  readonly pem: string;
}

/**
 * Certificates: objects that this library gave, or a file as bytes (PEM or DER) or PEM text.
 *
 * @category Keys and certificates
 */
export type CertificateInput = Certificate | readonly Certificate[] | Uint8Array | string;

/**
 * The first certificate of a file, PEM or DER, or of a list. Its signature is not checked. A NUL after
 * PEM does not matter, and an object is returned as it is.
 *
 * @category Keys and certificates
 * @throws {SecureCertError} `ERR_CERTIFICATE` when it is malformed; `ERR_PEM` when a PEM contains none;
 * `RangeError` for an empty list.
 */
export function readCertificate(input: CertificateInput): Certificate {
  if (!isRead(input)) {
    return readAs(
      input,
      "certificate",
      () => parseCertificate(derBlocks(input, CERTIFICATE_LABELS)[0]!),
    );
  }
  const [first] = readCertificates(input);
  if (first === undefined) throw new RangeError("Cannot use certificates: there are none");
  return first;
}

/**
 * Each certificate of a file, in the order of the file.
 *
 * @param input A PEM bundle, one PEM or one DER. What is read already is returned.
 * @throws {SecureCertError} as {@linkcode readCertificate}.
 */
export function readCertificates(input: CertificateInput): readonly Certificate[] {
  if (isRead(input)) return "der" in input ? [input] : input;
  return readAs(
    input,
    "certificate",
    () => derBlocks(input, CERTIFICATE_LABELS).map(parseCertificate),
  );
}

function isRead(input: CertificateInput): input is Certificate | readonly Certificate[] {
  return typeof input !== "string" && !(input instanceof Uint8Array);
}

/** Reads the certificates of a file. */
export type CertificateReader = (input: CertificateInput) => readonly Certificate[];

/**
 * A {@linkcode readCertificates} that knows the last certificates again, for work in which the same one
 * comes many times, such as a CA's: to take one apart costs more than to check its signature.
 *
 * @param most How many it keeps.
 */
export function createCertificateReader(most = 64): CertificateReader {
  const known: Certificate[] = [];
  const read = (der: Bytes): Certificate => {
    const at = known.findIndex((each) => equalBytes(each.der, der));
    const info = at < 0 ? parseCertificate(der) : known.splice(at, 1)[0]!;
    known.unshift(info);
    if (known.length > most) known.pop();
    return info;
  };
  return (input) =>
    isRead(input)
      ? readCertificates(input)
      : readAs(input, "certificate", () => derBlocks(input, CERTIFICATE_LABELS).map(read));
}

/** [1] and [2] of TBSCertificate, as mbedTLS takes them and as RFC 5280 section 4.1 has them. */
const UNIQUE_IDENTIFIERS = [constructedTag(1), contextTag(1), constructedTag(2), contextTag(2)];

/**
 * Labels under which PEM files hold certificates; the first is written. What OpenSSL adds to a trusted one
 * follows its DER.
 */
export const CERTIFICATE_LABELS: readonly [string, ...string[]] = [
  "CERTIFICATE",
  "X509 CERTIFICATE",
  "TRUSTED CERTIFICATE",
];

/** The parts of a certificate's public key, or undefined for a kind that is neither RSA nor EC. */
export function publicKeyOf(certificate: Certificate): PublicKeyParts | undefined {
  const { key } = partsOf.get(certificate) ?? partsOf.get(parseCertificate(certificate.der))!;
  return typeof key === "string" ? undefined : key;
}

/**
 * Which certificate of a device's bundle is for a key that the first is not for, in words that continue
 * what is wrong; empty when none is.
 *
 * @param bundle Device certificate, and what follows it.
 * @param isFor Whether a certificate is for the key.
 */
export function fitInBundle(
  bundle: readonly Certificate[],
  isFor: (certificate: Certificate) => boolean,
): string {
  const at = bundle.findIndex(isFor);
  if (at <= 0) return "";
  return `; certificate ${at + 1} of the device bundle fits the key; the device presents the first`;
}

function parseCertificate(file: Bytes): Certificate {
  const root = readDer(file, "certificate", TAG.sequence, "ERR_CERTIFICATE");
  const outer = enterDer(root);
  const signedPart = nextDer(outer, TAG.sequence);
  const signedWith = signatureScheme(nextDer(outer, TAG.sequence));
  const signature = bitsOf(nextDer(outer, TAG.bitString));
  const fields = enterDer(signedPart);
  const version = versionOf(fields);
  const serial = optionalDer(fields, contextTag(2)) ?? nextDer(fields, TAG.integer);
  nextDer(fields, TAG.sequence);
  const issuer = nextDer(fields, TAG.sequence);
  const validity = enterDer(nextDer(fields, TAG.sequence));
  const [notBefore, notAfter] = [decodeTime(nextDer(validity)), decodeTime(nextDer(validity))];
  const subject = nextDer(fields, TAG.sequence);
  const publicKey = nextDer(fields, TAG.sequence);
  const values = extensionValues(fields);
  const sans = values.get(EXTENSION.subjectAltName);
  const keyId = values.get(EXTENSION.subjectKeyIdentifier);
  const { claimsCa, pathLength } = basicConstraints(values.get(EXTENSION.basicConstraints));
  const keyUsage = wellFormed(keyUsageOf, values.get(EXTENSION.keyUsage));
  const [subjectDer, issuerDer] = [rawOf(subject), rawOf(issuer)];
  return createCertificate({
    serial: serialOf(contentOf(serial)),
    notBefore,
    notAfter,
    // A version 1 certificate cannot say that it is a CA's; mbedTLS takes a self-issued one for it.
    isCa: version === 1
      ? equalBytes(subjectDer, issuerDer)
      : claimsCa && keyUsage?.includes("keyCertSign") !== false,
    claimsCa,
    pathLength,
    keyUsage,
    extendedKeyUsage: wellFormed(purposesOf, values.get(EXTENSION.extendedKeyUsage)),
    version,
    signedWith,
    publicKey: rawOf(publicKey),
    subjectDer,
    issuerDer,
    subjectKeyId: keyId && contentOf(nextDer(enterDer(keyId), TAG.octetString)),
    signedPart: rawOf(signedPart),
    signature,
    der: rawOf(root),
  }, {
    subject: readName(subject),
    issuer: readName(issuer),
    sans: sans === undefined ? [] : childrenOf(nextDer(enterDer(sans), TAG.sequence)),
    key: readKey(publicKey),
  });
}

/** What a certificate has as bytes, numbers and moments. */
type CertificateFields = Omit<Certificate, "subject" | "issuer" | "key" | "sans" | "pem">;

/** What a certificate puts into words when it is asked. */
interface CertificateParts {
  readonly subject: ReadName;
  readonly issuer: ReadName;
  readonly sans: readonly DerNode[];
  /** The public key, or the name of a kind that is neither RSA nor EC. */
  readonly key: PublicKeyParts | string;
  /** Its PEM, once it was asked for. */
  pem?: string;
}

/** What Deno and Node show of an object in its place. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

const partsOf = new WeakMap<object, CertificateParts>();

/** Certificates are read by the hundred thousand, and of most nobody asks for the texts. */
const TEXTS = {
  get subject(): string {
    return nameText(partsOf.get(this)!.subject);
  },
  get issuer(): string {
    return nameText(partsOf.get(this)!.issuer);
  },
  get key(): string {
    const { key } = partsOf.get(this)!;
    return typeof key === "string" ? key : keyName(key);
  },
  get sans(): readonly string[] {
    return partsOf.get(this)!.sans.map(formatSan);
  },
  get pem(): string {
    const { der } = this as unknown as Certificate;
    return partsOf.get(this)!.pem ??= formatPem(CERTIFICATE_LABELS[0], der);
  },
  toJSON(): Certificate {
    const { subject, issuer, key, sans, pem } = this;
    return { subject, issuer, key, sans, ...this as unknown as CertificateFields, pem };
  },
  [INSPECT](): Certificate {
    return this.toJSON();
  },
};

function createCertificate(fields: CertificateFields, parts: CertificateParts): Certificate {
  const certificate = Object.freeze(Object.assign(Object.create(TEXTS), fields));
  partsOf.set(certificate, parts);
  return certificate;
}

function versionOf(fields: DerCursor): number {
  const version = optionalDer(fields, constructedTag(0));
  return version === undefined ? 1 : 1 + numberOf(nextDer(enterDer(version), TAG.integer));
}

/** What is after the public key: unique identifiers, which are not in use, and the extensions. */
function extensionValues(fields: DerCursor): ReadonlyMap<string, DerNode> {
  for (const tag of UNIQUE_IDENTIFIERS) optionalDer(fields, tag);
  if (fields.at === fields.end) return new Map();
  return readExtensions(nextDer(enterDer(nextDer(fields, constructedTag(3))), TAG.sequence));
}

/** Without them, and without a value for cA, the certificate is not a CA's. */
function basicConstraints(
  value: DerNode | undefined,
): { claimsCa: boolean; pathLength?: number } {
  if (value === undefined) return { claimsCa: false };
  const fields = enterDer(nextDer(enterDer(value), TAG.sequence));
  const cA = optionalDer(fields, TAG.boolean);
  // The device takes a number for it as well.
  const asNumber = cA ?? optionalDer(fields, TAG.integer);
  const pathLength = optionalDer(fields, TAG.integer);
  return {
    claimsCa: asNumber !== undefined && contentOf(asNumber).some((byte) => byte !== 0),
    pathLength: pathLength && Math.min(numberOf(pathLength), Number.MAX_SAFE_INTEGER),
  };
}

/** What an extension says; undefined without it, or when it is malformed, which the device refuses. */
function wellFormed<T>(read: (value: DerNode) => T, value: DerNode | undefined): T | undefined {
  if (value === undefined) return undefined;
  try {
    return read(value);
  } catch (error) {
    if (error instanceof SecureCertError) return undefined;
    throw error;
  }
}

function keyUsageOf(value: DerNode): KeyUsageName[] {
  const [first = 0, second = 0] = bitsOf(nextDer(enterDer(value), TAG.bitString));
  const bits = first << 8 | second;
  const names = Object.keys(KEY_USAGE) as KeyUsageName[];
  return names.filter((name) => (bits & 0x8000 >> KEY_USAGE[name]) !== 0);
}

function purposesOf(value: DerNode): string[] {
  return childrenOf(nextDer(enterDer(value), TAG.sequence)).map(oidOf);
}

function serialOf(bytes: Bytes): string {
  return formatHex(bytes[0] === 0 && bytes.length > 1 ? bytes.subarray(1) : bytes);
}

/** The parts of a public key; the object identifier of a kind that is neither RSA nor EC. */
function readKey(spki: DerNode): PublicKeyParts | string {
  try {
    return publicKeyParts(spki);
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return shownOid(readAlgorithm(nextDer(enterDer(spki), TAG.sequence)).oid);
  }
}
