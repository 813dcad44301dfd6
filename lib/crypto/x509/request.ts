import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { derBlocks, formatPem } from "../../bytes/pem.ts";
import {
  bitsOf,
  childrenOf,
  constructedTag,
  derBits,
  derContext,
  type DerCursor,
  derInteger,
  derOid,
  derSequence,
  derSet,
  encodeDer,
  enterDer,
  nextDer,
  oidOf,
  optionalDer,
  rawOf,
  readDer,
  TAG,
} from "../der.ts";
import { readAs } from "../foreign.ts";
import { publicKeyParts } from "../keys/encoding.ts";
import { importPrivateKey, type KeyInput } from "../keys/keys.ts";
import { type CheckedScheme, hashFor, signBytes, verifyBytes } from "../signing.ts";
import {
  EXTENSION,
  namesExtension,
  readExtensions,
  signatureAlgorithm,
  signatureScheme,
} from "./extensions.ts";
import { encodeName, encodeSans, nameOf, sansOf } from "./names.ts";

/** Labels under which PEM files hold requests; the first is written. */
export const REQUEST_LABELS = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"] as const;
const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";

/**
 * A signing request whose signature is right.
 *
 * @category Keys and certificates
 */
export interface SigningRequest {
  /** Subject as text. */
  readonly subject: string;
  /** Subject alternative names. */
  readonly sans: readonly string[];
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Bytes;
  /** Subject, DER. */
  readonly subjectDer: Bytes;
  /** The whole request, DER, without what may follow it. */
  readonly der: Bytes;
  /** The same as PEM, with a line break at its end. */
  readonly pem: string;
}

/**
 * A certificate signing request (PKCS#10, RFC 2986).
 *
 * @category Keys and certificates
 * @throws {SecureCertError} `ERR_NAME` for a bad subject or SAN, or as {@linkcode importPrivateKey}.
 */
export async function createRequest(options: {
  /** The key to be certified; it signs the request. */
  readonly key: KeyInput;
  /** Subject such as `CN=device 1,O=Example`. */
  readonly subject: string;
  /** Names such as `dns:a.example`. @default [] */
  readonly sans?: readonly string[];
}): Promise<SigningRequest> {
  const { subject, sans = [] } = options;
  const key = await importPrivateKey(options.key);
  const extensions = sans.length === 0 ? [] : [namesExtension(encodeSans(sans), subject === "")];
  const attributes = extensions.length === 0
    ? []
    : [derSequence(derOid(EXTENSION_REQUEST), derSet(derSequence(...extensions)))];
  const info = encodeDer(derSequence(
    derInteger(0),
    encodeName(subject),
    key.publicKey,
    derContext(0, ...attributes),
  ));
  const algorithm = signatureAlgorithm(key, hashFor(key));
  const request = derSequence(info, algorithm, derBits(await signBytes(key, info)));
  return takeApart(encodeDer(request)).request;
}

/**
 * Reads a signing request and checks its signature, which proves that who asks has the key.
 *
 * @param input The request as bytes, PEM or DER, or as PEM text. What is read already is returned.
 * @throws {SecureCertError} `ERR_CERTIFICATE` when it is malformed or its signature is wrong,
 * `ERR_UNSUPPORTED` for a key that is neither RSA to 4096 bits nor on a known curve,
 * `ERR_PEM` when a PEM holds none.
 */
export async function readRequest(
  input: SigningRequest | Uint8Array | string,
): Promise<SigningRequest> {
  if (typeof input !== "string" && !(input instanceof Uint8Array)) return input;
  const { request, isKnown, problem } = await inspectRequest(input);
  if (problem === undefined) return request;
  const code = isKnown ? "ERR_CERTIFICATE" : "ERR_UNSUPPORTED";
  throw new SecureCertError(code, `Cannot use signing request: ${problem}`);
}

/**
 * Reads a signing request, even one whose signature is wrong.
 *
 * @param input The request as bytes, PEM or DER, or as PEM text.
 * @returns The request, what is wrong with its signature, and whether its algorithm is known.
 * @throws {SecureCertError} `ERR_CERTIFICATE` when it is malformed, `ERR_UNSUPPORTED` for another key.
 */
export async function inspectRequest(
  input: Uint8Array | string,
): Promise<{ request: SigningRequest; isKnown: boolean; problem?: string }> {
  const { request, signedPart, signature, scheme } = readAs(
    input,
    "signing request",
    () => takeApart(derBlocks(input, REQUEST_LABELS)[0]!),
  );
  if (scheme === undefined) {
    const problem = "it is signed with an algorithm that is not known";
    return { request, isKnown: false, problem };
  }
  const isRight = await verifyBytes(request, signedPart, signature, scheme);
  return { request, isKnown: true, problem: isRight ? undefined : "its signature is wrong" };
}

interface RequestParts {
  readonly request: SigningRequest;
  readonly signedPart: Bytes;
  readonly signature: Bytes;
  readonly scheme?: CheckedScheme;
}

function takeApart(file: Bytes): RequestParts {
  const root = readDer(file, "signing request", TAG.sequence, "ERR_CERTIFICATE");
  const outer = enterDer(root);
  const signedPart = nextDer(outer, TAG.sequence);
  const scheme = signatureScheme(nextDer(outer, TAG.sequence));
  const signature = bitsOf(nextDer(outer, TAG.bitString));
  const fields = enterDer(signedPart);
  nextDer(fields, TAG.integer);
  const subject = nextDer(fields, TAG.sequence);
  const spki = nextDer(fields, TAG.sequence);
  publicKeyParts(spki);
  const der = rawOf(root);
  const request = Object.freeze({
    subject: nameOf(subject),
    sans: requestedSans(fields),
    publicKey: rawOf(spki),
    subjectDer: rawOf(subject),
    der,
    get pem() {
      return formatPem(REQUEST_LABELS[0], der);
    },
  });
  return { request, signedPart: rawOf(signedPart), signature, scheme };
}

/** The names in the extension request (RFC 2985 section 5.4.2) among the attributes of a request. */
function requestedSans(fields: DerCursor): string[] {
  const attributes = optionalDer(fields, constructedTag(0));
  for (const attribute of attributes ? childrenOf(attributes) : []) {
    const parts = enterDer(attribute);
    if (oidOf(nextDer(parts, TAG.oid)) !== EXTENSION_REQUEST) continue;
    const [extensions] = childrenOf(nextDer(parts, TAG.set));
    const sans = extensions && readExtensions(extensions).get(EXTENSION.subjectAltName);
    return sans ? sansOf(nextDer(enterDer(sans), TAG.sequence)) : [];
  }
  return [];
}
