import { countOf, SecureCertError } from "../bytes/errors.ts";
import { type Bytes, plainBytes } from "../bytes/pack.ts";
import { md5, sha224 } from "./deps.ts";
import {
  type CurveDomain,
  CURVES,
  DOMAINS,
  type EcCurve,
  type HashName,
  type SignatureHash,
} from "./keys/curves.ts";
import {
  derError,
  derSequence,
  derUnsigned,
  encodeDer,
  enterDer,
  nextDer,
  readDer,
  TAG,
  unsignedOf,
} from "./der.ts";
import {
  decodeKeyParts,
  decodeSpki,
  type PrivateKey,
  type PublicKeyParts,
} from "./keys/encoding.ts";
import type { CurveOperations } from "./keys/other_curves.ts";
import type { RsaPadding } from "./rsa.ts";

/** How a signature is made. */
export interface SignatureScheme {
  /** The hash of the message. */
  readonly hash: HashName;
  /** Salt length in bytes when RSA pads with PSS; PKCS#1 v1.5 without. */
  readonly pssSaltLength?: number;
}

/** How a signature was made that is to be checked. */
export interface CheckedScheme extends RsaPadding {
  /** The kind of key that made it. @default any */
  readonly type?: "ec" | "rsa";
}

/** What has a public key, such as a certificate or a private key; it does not change. */
export interface PublicKeyHolder {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

/** A public key taken apart, with what WebCrypto has imported of it. */
interface OpenedKey {
  readonly parts: PublicKeyParts;
  readonly handles: Map<string, CryptoKey>;
}

const RSA_PKCS1 = "RSASSA-PKCS1-v1_5";

/** What WebCrypto has of each key: importing one takes longer than to sign with it. */
const signingHandles = new WeakMap<PrivateKey, Map<string, CryptoKey>>();
const openedKeys = new WeakMap<PublicKeyHolder, OpenedKey>();

/** The hash that fits a key: as strong as its curve; SHA-256 for RSA to 3072 bits, then SHA-384. */
export function hashFor({ curve, bits }: { curve?: EcCurve; bits: number }): HashName {
  if (curve !== undefined) return CURVES[curve].hash;
  return bits > 3072 ? "SHA-384" : "SHA-256";
}

/**
 * Signs a message: RSA PKCS#1 v1.5 or PSS, or ECDSA.
 *
 * @param key The private key.
 * @param message What to sign.
 * @param scheme Hash and padding. @default the hash that fits the key, PKCS#1 v1.5
 * @returns The signature as X.509 has it: for RSA as long as the modulus, for ECDSA a DER sequence
 * of r and s.
 */
export async function signBytes(
  key: PrivateKey,
  message: Uint8Array,
  scheme: SignatureScheme = { hash: hashFor(key) },
): Promise<Bytes> {
  const { curve, pkcs8 } = key;
  if (curve !== undefined && !CURVES[curve].webCrypto) {
    const parts = decodeKeyParts(pkcs8);
    if (parts.type !== "ec") throw new SecureCertError("ERR_KEY", "Cannot sign: key is not EC");
    const operations = await otherCurve(curve);
    return encodeEcdsaSignature(
      operations.signDigest(await digest(scheme.hash, message), parts.scalar),
    );
  }
  const algorithm = algorithmOf(curve, scheme);
  const name = handleName(algorithm);
  let handle = signingHandles.get(key)?.get(name);
  if (handle === undefined) {
    handle = await importSigningKey(pkcs8, algorithm);
    keepHandle(key, handle);
  }
  const signed = await crypto.subtle.sign(algorithm, handle, plainBytes(message));
  const signature = new Uint8Array(signed);
  return curve === undefined ? signature : encodeEcdsaSignature(signature);
}

/** WebCrypto takes no RSA key with a public exponent of more than 33 bits, and each engine has its own limits. */
async function importSigningKey(pkcs8: Bytes, algorithm: SigningAlgorithm): Promise<CryptoKey> {
  try {
    return await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]);
  } catch (cause) {
    const message = "Cannot sign: WebCrypto does not take a private key of this size";
    throw new SecureCertError("ERR_UNSUPPORTED", message, {}, { cause });
  }
}

/** Keeps what WebCrypto has of a private key, hidden, for as long as the key is there. */
export function keepHandle(key: PrivateKey, handle: CryptoKey): void {
  const handles = signingHandles.get(key) ?? new Map<string, CryptoKey>();
  signingHandles.set(key, handles);
  handles.set(handleName(handle.algorithm as SigningAlgorithm), handle);
}

/**
 * Whether a signature is that of the message under a public key. WebCrypto checks it where it can; it has
 * neither every curve nor every hash that certificates are signed with, nor RSA with any exponent.
 *
 * @param key What has the public key; it is imported once for each such object.
 * @param message What was signed.
 * @param signature The signature as {@linkcode signBytes} returns it.
 * @param scheme Kind of key, hash and padding. @default the hash that fits the key, PKCS#1 v1.5
 * @throws {SecureCertError} `ERR_DER` or `ERR_UNSUPPORTED` for a public key that cannot be read.
 */
