import type { Bytes } from "../../bytes/pack.ts";
import {
  asciiOf,
  bitsOf,
  constructedTag,
  type DerElement,
  derElement,
  derError,
  type DerNode,
  derNull,
  derOctets,
  derOid,
  derSequence,
  derTrue,
  enterDer,
  nextDer,
  numberOf,
  oidOf,
  optionalDer,
  readDer,
  TAG,
} from "../der.ts";
import { HASH_OIDS, type HashName, type SignatureHash } from "../keys/curves.ts";
import { readAlgorithm } from "../keys/encoding.ts";
import type { CheckedScheme } from "../signing.ts";

/** Object identifiers of the extensions that are written and read (RFC 5280 section 4.2.1). */
export const EXTENSION = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
} as const;

/** Bits of keyUsage, numbered as RFC 5280 section 4.2.1.3 numbers them. */
export const KEY_USAGE = {
  digitalSignature: 0,
  nonRepudiation: 1,
  keyEncipherment: 2,
  dataEncipherment: 3,
  keyAgreement: 4,
  keyCertSign: 5,
  cRLSign: 6,
  encipherOnly: 7,
  decipherOnly: 8,
} as const;

/** A name of {@linkcode KEY_USAGE}. */
export type KeyUsageName = keyof typeof KEY_USAGE;

/** Object identifiers of extendedKeyUsage (RFC 5280 section 4.2.1.12). */
export const EXTENDED_KEY_USAGE = {
  server: "1.3.6.1.5.5.7.3.1",
  client: "1.3.6.1.5.5.7.3.2",
} as const;

/** anyExtendedKeyUsage (RFC 5280 section 4.2.1.12): a certificate with it is for everything. */
export const ANY_USAGE = "2.5.29.37.0";

/** The moment that means "no well-defined expiration date" (RFC 5280 section 4.1.2.5). */
export const NO_EXPIRY: Date = new Date("9999-12-31T23:59:59Z");

const ZERO = 0x30;
const ZULU = 0x5A;
/** More characters than any time needs. */
const MAX_TIME = 40;

/** Signature algorithms that are made: ECDSA (RFC 5758) and RSA PKCS#1 v1.5 (RFC 8017) by hash. */
const SIGNATURE_OIDS = {
  ec: {
    "SHA-1": "1.2.840.10045.4.1",
    "SHA-256": "1.2.840.10045.4.3.2",
    "SHA-384": "1.2.840.10045.4.3.3",
    "SHA-512": "1.2.840.10045.4.3.4",
  },
  rsa: {
    "SHA-1": "1.2.840.113549.1.1.5",
    "SHA-256": "1.2.840.113549.1.1.11",
    "SHA-384": "1.2.840.113549.1.1.12",
    "SHA-512": "1.2.840.113549.1.1.13",
  },
} as const satisfies Record<string, Record<HashName, string>>;

/** Signature algorithms that are only checked; the last is that of OIW, which mbedTLS knows too. */
const OTHER_SIGNATURES: readonly (readonly [string, CheckedScheme])[] = [
  ["1.2.840.10045.4.3.1", { type: "ec", hash: "SHA-224" }],
  ["1.2.840.113549.1.1.4", { type: "rsa", hash: "MD5" }],
  ["1.2.840.113549.1.1.14", { type: "rsa", hash: "SHA-224" }],
  ["1.3.14.3.2.29", { type: "rsa", hash: "SHA-1" }],
];

const SIGNATURE_SCHEMES: ReadonlyMap<string, CheckedScheme> = new Map([
  ...(["ec", "rsa"] as const).flatMap((type) =>
    Object.entries(SIGNATURE_OIDS[type]).map(([hash, oid]) =>
      [oid, { type, hash: hash as HashName }] as const
    )
  ),
  ...OTHER_SIGNATURES,
]);

const RSA_PSS = "1.2.840.113549.1.1.10";
const MGF1 = "1.2.840.113549.1.1.8";
const PSS_SALT_LENGTH = 20;
const HASHES = new Map(
  Object.entries(HASH_OIDS).map(([hash, oid]) => [oid, hash as SignatureHash]),
);

/** AlgorithmIdentifier of the signatures a key makes, DER. */
export function signatureAlgorithm(
  { type }: { type: "ec" | "rsa" },
  hash: HashName,
): DerElement {
  const oid = derOid(SIGNATURE_OIDS[type][hash]);
  return type === "rsa" ? derSequence(oid, derNull()) : derSequence(oid);
}

/** How a signature was made, from its AlgorithmIdentifier; undefined for one that is not known. */
export function signatureScheme(algorithm: DerNode): CheckedScheme | undefined {
  const { oid, parameters } = readAlgorithm(algorithm);
  if (oid === RSA_PSS) return parameters && pssScheme(parameters);
  return SIGNATURE_SCHEMES.get(oid);
}

