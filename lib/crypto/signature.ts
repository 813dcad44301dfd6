import { SecureCertError } from "../bytes/errors.ts";
import { type Bytes, concat } from "../bytes/pack.ts";
import {
  publicKeyDigestInput,
  rsaSignatureKey,
  SIGNATURE_ALGORITHMS,
  type SignatureAlgorithm,
  type SignatureKey,
} from "../format/signature_block.ts";
import type { EcCurve } from "./keys/curves.ts";
import {
  decodeSpki,
  encodeEcSpki,
  encodeRsaSpki,
  publicKeyDer,
  type PublicKeyInput,
} from "./keys/encoding.ts";
import type { PrivateKey } from "./keys/keys.ts";
import {
  decodeEcdsaSignature,
  digest,
  encodeEcdsaSignature,
  type SignatureScheme,
  signBytes,
  verifyBytes,
} from "./signing.ts";

/**
 * Something that signs images: a device or a service that keeps a private key.
 *
 * @category Signatures
 */
export interface Signer {
  /** SubjectPublicKeyInfo of the public key, PEM or DER. */
  readonly publicKey: Uint8Array;
  /**
   * Signs a message that is not hashed yet. Returns for RSA-3072 an RSASSA-PSS signature with SHA-256
   * and a salt of 32 bytes, 384 bytes big-endian; for ECDSA with SHA-256, or SHA-384 for P-384, r and
   * s, in a DER sequence or big-endian, each as long as a coordinate.
   */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** RSASSA-PSS as secure boot uses it has a salt of this many bytes (FORMAT: Secure Boot v2 block). */
const PSS_SALT_LENGTH = 32;

const CURVE_NAMES = {
  ecdsa192: "P-192",
  ecdsa256: "P-256",
  ecdsa384: "P-384",
} as const satisfies Record<Exclude<SignatureAlgorithm, "rsa3072">, EcCurve>;
const UNCOMPRESSED = 4;

/**
 * A signer with a private key in memory.
 *
 * @param key RSA-3072, P-192, P-256 or P-384.
 * @returns The signer.
 * @throws {SecureCertError} `ERR_KEY` for any other kind of key.
 */
export function createSigner(key: PrivateKey): Signer {
  const { algorithm } = readSignatureKey(key.publicKey);
  const sign = (message: Uint8Array) => signBytes(key, message, schemeOf(algorithm));
  return { publicKey: key.publicKey, sign };
}

/**
 * A public key that partitions are signed with.
 *
 * @param publicKey The key, as an object or a file.
 * @returns The key as signature blocks hold it.
 * @throws {SecureCertError} `ERR_PEM`, `ERR_DER` or `ERR_UNSUPPORTED` when it cannot be read, `ERR_KEY`
 * when it is not RSA-3072, P-192, P-256 or P-384.
 */
export function readSignatureKey(publicKey: PublicKeyInput): SignatureKey {
  const parts = decodeSpki(publicKeyDer(publicKey));
  if (parts.type === "rsa") {
    const { modulus, exponent, bits } = parts;
    if (bits !== 3072 || exponent.length > 4) throw unfit(`RSA-${bits}`);
    return rsaSignatureKey(modulus, exponent.reduce((number, byte) => number * 256 + byte, 0));
  }
  const names = Object.keys(CURVE_NAMES) as (keyof typeof CURVE_NAMES)[];
  const algorithm = names.find((name) => CURVE_NAMES[name] === parts.curve);
  if (algorithm === undefined) throw unfit(parts.curve);
  const { size } = SIGNATURE_ALGORITHMS[algorithm];
  return { algorithm, x: parts.point.slice(1, 1 + size), y: parts.point.slice(1 + size) };
}

/**
 * What the chip keeps of a public key in SECURE_BOOT_DIGESTn: the SHA-256 of
 * {@linkcode publicKeyDigestInput}, 32 bytes, burned as they are.
 */
export function publicKeyDigest(key: SignatureKey): Promise<Bytes> {
  return digest("SHA-256", publicKeyDigestInput(key));
}

/**
 * Whether a signature is right.
 *
 * @param key The public key.
 * @param message What was signed; hashed with SHA-256, for P-384 with SHA-384.
 * @param signature RSA 384 bytes; ECDSA r and s, each as long as a coordinate; big-endian.
 * @returns False too for what is not a key: a point off its curve, an even modulus.
 */
export async function isSignatureRight(
  key: SignatureKey,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (key.algorithm === "rsa3072") {
    const { n, e } = key;
    if (n[0]! < 0x80 || n.at(-1)! % 2 === 0 || e < 3 || e % 2 === 0) return false;
    return await verifyBytes(
      { publicKey: spkiOf(key) },
      message,
      signature,
      schemeOf(key.algorithm),
    );
  }
  const der = encodeEcdsaSignature(signature);
  return await verifyBytes({ publicKey: spkiOf(key) }, message, der, schemeOf(key.algorithm));
}

/**
 * A signature as signature entries hold it.
 *
 * @param algorithm The scheme.
 * @param signature As {@linkcode Signer} returns it.
 * @returns RSA 384 bytes; ECDSA r and s; undefined when it has neither of its forms.
 */
export function rawSignature(
  algorithm: SignatureAlgorithm,
  signature: Uint8Array,
): Uint8Array | undefined {
  if (signature.length === signatureSize(algorithm)) return signature;
  if (algorithm === "rsa3072") return undefined;
  try {
    return decodeEcdsaSignature(signature, SIGNATURE_ALGORITHMS[algorithm].size);
  } catch (error) {
    if (error instanceof SecureCertError) return undefined;
    throw error;
  }
}

/** Bytes of a signature as signature entries hold it. */
export function signatureSize(algorithm: SignatureAlgorithm): number {
  const { size } = SIGNATURE_ALGORITHMS[algorithm];
  return algorithm === "rsa3072" ? size : 2 * size;
}

function schemeOf(algorithm: SignatureAlgorithm): SignatureScheme {
  const { hash } = SIGNATURE_ALGORITHMS[algorithm];
  return algorithm === "rsa3072" ? { hash, pssSaltLength: PSS_SALT_LENGTH } : { hash };
}

function spkiOf(key: SignatureKey): Bytes {
  if (key.algorithm === "rsa3072") {
    const { n, e } = key;
    const publicExponent = Uint8Array.of(e >>> 24, e >>> 16, e >>> 8, e);
    return encodeRsaSpki({ modulus: new Uint8Array(n), publicExponent });
  }
  const point = concat(Uint8Array.of(UNCOMPRESSED), key.x, key.y);
  return encodeEcSpki(CURVE_NAMES[key.algorithm], point);
}

function unfit(kind: string): SecureCertError {
  const message =
    `Cannot sign with ${kind}: partitions are signed with RSA-3072, P-192, P-256 or P-384`;
  return new SecureCertError("ERR_KEY", message);
}