export async function verifyBytes(
  key: PublicKeyHolder,
  message: Uint8Array,
  signature: Uint8Array,
  scheme?: CheckedScheme,
): Promise<boolean> {
  const opened = openedKeys.get(key) ?? { parts: decodeSpki(key.publicKey), handles: new Map() };
  openedKeys.set(key, opened);
  const { parts } = opened;
  const wanted = scheme ?? { hash: hashFor(parts) };
  if ((wanted.type ?? parts.type) !== parts.type) return false;
  const raw = parts.type === "ec"
    ? ecdsaNumbers(signature, CURVES[parts.curve].size)
    : plainBytes(signature);
  if (raw === undefined) return false;
  const algorithm = checkingAlgorithm(parts, wanted);
  if (algorithm !== undefined) {
    try {
      const handle = await verifyingHandle(key, opened, algorithm);
      return await crypto.subtle.verify(algorithm, handle, raw, plainBytes(message));
    } catch {
      // This WebCrypto has no such algorithm, or takes no such key.
    }
  }
  if (parts.type === "ec") {
    const operations = await otherCurve(parts.curve);
    return operations.verifyDigest(raw, await digest(wanted.hash, message), parts.point);
  }
  const { isRsaSignature } = await import("./rsa.ts");
  return isRsaSignature(parts, message, raw, wanted);
}

/** As {@linkcode decodeEcdsaSignature}; undefined when they are malformed. */
export function ecdsaNumbers(signature: Uint8Array, size: number): Bytes | undefined {
  try {
    return decodeEcdsaSignature(signature, size);
  } catch (error) {
    if (error instanceof SecureCertError) return undefined;
    throw error;
  }
}

/**
 * What WebCrypto calls an algorithm; undefined for what it lacks, or not every runtime has: some call a good
 * ECDSA signature wrong when its hash is shorter than the curve.
 */
function checkingAlgorithm(
  parts: PublicKeyParts,
  { hash, pssSaltLength, pssMaskHash = hash }: CheckedScheme,
): SigningAlgorithm | undefined {
  if (hash === "MD5" || hash === "SHA-224" || pssMaskHash !== hash) return undefined;
  const curve = parts.type === "ec" ? parts.curve : undefined;
  if (curve !== undefined && (!CURVES[curve].webCrypto || hash === "SHA-1")) return undefined;
  return algorithmOf(curve, { hash, pssSaltLength });
}

async function verifyingHandle(
  { publicKey }: PublicKeyHolder,
  { parts, handles }: OpenedKey,
  algorithm: SigningAlgorithm,
): Promise<CryptoKey> {
  const known = handles.get(handleName(algorithm));
  if (known !== undefined) return known;
  const handle = parts.type === "ec"
    ? await crypto.subtle.importKey("raw", parts.point, algorithm, false, ["verify"])
    : await crypto.subtle.importKey("spki", plainBytes(publicKey), algorithm, false, ["verify"]);
  handles.set(handleName(algorithm), handle);
  return handle;
}

/** The hash of bytes. */
export async function digest(hash: SignatureHash, bytes: Uint8Array): Promise<Bytes> {
  if (hash === "MD5") return new Uint8Array(md5(bytes));
  if (hash === "SHA-224") return new Uint8Array(sha224(bytes));
  return new Uint8Array(await crypto.subtle.digest(hash, plainBytes(bytes)));
}

/** DER sequence of r and s (RFC 3279 section 2.2.3) from r and s of equal length. */
export function encodeEcdsaSignature(raw: Uint8Array): Bytes {
  const half = raw.length / 2;
  const numbers = [raw.subarray(0, half), raw.subarray(half)].map(derUnsigned);
  return encodeDer(derSequence(...numbers));
}

/**
 * r and s, each of `size` bytes, from their DER sequence.
 *
 * @throws {SecureCertError} `ERR_DER` when it is not one, or a number is too long.
 */
export function decodeEcdsaSignature(der: Uint8Array, size: number): Bytes {
  const root = readDer(der, "ECDSA signature");
  const numbers = enterDer(root);
  const raw = new Uint8Array(2 * size);
  for (const end of [size, 2 * size]) {
    const number = nextDer(numbers, TAG.integer);
    const digits = unsignedOf(number);
    if (digits.length === 0 || digits.length > size) {
      throw derError(
        root,
        number.start,
        `need 1 to ${countOf(size, "byte")}, have ${digits.length}`,
      );
    }
    raw.set(digits, end - digits.length);
  }
  if (numbers.at < numbers.end) throw derError(root, numbers.at, "a third number");
  if (root.end < der.length) throw derError(root, root.end, "bytes after the signature");
  return raw;
}

/** The operations on a curve in JavaScript. */
export function otherCurve(curve: EcCurve): Promise<CurveOperations> {
  return operationsOn(DOMAINS[CURVES[curve].oid]!);
}

/** As {@linkcode otherCurve}, by the curve's parameters; they need @noble/curves. */
export async function operationsOn(domain: CurveDomain): Promise<CurveOperations> {
  const { curveOperations } = await import("./keys/other_curves.ts");
  return curveOperations(domain);
}

interface SigningAlgorithm {
  readonly name: string;
  readonly hash: HashName | { readonly name: string };
  readonly namedCurve?: string;
  readonly saltLength?: number;
}

function algorithmOf(
  curve: EcCurve | undefined,
  { hash, pssSaltLength }: SignatureScheme,
): SigningAlgorithm {
  if (curve !== undefined) return { name: "ECDSA", namedCurve: curve, hash };
  if (pssSaltLength !== undefined) return { name: "RSA-PSS", hash, saltLength: pssSaltLength };
  return { name: RSA_PKCS1, hash };
}

/** WebCrypto ties RSA keys to padding and hash, EC keys to their curve, of which a key has one. */
function handleName({ name, hash }: SigningAlgorithm): string {
  if (name === "ECDSA") return name;
  return `${name} ${typeof hash === "string" ? hash : hash.name}`;
}
