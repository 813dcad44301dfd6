// What mbedTLS 3.6 as ESP-IDF builds it reads of a certificate, and what it refuses (FORMAT: What the
// TLS library on the device parses). It is laxer than RFC 5280 in most places and stricter in some;
// the function of mbedTLS that has a rule is named beside it.

import { countOf } from "../bytes/errors.ts";
import { equalBytes } from "../bytes/pack.ts";
import {
  constructedTag,
  contentOf,
  contextTag,
  type DerCursor,
  type DerNode,
  enterBits,
  enterDer,
  nextDer,
  oidOf,
  optionalDer,
  shownOid,
  TAG,
} from "../crypto/der.ts";
import {
  type AlgorithmParts,
  checkPublicKey,
  enterWholeBytes,
  isWithoutParameters,
  readAlgorithm,
} from "./public_key.ts";
import {
  checkEnd,
  deviceCursor,
  MAX_INT,
  readInteger,
  refusalOf,
  refuse,
  within,
} from "./refusal.ts";

/** RSA PKCS#1 v1.5 and ECDSA (RFC 8017, RFC 5758) with the hashes that the device knows. */
const SIGNATURES: ReadonlySet<string> = new Set([
  "1.2.840.113549.1.1.4", // RSA, MD5
  "1.2.840.113549.1.1.5", // RSA, SHA-1
  "1.3.14.3.2.29", // RSA, SHA-1, as OIW named it
  "1.2.840.113549.1.1.14", // RSA, SHA-224
  "1.2.840.113549.1.1.11", // RSA, SHA-256
  "1.2.840.113549.1.1.12", // RSA, SHA-384
  "1.2.840.113549.1.1.13", // RSA, SHA-512
  "1.2.840.10045.4.1", // ECDSA, SHA-1
  "1.2.840.10045.4.3.1", // ECDSA, SHA-224
  "1.2.840.10045.4.3.2", // ECDSA, SHA-256
  "1.2.840.10045.4.3.3", // ECDSA, SHA-384
  "1.2.840.10045.4.3.4", // ECDSA, SHA-512
]);
const RSA_PSS = "1.2.840.113549.1.1.10";
const MGF1 = "1.2.840.113549.1.1.8";

/** The hashes that RSASSA-PSS may name: those of ESP-IDF's default build. */
const HASHES: ReadonlySet<string> = new Set([
  "1.2.840.113549.2.5", // MD5
  "1.3.14.3.2.26", // SHA-1
  "2.16.840.1.101.3.4.2.4", // SHA-224
  "2.16.840.1.101.3.4.2.1", // SHA-256
  "2.16.840.1.101.3.4.2.2", // SHA-384
  "2.16.840.1.101.3.4.2.3", // SHA-512
]);

/** Algorithms that are refused, for messages (RFC 8410; NIST, Computer Security Objects Register). */
const OTHER_ALGORITHMS: ReadonlyMap<string, string> = new Map([
  ["1.3.101.112", "Ed25519"],
  ["1.3.101.113", "Ed448"],
  ["1.2.840.113549.1.1.2", "RSA with MD2"],
  ["1.2.840.113549.1.1.3", "RSA with MD4"],
  ["1.2.840.113549.1.1.15", "RSA with SHA-512/224"],
  ["1.2.840.113549.1.1.16", "RSA with SHA-512/256"],
  ["2.16.840.1.101.3.4.3.9", "ECDSA with SHA3-224"],
  ["2.16.840.1.101.3.4.3.10", "ECDSA with SHA3-256"],
  ["2.16.840.1.101.3.4.3.11", "ECDSA with SHA3-384"],
  ["2.16.840.1.101.3.4.3.12", "ECDSA with SHA3-512"],
  ["2.16.840.1.101.3.4.3.13", "RSA with SHA3-224"],
  ["2.16.840.1.101.3.4.3.14", "RSA with SHA3-256"],
  ["2.16.840.1.101.3.4.3.15", "RSA with SHA3-384"],
  ["2.16.840.1.101.3.4.3.16", "RSA with SHA3-512"],
]);