/** RSASSA-PSS-params (RFC 4055 section 3.1): hash, mask function, salt length, each with its default. */
function pssScheme(parameters: DerNode): CheckedScheme | undefined {
  const fields = enterDer(parameters);
  const hashField = optionalDer(fields, constructedTag(0));
  const maskField = optionalDer(fields, constructedTag(1));
  const saltField = optionalDer(fields, constructedTag(2));
  const trailerField = optionalDer(fields, constructedTag(3));
  const trailer = trailerField && numberOf(nextDer(enterDer(trailerField), TAG.integer));
  const hash = hashField ? hashOf(nextDer(enterDer(hashField), TAG.sequence)) : "SHA-1";
  const mask = maskField ? maskHashOf(nextDer(enterDer(maskField), TAG.sequence)) : "SHA-1";
  if (hash === undefined || mask === undefined || (trailer ?? 1) !== 1) return undefined;
  const salt = saltField && nextDer(enterDer(saltField), TAG.integer);
  return {
    type: "rsa",
    hash,
    pssSaltLength: salt ? numberOf(salt) : PSS_SALT_LENGTH,
    pssMaskHash: mask === hash ? undefined : mask,
  };
}

function hashOf(algorithm: DerNode): SignatureHash | undefined {
  return HASHES.get(readAlgorithm(algorithm).oid);
}

function maskHashOf(algorithm: DerNode): SignatureHash | undefined {
  const { oid, parameters } = readAlgorithm(algorithm);
  return oid === MGF1 && parameters !== undefined ? hashOf(parameters) : undefined;
}

/** The values of extensions (RFC 5280 section 4.1.2.9) by their object identifiers, as OCTET STRINGs. */
export function readExtensions(node: DerNode): ReadonlyMap<string, DerNode> {
  const values = new Map<string, DerNode>();
  const extensions = enterDer(node);
  while (extensions.at < extensions.end) {
    const extension = enterDer(nextDer(extensions, TAG.sequence));
    const oid = oidOf(nextDer(extension, TAG.oid));
    optionalDer(extension, TAG.boolean);
    values.set(oid, nextDer(extension, TAG.octetString));
  }
  return values;
}

/** subjectAltName; critical when the subject is empty (RFC 5280 section 4.2.1.6). */
export function namesExtension(generalNames: Bytes, critical: boolean): DerElement {
  return derSequence(
    derOid(EXTENSION.subjectAltName),
    ...critical ? [derTrue()] : [],
    derOctets(generalNames),
  );
}

/** The bits of the public key in a SubjectPublicKeyInfo, of whose SHA-1 key identifiers are made. */
export function publicKeyBits(spki: Uint8Array): Bytes {
  const fields = enterDer(readDer(spki, "public key"));
  nextDer(fields, TAG.sequence);
  return bitsOf(nextDer(fields, TAG.bitString));
}

/** UTCTime to 2049, GeneralizedTime from 2050 on, whole seconds (RFC 5280 section 4.1.2.5). */
export function encodeTime(time: Date): DerElement {
  const year = time.getUTCFullYear();
  if (!(year >= 1950 && year <= 9999)) {
    throw new RangeError(`Cannot encode time: year ${year} is not 1950 to 9999`);
  }
  const fields = [
    time.getUTCMonth() + 1,
    time.getUTCDate(),
    time.getUTCHours(),
    time.getUTCMinutes(),
    time.getUTCSeconds(),
  ];
  return year < 2050
    ? derElement(TAG.utcTime, timeText([year % 100, ...fields]))
    : derElement(TAG.generalizedTime, timeText([Math.floor(year / 100), year % 100, ...fields]));
}

/** Numbers of two digits each, and a Z, in ASCII. */
function timeText(numbers: readonly number[]): Bytes {
  const text = new Uint8Array(2 * numbers.length + 1).fill(ZULU);
  numbers.forEach((number, index) => {
    text[2 * index] = ZERO + Math.floor(number / 10);
    text[2 * index + 1] = ZERO + number % 10;
  });
  return text;
}

/** A UTCTime or GeneralizedTime after its year. */
const TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:[.,]\d+)?(?:Z|([+-])(\d\d)(\d\d))?$/;

/**
 * A UTCTime or GeneralizedTime (X.680 sections 46 and 47), in UTC where it has no offset; fractions of a
 * second are dropped.
 *
 * @throws {SecureCertError} with the offset when it is neither, or not a moment of the calendar.
 */
export function decodeTime(node: DerNode): Date {
  const isShort = node.tag === TAG.utcTime;
  const text = node.end - node.content > MAX_TIME ? "" : asciiOf(node) ?? "";
  const digits = isShort ? 2 : 4;
  const parts = TIME.exec(text.slice(digits));
  if (!isShort && node.tag !== TAG.generalizedTime || parts === null) {
    throw derError(node, node.start, "need a UTCTime or GeneralizedTime");
  }
  const [, month, day, hour, minute, second = "0", sign, hours, minutes] = parts;
  const short = Number(text.slice(0, digits));
  const year = !isShort ? short : short < 50 ? 2000 + short : 1900 + short;
  const time = new Date(0);
  // Date.UTC takes years below 100 for those of the 20th century.
  time.setUTCFullYear(year, Number(month) - 1, Number(day));
  time.setUTCHours(Number(hour), Number(minute));
  const isReal = time.getUTCFullYear() === year && time.getUTCDate() === Number(day) &&
    time.getUTCHours() === Number(hour) && time.getUTCMinutes() === Number(minute) &&
    Number(second) < 60;
  if (!isReal) throw derError(node, node.start, "no such date or time");
  const offset = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * (sign === "-" ? -1 : 1);
  return new Date(time.getTime() + Number(second) * 1000 - offset * 60_000);
}
