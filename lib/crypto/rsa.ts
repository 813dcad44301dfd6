import { decodeBigInteger, encodeBigInteger, powerModulo } from "../bytes/big_integer.ts";
import { type Bytes, concat, equalBytes } from "../bytes/pack.ts";
import { derNull, derOctets, derOid, derSequence, encodeDer } from "./der.ts";
import { HASH_OIDS, type SignatureHash } from "./keys/curves.ts";
import { md5, sha1, sha224, sha256, sha384, sha512 } from "./deps.ts";
import type { PublicKeyParts } from "./keys/encoding.ts";

/** How an RSA signature is padded. */
export interface RsaPadding {
  /** The hash of the message. */
  readonly hash: SignatureHash;
  /** Salt length in bytes when RSA pads with PSS; PKCS#1 v1.5 without. */
  readonly pssSaltLength?: number;
  /** The hash that makes the mask of PSS. @default that of the message */
  readonly pssMaskHash?: SignatureHash;
}

const HASHES: Readonly<Record<SignatureHash, (bytes: Uint8Array) => Uint8Array>> = {
  "MD5": md5,
  "SHA-1": sha1,
  "SHA-224": sha224,
  "SHA-256": sha256,
  "SHA-384": sha384,
  "SHA-512": sha512,
};

type RsaPublicKey = Extract<PublicKeyParts, { readonly type: "rsa" }>;

/**
 * Whether an RSA signature is that of a message, for hashes and exponents that WebCrypto lacks (RFC 8017
 * sections 8.1.2 and 8.2.2).
 *
 * @param key The public key.
 * @param message What was signed.
 * @param signature As long as the modulus, big-endian.
 * @param padding Hash and padding.
 */
export function isRsaSignature(
  key: RsaPublicKey,
  message: Uint8Array,
  signature: Uint8Array,
  padding: RsaPadding,
): boolean {
  const { modulus, exponent, bits } = key;
  const [n, s] = [decodeBigInteger(modulus), decodeBigInteger(signature)];
  if (signature.length !== modulus.length || n === 0n || s >= n) return false;
  const padded = encodeBigInteger(powerModulo(s, decodeBigInteger(exponent), n), modulus.length);
  const { hash, pssSaltLength: saltLength, pssMaskHash: maskHash = hash } = padding;
  if (saltLength !== undefined) {
    return isPssPadded(padded, message, { bits: bits - 1, saltLength, hash, maskHash });
  }
  return equalBytes(padded, pkcs1Padded(message, modulus.length, hash));
}

/** EMSA-PKCS1-v1_5 (RFC 8017 section 9.2); empty when it does not fit. */
function pkcs1Padded(message: Uint8Array, length: number, hash: SignatureHash): Bytes {
  const algorithm = derSequence(derOid(HASH_OIDS[hash]), derNull());
  const info = encodeDer(derSequence(algorithm, derOctets(HASHES[hash](message))));
  const filling = length - info.length - 3;
  if (filling < 8) return new Uint8Array();
  return concat(Uint8Array.of(0, 1), new Uint8Array(filling).fill(0xFF), Uint8Array.of(0), info);
}

interface PssShape {
  /** Length of the padded message in bits. */
  readonly bits: number;
  readonly saltLength: number;
  readonly hash: SignatureHash;
  readonly maskHash: SignatureHash;
}

/** EMSA-PSS (RFC 8017 section 9.1.2). */
function isPssPadded(
  padded: Bytes,
  message: Uint8Array,
  { bits, saltLength, hash, maskHash }: PssShape,
): boolean {
  const hashed = HASHES[hash](message);
  const length = Math.ceil(bits / 8);
  const block = padded.subarray(padded.length - length);
  const maskedLength = length - hashed.length - 1;
  const zeros = maskedLength - saltLength - 1;
  const topBits = 0xFF >> (8 * length - bits);
  const isShaped = zeros >= 0 && block.at(-1) === 0xBC && (block[0]! & ~topBits) === 0 &&
    padded.subarray(0, -length).every((byte) => byte === 0);
  if (!isShaped) return false;
  const proof = block.subarray(maskedLength, -1);
  const mask = maskOf(proof, maskedLength, maskHash);
  const content = block.subarray(0, maskedLength).map((byte, at) => byte ^ mask[at]!);
  content[0]! &= topBits;
  if (content[zeros] !== 1 || content.subarray(0, zeros).some((byte) => byte !== 0)) return false;
  const salt = content.subarray(zeros + 1);
  return equalBytes(HASHES[hash](concat(new Uint8Array(8), hashed, salt)), proof);
}

/** MGF1 (RFC 8017 appendix B.2.1). */
function maskOf(seed: Uint8Array, length: number, hash: SignatureHash): Bytes {
  const size = HASHES[hash](seed).length;
  const parts = Array.from(
    { length: Math.ceil(length / size) },
    (_, counter) => HASHES[hash](concat(seed, Uint8Array.of(0, 0, counter >> 8, counter))),
  );
  return concat(...parts).subarray(0, length);
}