/** What a name's values may be (mbedTLS, `x509_get_attr_type_value`). */
const VALUE_TAGS: readonly number[] = [
  TAG.utf8String,
  TAG.printableString,
  TAG.ia5String,
  TAG.t61String,
  TAG.bmpString,
  0x1C, // UniversalString
  TAG.bitString,
];

/** Universal types that are refused in names and times, for messages (X.680 section 8.6). */
const TYPES: ReadonlyMap<number, string> = new Map([
  [0x02, "INTEGER"],
  [0x04, "OCTET STRING"],
  [0x05, "NULL"],
  [0x06, "OBJECT IDENTIFIER"],
  [0x0C, "UTF8String"],
  [0x12, "NumericString"],
  [0x13, "PrintableString"],
  [0x14, "T61String"],
  [0x15, "VideotexString"],
  [0x16, "IA5String"],
  [0x17, "UTCTime"],
  [0x18, "GeneralizedTime"],
  [0x19, "GraphicString"],
  [0x1A, "VisibleString"],
  [0x1B, "GeneralString"],
  [0x1C, "UniversalString"],
  [0x1E, "BMPString"],
  [0x30, "SEQUENCE"],
  [0x31, "SET"],
]);

/** An extension that the device looks into. */
interface KnownExtension {
  readonly name: string;
  /** Refuses a value that the device does not read. */
  readonly check: (value: DerCursor, isCritical: boolean) => void;
}

/** RFC 5280 section 4.2.1; nsCertType is Netscape's. */
const KNOWN_EXTENSIONS: ReadonlyMap<string, KnownExtension> = new Map([
  ["2.5.29.19", { name: "basicConstraints", check: checkBasicConstraints }],
  ["2.5.29.15", { name: "keyUsage", check: readBits }],
  ["2.5.29.37", { name: "extendedKeyUsage", check: checkExtendedKeyUsage }],
  ["2.5.29.14", { name: "subjectKeyIdentifier", check: checkKeyIdentifier }],
  ["2.5.29.35", { name: "authorityKeyIdentifier", check: checkAuthorityKeyIdentifier }],
  ["2.5.29.17", { name: "subjectAltName", check: checkSubjectAltName }],
  ["2.5.29.32", { name: "certificatePolicies", check: checkPolicies }],
  ["2.16.840.1.113730.1.1", { name: "nsCertType", check: checkNsCertType }],
]);

/** Extensions that are refused when they are critical, for messages. */
const OTHER_EXTENSIONS: ReadonlyMap<string, string> = new Map([
  ["2.5.29.9", "subjectDirectoryAttributes"],
  ["2.5.29.16", "privateKeyUsagePeriod"],
  ["2.5.29.18", "issuerAltName"],
  ["2.5.29.30", "nameConstraints"],
  ["2.5.29.31", "cRLDistributionPoints"],
  ["2.5.29.33", "policyMappings"],
  ["2.5.29.36", "policyConstraints"],
  ["2.5.29.46", "freshestCRL"],
  ["2.5.29.54", "inhibitAnyPolicy"],
  ["1.3.6.1.5.5.7.1.1", "authorityInfoAccess"],
  ["1.3.6.1.5.5.7.1.3", "qcStatements"],
  ["1.3.6.1.5.5.7.1.11", "subjectInfoAccess"],
  ["1.3.6.1.5.5.7.1.24", "TLS feature"],
  ["1.3.6.1.4.1.11129.2.4.2", "signed certificate timestamps"],
  ["1.3.6.1.4.1.11129.2.4.3", "precertificate poison"],
]);

const ANY_POLICY = "2.5.29.32.0";
/** id-on-hardwareModuleName (RFC 4108 section 5). */
const HARDWARE_MODULE_NAME = "1.3.6.1.5.5.7.8.4";

/** Kinds of general names that the device looks into (RFC 5280 section 4.2.1.6). */
const OTHER_NAME = 0;
const DIRECTORY_NAME = 4;
const IP_ADDRESS = 7;

/** What may follow the public key, by its tag. */
const OPTIONAL_FIELDS: ReadonlyMap<number, string> = new Map([
  [constructedTag(1), "unique identifiers"],
  [constructedTag(2), "unique identifiers"],
  [constructedTag(3), "extensions"],
]);

