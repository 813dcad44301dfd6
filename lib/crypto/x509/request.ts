import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { derBlocks } from "../../bytes/pem.ts";
import { CertificationRequest, Extensions } from "../deps.ts";
import {
  berOf,
  derBits,
  derContext,
  derInteger,
  derOid,
  derSequence,
  derSet,
} from "../der/read.ts";
import { decodeSpki } from "../keys/encoding.ts";
import type { PrivateKey } from "../keys/keys.ts";
import { encodeName, formatName } from "./name.ts";
import { encodeSans, formatSans } from "./san.ts";
import { signBytes, verifyBytes } from "../signing.ts";
import {
  EXTENSION,
  signatureAlgorithm,
  signatureScheme,
  subjectAltNameExtension,
} from "./extensions.ts";

const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";

/** What {@linkcode createRequest} asks for. */
export interface CreateRequestOptions {
  /** The key to be certified; it signs the request. */
  readonly key: PrivateKey;
  /** Subject such as `CN=device 1,O=Example`. */
  readonly subject: string;
  /** Names such as `dns:a.example`. @default [] */
  readonly sans?: readonly string[];
}

/** A signing request whose signature is right. */
export interface RequestInfo {
  /** Subject as text. */
  readonly subject: string;
  /** Subject, DER. */
  readonly subjectDer: Bytes;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Bytes;
  /** Subject alternative names. */
  readonly sans: readonly string[];
}

/**
 * A certificate signing request (PKCS#10, RFC 2986).
 *
 * @param options Key, subject and names.
 * @returns The request, DER.
 * @throws {SecureCertError} `ERR_NAME` for a bad subject or name.
 */
export async function createRequest(options: CreateRequestOptions): Promise<Bytes> {
  const { key, subject, sans = [] } = options;
  const extensions = sans.length === 0
    ? []
    : [berOf(subjectAltNameExtension(encodeSans(sans), subject === "").toSchema())];
  const attributes = extensions.length === 0
    ? []
    : [derSequence(derOid(EXTENSION_REQUEST), derSet(derSequence(...extensions)))];
  const info = derSequence(
    derInteger(0),
    encodeName(subject),
    key.publicKey,
    derContext(0, ...attributes),
  );
  const algorithm = signatureAlgorithm(key);
  return derSequence(info, algorithm, derBits(await signBytes(key, info)));
}

/**
 * Reads a signing request and checks its signature, which proves that whoever asks has the key.
 *
 * @param bytes The request, PEM or DER.
 * @throws {SecureCertError} `ERR_CERTIFICATE` when it is malformed or its signature is wrong,
 * `ERR_UNSUPPORTED` for a key that is neither RSA to 4096 bits nor on a known curve,
 * `ERR_PEM` when a PEM holds none.
 */
export async function readRequest(bytes: Uint8Array): Promise<RequestInfo> {
  const [der] = derBlocks(bytes, ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"]);
  const request = parseRequest(der!);
  const publicKey = berOf(request.subjectPublicKeyInfo.toSchema());
  decodeSpki(publicKey);
  const scheme = signatureScheme(berOf(request.signatureAlgorithm.toSchema()));
  const signature = request.signatureValue.valueBlock.valueHexView;
  if (!scheme || !await verifyBytes(publicKey, request.tbsView, signature, scheme)) {
    throw new SecureCertError(
      "ERR_CERTIFICATE",
      "Cannot use signing request: its signature is wrong",
    );
  }
  const subjectDer = berOf(request.subject.toSchema());
  return { subject: formatName(subjectDer), subjectDer, publicKey, sans: requestedSans(request) };
}

function parseRequest(der: Bytes): CertificationRequest {
  try {
    return CertificationRequest.fromBER(der);
  } catch (cause) {
    const message = "Cannot decode signing request: malformed";
    throw new SecureCertError("ERR_CERTIFICATE", message, {}, { cause });
  }
}

function requestedSans({ attributes = [] }: CertificationRequest): string[] {
  const wanted = attributes.find(({ type }) => type === EXTENSION_REQUEST);
  if (wanted?.values[0] === undefined) return [];
  const { extensions } = new Extensions({ schema: wanted.values[0] });
  const sans = extensions.find(({ extnID }) => extnID === EXTENSION.subjectAltName);
  return sans === undefined ? [] : formatSans(sans.extnValue.valueBlock.valueHexView);
}
