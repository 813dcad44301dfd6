import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { derBlocks } from "../../bytes/pem.ts";
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
  enterDer,
  nextDer,
  oidOf,
  optionalDer,
  rawOf,
  readDer,
  TAG,
} from "../der.ts";
import { publicKeyParts } from "../keys/encoding.ts";
import type { PrivateKey } from "../keys/keys.ts";
import { signBytes, verifyBytes } from "../signing.ts";
import {
  EXTENSION,
  namesExtension,
  readExtensions,
  signatureAlgorithm,
  signatureScheme,
} from "./extensions.ts";
import { encodeName, encodeSans, nameOf, sansOf } from "./names.ts";

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
  const extensions = sans.length === 0 ? [] : [namesExtension(encodeSans(sans), subject === "")];
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
  const [file] = derBlocks(bytes, ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"]);
  const outer = enterDer(readDer(file!, "signing request", TAG.sequence, "ERR_CERTIFICATE"));
  const signedPart = nextDer(outer, TAG.sequence);
  const scheme = signatureScheme(nextDer(outer, TAG.sequence));
  const signature = bitsOf(nextDer(outer, TAG.bitString));
  const fields = enterDer(signedPart);
  nextDer(fields, TAG.integer);
  const subject = nextDer(fields, TAG.sequence);
  const spki = nextDer(fields, TAG.sequence);
  publicKeyParts(spki);
  const publicKey = rawOf(spki);
  if (!scheme || !await verifyBytes(publicKey, rawOf(signedPart), signature, scheme)) {
    throw new SecureCertError(
      "ERR_CERTIFICATE",
      "Cannot use signing request: its signature is wrong",
    );
  }
  return {
    subject: nameOf(subject),
    subjectDer: rawOf(subject),
    publicKey,
    sans: requestedSans(fields),
  };
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