/**
 * Why the device's TLS library refuses a certificate; undefined when it parses it.
 *
 * @param der The certificate; bytes after it are allowed, and not looked at.
 * @returns A phrase for after "the device refuses the certificate: ", such as
 * `critical extension nameConstraints`. Offsets in it are bytes from the start of the certificate.
 */
export function certificateRefusal(der: Uint8Array): string | undefined {
  return refusalOf(() => checkCertificate(deviceCursor(der)));
}

/** Certificate (RFC 5280 section 4.1; mbedTLS, `x509_crt_parse_der_core`). */
function checkCertificate(file: DerCursor): void {
  const parts = enterDer(nextDer(file, TAG.sequence));
  const inner = checkSignedPart(enterDer(nextDer(parts, TAG.sequence)));
  const outer = within("the outer signature algorithm", () => readAlgorithm(parts));
  if (!isSameAlgorithm(inner, outer)) refuse("inner and outer signature algorithm differ");
  within("the signature", () => enterWholeBytes(nextDer(parts, TAG.bitString)));
  checkEnd(parts);
}

/** TBSCertificate; gives the signature algorithm that it names. */
function checkSignedPart(fields: DerCursor): AlgorithmParts {
  const version = within("the version", () => readVersion(fields));
  within("the serial number", () => checkSerial(fields));
  const algorithm = within("the signature algorithm", () => readAlgorithm(fields));
  if (version > 3) refuse(`version ${version}`);
  checkSignatureAlgorithm(algorithm);
  within("the issuer", () => checkIssuer(fields));
  within("the validity", () => checkValidity(fields));
  within("the subject", () => checkSubject(fields));
  within("the public key", () => checkPublicKey(fields));
  checkOptionalFields(fields, version);
  checkEnd(fields);
  return algorithm;
}

/** The version, from 1; it may be too high. */
function readVersion(fields: DerCursor): number {
  const wrapper = optionalDer(fields, constructedTag(0));
  if (wrapper === undefined) return 1;
  const content = enterDer(wrapper);
  const version = 1 + readInteger(content);
  checkEnd(content);
  return version;
}

/** The serial number may be [2] and hold anything (mbedTLS, `mbedtls_x509_get_serial`). */
function checkSerial(fields: DerCursor): void {
  if (optionalDer(fields, contextTag(2)) === undefined) nextDer(fields, TAG.integer);
}

function isSameAlgorithm(one: AlgorithmParts, other: AlgorithmParts): boolean {
  return equalBytes(contentOf(one.oid), contentOf(other.oid)) &&
    // Tag 0 is the same to the device as nothing.
    (one.parameters?.tag ?? 0) === (other.parameters?.tag ?? 0) &&
    equalBytes(optionalContent(one.parameters), optionalContent(other.parameters));
}

function optionalContent(node: DerNode | undefined): Uint8Array {
  return node === undefined ? new Uint8Array() : contentOf(node);
}

/** mbedTLS, `mbedtls_x509_get_sig_alg`. */
function checkSignatureAlgorithm(algorithm: AlgorithmParts): void {
  const oid = oidOf(algorithm.oid);
  if (oid === RSA_PSS) {
    within("the RSASSA-PSS parameters", () => checkPssParameters(algorithm.parameters));
    return;
  }
  if (!SIGNATURES.has(oid)) refuse(`signature algorithm ${algorithmName(oid)}`);
  if (!isWithoutParameters(algorithm)) refuse("parameters of the signature algorithm");
}

function algorithmName(oid: string): string {
  return OTHER_ALGORITHMS.get(oid) ?? shownOid(oid);
}

/** RSASSA-PSS-params (RFC 4055 section 3.1; mbedTLS, `mbedtls_x509_get_rsassa_pss_params`). */
function checkPssParameters(parameters: DerNode | undefined): void {
  if (parameters?.tag !== TAG.sequence) refuse("no SEQUENCE");
  const fields = enterDer(parameters);
  checkPssField(fields, 0, checkHash);
  checkPssField(fields, 1, checkMaskFunction);
  checkPssField(fields, 2, readInteger);
  checkPssField(fields, 3, checkTrailer);
  checkEnd(fields);
}

