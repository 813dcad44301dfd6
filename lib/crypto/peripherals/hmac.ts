import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat } from "../../bytes/pack.ts";
import { parseBase64Url, parseHex } from "../../bytes/text.ts";
import { decodeBigInteger } from "../../bytes/big_integer.ts";
import { checkedHmacKey, hmacOfWord } from "./hmac_key.ts";
import { randomBytes, type Sources } from "../sources.ts";

/** Bytes of the GCM tag behind the ciphertext of an HMAC-encrypted entry. */
const GCM_TAG_SIZE = 16;
/** Bytes of the salt that the device's own generator draws. */
const DERIVATION_SALT_SIZE = 32;

/** A P-256 key that the firmware derives from its eFuse key and a salt. */
type DerivedEcdsaKey = Awaited<ReturnType<typeof deriveEcdsaKey>>;

/** A derived key together with the salt it came from. */
export interface SaltedEcdsaKey extends DerivedEcdsaKey {
  /** What the salt entry of the image must hold, 32 bytes. */
  readonly salt: Bytes;
}

/** How {@linkcode createDerivedKey} makes a key. */
export interface CreateDerivedKeyOptions extends Pick<Sources, "random"> {
  /** The key burned into the eFuse block, 32 bytes as burned. */
  readonly hmacKey: Uint8Array;
  /** Derives a key from a salt, or throws `ERR_KEY` to ask for another. @default deriveEcdsaKey */
  readonly derive?: typeof deriveEcdsaKey;
}

const AES_KEY_WORD = 0xFFFFFFFF;
const IV_WORD = 0xABCDABCD;
const IV_SIZE = 16;
const ITERATIONS = 2048;
const SCALAR_BITS = 256;
const MAX_SALTS = 30;
/** The order n of P-256 (NIST SP 800-186 section 3.2.1.3). */
const ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551n;

// DER in front of the scalar and of the point; "06 08 2A…07" is the curve, "06 07 2A…01" an EC key.
const SEC1_SCALAR = parseHex("30770201010420");
const SEC1_POINT = parseHex("a00a06082a8648ce3d030107a144034200");
const PKCS8_SCALAR = parseHex(
  "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420",
);
const SPKI_POINT = parseHex("3059301306072a8648ce3d020106082a8648ce3d030107034200");

/**
 * Encrypts a value as the firmware decrypts entries with flag 0x80 (FORMAT: HMAC-encrypted TLV):
 * AES-256-GCM without additional data, key and 16-byte IV made from the eFuse key.
 *
 * Key and IV are the same for every value of a device: encrypt **one** value per eFuse key. Two of
 * them give away the XOR of their plaintexts and let anyone forge further ones. The result is ciphertext
 * and tag, 16 bytes more than the value.
 *
 * @category Key peripherals
 * @throws {SecureCertError} `ERR_LENGTH` for an HMAC key that is not 32 bytes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { decryptEntry, encryptEntry } from "@esp-secure-cert/toolkit";
 *
 * const hmacKey = crypto.getRandomValues(new Uint8Array(32));
 * const stored = await encryptEntry(new Uint8Array([1, 2, 3]), { hmacKey });
 * assertEquals(stored.length, 19);
 * assertEquals(await decryptEntry(stored, { hmacKey }), new Uint8Array([1, 2, 3]));
 * ```
 */
export async function encryptEntry(
  data: Uint8Array,
  options: {
    /** The key burned into the eFuse block, 32 bytes as burned. */
    readonly hmacKey: Uint8Array;
  },
): Promise<Bytes> {
  const { key, iv } = await entryCipher(options.hmacKey, "encrypt");
  const algorithm = { name: "AES-GCM", iv, tagLength: 8 * GCM_TAG_SIZE };
  return new Uint8Array(await crypto.subtle.encrypt(algorithm, key, new Uint8Array(data)));
}

/**
 * Decrypts the value of an entry with flag 0x80; the inverse of {@linkcode encryptEntry}.
 *
 * @category Key peripherals
 * @throws {SecureCertError} `ERR_TRUNCATED` when there is no room for the tag; `ERR_DECRYPT` when the
 * tag does not match, which another HMAC key or a changed byte causes; `ERR_LENGTH` for an HMAC key
 * that is not 32 bytes.
 */
export async function decryptEntry(
  data: Uint8Array,
  options: {
    /** The key burned into the eFuse block, 32 bytes as burned. */
    readonly hmacKey: Uint8Array;
  },
): Promise<Bytes> {
  if (data.length < GCM_TAG_SIZE) {
    throw new SecureCertError(
      "ERR_TRUNCATED",
      `Cannot decrypt entry: need ${GCM_TAG_SIZE} bytes for the tag, have ${data.length}`,
      { offset: 0 },
    );
  }
  const { key, iv } = await entryCipher(options.hmacKey, "decrypt");
  const algorithm = { name: "AES-GCM", iv, tagLength: 8 * GCM_TAG_SIZE };
  try {
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, key, new Uint8Array(data)));
  } catch (cause) {
    throw new SecureCertError(
      "ERR_DECRYPT",
      "Cannot decrypt entry: the tag does not match",
      { offset: data.length - GCM_TAG_SIZE },
      { cause },
    );
  }
}

