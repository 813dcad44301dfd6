import { SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { CURVES, type EcCurve, type HashName } from "./keys/curves.ts";
import {
  derError,
  derSequence,
  derUnsigned,
  enterDer,
  nextDer,
  readDer,
  TAG,
  unsignedOf,
} from "./der.ts";
import type { CurveOperations } from "./keys/other_curves.ts";
import { decodeKeyParts, decodeSpki } from "./keys/encoding.ts";

/** A private key as far as signing needs it. */
export interface SigningKey {
  readonly type: "ec" | "rsa";
  readonly curve?: EcCurve;
  readonly bits: number;
  readonly pkcs8: Bytes;
}

/** How a signature is made. */
export interface SignatureScheme {
  /** The hash of the message. */
  readonly hash: HashName;
  /** Salt length in bytes when RSA pads with PSS; PKCS#1 v1.5 without. */
  readonly pssSaltLength?: number;
}

const RSA_PKCS1 = "RSASSA-PKCS1-v1_5";

/** The hash that fits a key: as strong as its curve; SHA-256 for RSA to 3072 bits, then SHA-384. */
export function hashFor({ curve, bits }: { curve?: EcCurve; bits: number }): HashName {
  if (curve !== undefined) return CURVES[curve].hash;
  return bits > 3072 ? "SHA-384" : "SHA-256";
}

/**
 * Signs a message: RSA PKCS#1 v1.5, or ECDSA.
 *
 * @param key The private key.
 * @param message What to sign.
 * @param scheme Hash and padding. @default the hash that fits the key
 * @returns The signature as X.509 has it: for RSA as long as the modulus, for ECDSA a DER sequence
 * of r and s.
 */
export async function signBytes(
  key: SigningKey,
  message: Uint8Array,
  scheme: SignatureScheme = { hash: hashFor(key) },
): Promise<Bytes> {
  const data = new Uint8Array(message);
  if (key.curve !== undefined && !CURVES[key.curve].webCrypto) {
    return await signOther(key.curve, key, data, scheme);
  }
  const algorithm = algorithmOf(key.curve, scheme);
  const handle = await crypto.subtle.importKey("pkcs8", key.pkcs8, algorithm, false, ["sign"]);
  const signature = new Uint8Array(await crypto.subtle.sign(algorithm, handle, data));
  return key.curve === undefined ? signature : encodeEcdsaSignature(signature);
}

/**
 * Whether a signature is that of the message under a public key.
 *
 * @param spki SubjectPublicKeyInfo, DER.
 * @param message What was signed.
 * @param signature The signature as {@linkcode signBytes} returns it.
 * @param scheme Hash and padding. @default the hash that fits the key
 * @throws {SecureCertError} `ERR_DER` or `ERR_UNSUPPORTED` for a public key that cannot be read.
 */
export async function verifyBytes(
  spki: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  scheme?: SignatureScheme,
): Promise<boolean> {
  const key = decodeSpki(spki);
  const curve = key.type === "ec" ? key.curve : undefined;
  const { hash, pssSaltLength } = scheme ?? { hash: hashFor({ curve, bits: key.bits }) };
  const data = new Uint8Array(message);
  try {
    if (key.type === "ec" && !CURVES[key.curve].webCrypto) {
      const raw = decodeEcdsaSignature(signature, CURVES[key.curve].size);
      return (await otherCurve(key.curve)).verifyDigest(raw, await digest(hash, data), key.point);
    }
    const raw = curve === undefined
      ? signature
      : decodeEcdsaSignature(signature, CURVES[curve].size);
    const algorithm = algorithmOf(curve, { hash, pssSaltLength });
    const handle = await crypto.subtle.importKey("spki", new Uint8Array(spki), algorithm, false, [
      "verify",
    ]);
    return await crypto.subtle.verify(algorithm, handle, new Uint8Array(raw), data);
  } catch {
    return false;
  }
}

/** The hash of bytes. */
export async function digest(hash: HashName, bytes: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest(hash, new Uint8Array(bytes)));
}

/** DER sequence of r and s (RFC 3279 section 2.2.3) from r and s of equal length. */
export function encodeEcdsaSignature(raw: Uint8Array): Bytes {
  const half = raw.length / 2;
  return derSequence(derUnsigned(raw.subarray(0, half)), derUnsigned(raw.subarray(half)));
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
      throw derError(root, number.start, `need 1 to ${size} bytes, have ${digits.length}`);
    }
    raw.set(digits, end - digits.length);
  }
  if (numbers.at < numbers.end) throw derError(root, numbers.at, "a third number");
  if (root.end < der.length) throw derError(root, root.end, "bytes after the signature");
  return raw;
}

/** The operations on a curve that WebCrypto lacks, which need @noble/curves. */
export async function otherCurve(curve: EcCurve): Promise<CurveOperations> {
  const { curveOperations } = await import("./keys/other_curves.ts");
  return curveOperations(curve);
}

async function signOther(
  curve: EcCurve,
  { pkcs8 }: SigningKey,
  data: Bytes,
  { hash }: SignatureScheme,
): Promise<Bytes> {
  const parts = decodeKeyParts(pkcs8);
  if (parts.type !== "ec") throw new SecureCertError("ERR_KEY", "Cannot sign: key is not EC");
  const operations = await otherCurve(curve);
  return encodeEcdsaSignature(operations.signDigest(await digest(hash, data), parts.scalar));
}

function algorithmOf(
  curve: EcCurve | undefined,
  { hash, pssSaltLength }: SignatureScheme,
): { name: string; hash: HashName; namedCurve?: string; saltLength?: number } {
  if (curve !== undefined) return { name: "ECDSA", namedCurve: curve, hash };
  if (pssSaltLength !== undefined) return { name: "RSA-PSS", hash, saltLength: pssSaltLength };
  return { name: RSA_PKCS1, hash };
}