function checkPssField(
  fields: DerCursor,
  number: number,
  check: (content: DerCursor) => unknown,
): void {
  const field = optionalDer(fields, constructedTag(number));
  if (field === undefined) return;
  const content = enterDer(field);
  check(content);
  checkEnd(content);
}

function checkHash(cursor: DerCursor): void {
  const hash = readAlgorithm(cursor);
  checkHashName(hash);
  if (!isWithoutParameters(hash)) refuse("parameters of the hash");
}

/** MGF1 with a hash, which has no parameters or NULL: here tag 0 will not do for it. */
function checkMaskFunction(cursor: DerCursor): void {
  const { oid, parameters } = readAlgorithm(cursor);
  const name = oidOf(oid);
  if (name !== MGF1) refuse(`mask function ${shownOid(name)}`);
  if (parameters === undefined) refuse("mask function without a hash");
  const { start, end, source } = parameters;
  const hash = readAlgorithm({ at: start, end, source });
  checkHashName(hash);
  if (hash.parameters?.tag === 0 || !isWithoutParameters(hash)) refuse("parameters of the hash");
}

function checkHashName({ oid }: AlgorithmParts): void {
  const hash = oidOf(oid);
  if (!HASHES.has(hash)) refuse(`hash ${shownOid(hash)}`);
}

function checkTrailer(cursor: DerCursor): void {
  const trailer = readInteger(cursor);
  if (trailer !== 1) refuse(`trailer field ${trailer}`);
}

function checkIssuer(fields: DerCursor): void {
  const issuer = nextDer(fields, TAG.sequence);
  if (issuer.content === issuer.end) refuse("no attributes");
  checkName(enterDer(issuer));
}

function checkSubject(fields: DerCursor): void {
  const subject = nextDer(fields, TAG.sequence);
  if (subject.content < subject.end) checkName(enterDer(subject));
}

/** One or more SETs of one or more attributes (mbedTLS, `mbedtls_x509_get_name`). */
function checkName(name: DerCursor): void {
  do {
    const set = enterDer(nextDer(name, TAG.set));
    do checkAttribute(set); while (set.at < set.end);
  } while (name.at < name.end);
}

function checkAttribute(set: DerCursor): void {
  const fields = enterDer(nextDer(set, TAG.sequence));
  nextDer(fields, TAG.oid);
  const { tag } = nextDer(fields);
  if (!VALUE_TAGS.includes(tag)) refuse(typeName(tag));
  checkEnd(fields);
}

function typeName(tag: number): string {
  return TYPES.get(tag) ?? `tag 0x${tag.toString(16).padStart(2, "0")}`;
}

function checkValidity(fields: DerCursor): void {
  const validity = enterDer(nextDer(fields, TAG.sequence));
  checkTime(nextDer(validity));
  checkTime(nextDer(validity));
  checkEnd(validity);
}

/** UTCTime or GeneralizedTime down to seconds, `Z` or not (mbedTLS, `mbedtls_x509_get_time`). */
function checkTime({ tag, content, end, source: { bytes } }: DerNode): void {
  const isShort = tag === TAG.utcTime;
  if (!isShort && tag !== TAG.generalizedTime) refuse(`${typeName(tag)} for a time`);
  const afterYear = content + (isShort ? 2 : 4);
  const afterDigits = afterYear + 10;
  const hasZ = end === afterDigits + 1 && bytes[afterDigits] === 0x5A;
  if (end !== afterDigits && !hasZ) {
    refuse(`${typeName(tag)} not of the form ${isShort ? "YY" : "YYYY"}MMDDhhmmssZ`);
  }
  const pairs: number[] = [];
  for (let at = content; at < afterDigits; at += 2) pairs.push(twoDigits(bytes, at));
  if (isShort) pairs.unshift(pairs[0]! < 50 ? 20 : 19);
  if (!isMoment(pairs)) refuse(`${typeName(tag)} that is not a date and time`);
}

/** Whether century, year of it, month, day, hour, minute and second exist; NaN does not. */
function isMoment(pairs: readonly number[]): boolean {
  const [century = NaN, year = NaN, month = NaN, day = NaN, hour = NaN, minute, second] = pairs;
  const days = daysOf(100 * century + year, month);
  return day >= 1 && day <= days && hour < 24 && minute! < 60 && second! < 60;
}