/**
 * The key that the firmware derives for a private key entry with flag 0x40 (FORMAT: HMAC-derived
 * ECDSA): PBKDF2-HMAC-SHA-256 (RFC 8018), the eFuse key as password, 2048 iterations, 32 bytes read
 * big-endian as the scalar. The eFuse key has purpose HMAC_UP and 32 bytes, as burned; the salt is the
 * value of the salt entry of the same subtype, 32 bytes from the device's own generator, and may be of
 * any length.
 *
 * @category Key peripherals
 * @throws {SecureCertError} `ERR_KEY` when this salt gives no valid scalar (about once in 2^32) and
 * another must be drawn; `ERR_LENGTH` for an HMAC key that is not 32 bytes.
 */
export async function deriveEcdsaKey(
  hmacKey: Uint8Array,
  salt: Uint8Array,
): Promise<{
  /** The private scalar d, 32 bytes, big-endian. */
  readonly privateScalar: Bytes;
  /** The private key as the firmware's getter returns it: SEC1 DER (RFC 5915) of 121 bytes. */
  readonly sec1: Bytes;
  /** The public point, 65 bytes: 04, x, y, each big-endian (SEC1 section 2.3.3). */
  readonly publicPoint: Bytes;
  /** The public key as SubjectPublicKeyInfo DER (RFC 5480), 91 bytes. */
  readonly publicKey: Bytes;
}> {
  const password = checkedHmacKey(hmacKey);
  const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
  const algorithm = {
    name: "PBKDF2",
    hash: "SHA-256",
    salt: new Uint8Array(salt),
    iterations: ITERATIONS,
  };
  return await ecdsaKeyOf(
    new Uint8Array(await crypto.subtle.deriveBits(algorithm, key, SCALAR_BITS)),
  );
}

/**
 * Draws salts until one gives a valid key, at most 30 as the device's own generator does.
 *
 * @param options The eFuse key, and where the salt comes from.
 * @returns The key and its salt.
 * @throws {SecureCertError} `ERR_KEY` when 30 salts gave no key, which honest randomness never does;
 * `ERR_LENGTH` for an HMAC key that is not 32 bytes.
 */
export async function createDerivedKey(
  options: CreateDerivedKeyOptions,
): Promise<SaltedEcdsaKey> {
  const { hmacKey, derive = deriveEcdsaKey } = options;
  for (let tries = 1;; tries++) {
    const salt = randomBytes(DERIVATION_SALT_SIZE, options);
    try {
      return { ...await derive(hmacKey, salt), salt };
    } catch (error) {
      const again = error instanceof SecureCertError && error.code === "ERR_KEY";
      if (!again || tries === MAX_SALTS) throw error;
    }
  }
}

/**
 * The forms of a P-256 key with this private scalar.
 *
 * @param privateScalar d, 32 bytes, big-endian.
 * @returns The private and the public key.
 * @throws {SecureCertError} `ERR_KEY` unless 1 < d < n, which is what the firmware accepts.
 * @throws {RangeError} for a scalar of another length.
 */
export async function ecdsaKeyOf(privateScalar: Uint8Array): Promise<DerivedEcdsaKey> {
  if (8 * privateScalar.length !== SCALAR_BITS) {
    throw new RangeError(`Cannot use P-256 scalar: need 32 bytes, have ${privateScalar.length}`);
  }
  const value = decodeBigInteger(privateScalar);
  if (value <= 1n || value >= ORDER) {
    throw new SecureCertError("ERR_KEY", "Cannot use P-256 scalar: it is not between 1 and n");
  }
  const publicPoint = await publicPointOf(privateScalar);
  return {
    privateScalar: new Uint8Array(privateScalar),
    sec1: concat(SEC1_SCALAR, privateScalar, SEC1_POINT, publicPoint),
    publicPoint,
    publicKey: concat(SPKI_POINT, publicPoint),
  };
}

/** PKCS#8 may leave the public key out (RFC 5915), so importing it makes WebCrypto compute the point. */
async function publicPointOf(privateScalar: Uint8Array): Promise<Bytes> {
  const pkcs8 = concat(PKCS8_SCALAR, privateScalar);
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, true, ["sign"]);
  const { x = "", y = "" } = await crypto.subtle.exportKey("jwk", key);
  return concat(new Uint8Array([4]), parseBase64Url(x), parseBase64Url(y));
}

async function entryCipher(
  hmacKey: Uint8Array,
  usage: "encrypt" | "decrypt",
): Promise<{ readonly key: CryptoKey; readonly iv: Bytes }> {
  const raw = await hmacOfWord(hmacKey, AES_KEY_WORD);
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, [usage]);
  return { key, iv: (await hmacOfWord(hmacKey, IV_WORD)).slice(0, IV_SIZE) };
}