/** The number of two ASCII digits; NaN when they are not. */
function twoDigits(bytes: Uint8Array, at: number): number {
  const [tens, ones] = [bytes[at]! - 0x30, bytes[at + 1]! - 0x30];
  return tens >= 0 && tens < 10 && ones >= 0 && ones < 10 ? 10 * tens + ones : NaN;
}

/** Days of a month of the Gregorian calendar; 0 for no such month, NaN for no such year. */
function daysOf(year: number, month: number): number {
  if (!(year >= 0)) return NaN;
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;
}

/** Unique identifiers from version 2 on and extensions in version 3, each where it is present. */
function checkOptionalFields(fields: DerCursor, version: number): void {
  if (version >= 2) {
    optionalDer(fields, constructedTag(1));
    optionalDer(fields, constructedTag(2));
  }
  if (fields.at === fields.end) return;
  const tag = fields.source.bytes[fields.at]!;
  if (tag === contextTag(1) || tag === contextTag(2)) refuse("primitive unique identifier");
  if (version === 3) return checkExtensions(fields);
  const name = OPTIONAL_FIELDS.get(tag);
  if (name !== undefined) refuse(`version ${version} with ${name}`);
}

/** Each known extension at most once; others as often as they like (mbedTLS, `x509_get_crt_ext`). */
function checkExtensions(fields: DerCursor): void {
  const extensions = within("the extensions", () => enterExtensions(fields));
  const seen = new Set<KnownExtension>();
  while (extensions.at < extensions.end) {
    const { oid, isCritical, value } = within("an extension", () => readExtension(extensions));
    const extension = KNOWN_EXTENSIONS.get(oid);
    if (extension === undefined) {
      if (isCritical) refuse(`critical extension ${OTHER_EXTENSIONS.get(oid) ?? shownOid(oid)}`);
      continue;
    }
    if (seen.has(extension)) refuse(`second extension ${extension.name}`);
    seen.add(extension);
    within(extension.name, () => extension.check(value, isCritical));
  }
}

function enterExtensions(fields: DerCursor): DerCursor {
  const wrapper = enterDer(nextDer(fields, constructedTag(3)));
  const extensions = nextDer(wrapper, TAG.sequence);
  checkEnd(wrapper);
  return enterDer(extensions);
}

interface Extension {
  readonly oid: string;
  readonly isCritical: boolean;
  readonly value: DerCursor;
}

function readExtension(extensions: DerCursor): Extension {
  const fields = enterDer(nextDer(extensions, TAG.sequence));
  const oid = oidOf(nextDer(fields, TAG.oid));
  const isCritical = readOptionalBoolean(fields) ?? false;
  const value = enterDer(nextDer(fields, TAG.octetString));
  checkEnd(fields);
  return { oid, isCritical, value };
}

/**
 * A SEQUENCE, then cA and pathLenConstraint. What the SEQUENCE's length says is not compared with what
 * is read: the fields go on to the end of the extension (mbedTLS, `x509_get_basic_constraints`).
 */
function checkBasicConstraints(value: DerCursor): void {
  value.at = nextDer(value, TAG.sequence).content;
  if (value.at === value.end) return;
  if (readOptionalBoolean(value) === undefined) readInteger(value);
  if (value.at === value.end) return;
  // The device adds one to it.
  if (readInteger(value) === MAX_INT) refuse("the highest path length");
  checkEnd(value);
}

/** mbedTLS, `x509_get_ext_key_usage`. */
function checkExtendedKeyUsage(value: DerCursor): void {
  const purposes = enterOnlySequence(value);
  if (purposes.at === purposes.end) refuse("no purposes");
  while (purposes.at < purposes.end) nextDer(purposes, TAG.oid);
}

/** mbedTLS, `x509_get_subject_key_id`. */
function checkKeyIdentifier(value: DerCursor): void {
  nextDer(value, TAG.octetString);
  checkEnd(value);
}

/**
 * The key identifier, if any, then nothing or both issuer and serial number; not nothing at all
 * (mbedTLS, `x509_get_authority_key_id`).
 */
function checkAuthorityKeyIdentifier(value: DerCursor): void {
  const fields = enterOnlySequence(value);
  if (fields.at === fields.end) refuse("no fields");
  if (optionalDer(fields, contextTag(0)) !== undefined && fields.at === fields.end) return;
  checkGeneralNames(enterDer(nextDer(fields, constructedTag(1))));
  nextDer(fields, contextTag(2));
  checkEnd(fields);
}

/** mbedTLS, `mbedtls_x509_get_subject_alt_name`. */
function checkSubjectAltName(value: DerCursor): void {
  checkGeneralNames(enterOnlySequence(value));
}

/** Elements of the context class, none too (mbedTLS, `mbedtls_x509_get_subject_alt_name_ext`). */
function checkGeneralNames(names: DerCursor): void {
  while (names.at < names.end) checkGeneralName(nextDer(names));
}

function checkGeneralName(name: DerNode): void {
  if (name.tag >> 6 !== 2) refuse(`${typeName(name.tag)} for a name`);
  const length = name.end - name.content;
  switch (name.tag & 0x1F) {
    case OTHER_NAME:
      return within("otherName", () => checkOtherName(enterDer(name)));
    case DIRECTORY_NAME:
      return within("directoryName", () => checkDirectoryName(enterDer(name)));
    case IP_ADDRESS:
      if (length !== 4 && length !== 16) refuse(`iPAddress of ${countOf(length, "byte")}`);
  }
}

/** Only hardware module names (RFC 4108 section 5) are read (mbedTLS, `x509_get_other_name`). */
function checkOtherName(fields: DerCursor): void {
  if (oidOf(nextDer(fields, TAG.oid)) !== HARDWARE_MODULE_NAME) return;
  const value = enterDer(nextDer(fields, constructedTag(0)));
  checkEnd(fields);
  const parts = enterOnlySequence(value);
  nextDer(parts, TAG.oid);
  nextDer(parts, TAG.octetString);
  checkEnd(parts);
}

/** A name that is not empty; what follows it is not read. */
function checkDirectoryName(fields: DerCursor): void {
  checkName(enterDer(nextDer(fields, TAG.sequence)));
}

/**
 * Policies with or without qualifiers; where they are critical, anyPolicy only (mbedTLS,
 * `x509_get_certificate_policies`).
 */
function checkPolicies(value: DerCursor, isCritical: boolean): void {
  const policies = enterOnlySequence(value);
  if (policies.at === policies.end) refuse("no policies");
  while (policies.at < policies.end) {
    const policy = enterDer(nextDer(policies, TAG.sequence));
    const oid = oidOf(nextDer(policy, TAG.oid));
    if (policy.at < policy.end) nextDer(policy, TAG.sequence);
    checkEnd(policy);
    if (isCritical && oid !== ANY_POLICY) refuse(`critical policy ${shownOid(oid)}`);
  }
}

/** mbedTLS, `mbedtls_x509_get_ns_cert_type`. */
function checkNsCertType(value: DerCursor): void {
  const length = readBits(value);
  if (length > 1) refuse(`${countOf(length, "byte")} of bits`);
}

/** A BIT STRING, which may be empty; gives its bytes (mbedTLS, `mbedtls_asn1_get_bitstring`). */
function readBits(value: DerCursor): number {
  const bits = nextDer(value, TAG.bitString);
  const { at, end, source } = enterBits(bits);
  const unused = source.bytes[bits.content]!;
  if (unused > 7) refuse(`unused bits in the BIT STRING at byte ${bits.start}`);
  checkEnd(value);
  return end - at;
}

/** A cursor in a SEQUENCE that nothing follows. */
function enterOnlySequence(cursor: DerCursor): DerCursor {
  const sequence = nextDer(cursor, TAG.sequence);
  checkEnd(cursor);
  return enterDer(sequence);
}

/** A BOOLEAN where there is one: one byte, of which all but 0 are true. */
function readOptionalBoolean(cursor: DerCursor): boolean | undefined {
  const node = optionalDer(cursor, TAG.boolean);
  if (node === undefined) return undefined;
  const length = node.end - node.content;
  if (length !== 1) refuse(`BOOLEAN of ${countOf(length, "byte")} at byte ${node.start}`);
  return node.source.bytes[node.content] !== 0;
}
