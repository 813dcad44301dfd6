import { decodeBigInteger } from "../../bytes/big_integer.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, viewOf } from "../../bytes/pack.ts";
import { decodeText, parseHex } from "../../bytes/text.ts";
import { ecKeyOf, exportPrivateKey, type PrivateKey } from "../keys/keys.ts";
import { randomBytes } from "../sources.ts";

/** Bytes of a key that an eFuse block holds for the HMAC peripheral. */
export const HMAC_KEY_SIZE = 32;

const WORDS = 8;
const HEX_KEY = /^[0-9a-f]{64}$/i;

/**
 * HMAC-SHA-256 of a 32-bit word written 8 times, which is how the firmware makes AES keys and IVs out
 * of an eFuse key: 0xFFFFFFFF gives the AES-256 key of the DS peripheral and of HMAC-encrypted
 * entries, 0xABCDABCD the IV of the latter (FORMAT: RSA-DS calculation, HMAC-encrypted entries).
 *
 * @param hmacKey The eFuse key, 32 bytes in the order they are burned.
 * @param word The word, 0 to 0xFFFFFFFF; written little-endian.
 * @returns 32 bytes.
 * @throws {SecureCertError} `ERR_LENGTH` for a key of another length.
 */
export async function hmacOfWord(hmacKey: Uint8Array, word: number): Promise<Bytes> {
  const message = new Uint8Array(4 * WORDS);
  for (let at = 0; at < message.length; at += 4) viewOf(message).setUint32(at, word, true);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const raw = checkedHmacKey(hmacKey);
  const key = await crypto.subtle.importKey("raw", raw, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, message));
}

/**
 * A copy of an HMAC key that has the one length an eFuse block takes. Shorter keys would be burned
 * with zeros after them, and longer ones not at all.
 *
 * @throws {SecureCertError} `ERR_LENGTH` for a key that is not 32 bytes long.
 */
function checkedHmacKey(hmacKey: Uint8Array): Bytes {
  if (hmacKey.length === HMAC_KEY_SIZE) return new Uint8Array(hmacKey);
  throw new SecureCertError(
    "ERR_LENGTH",
    `Cannot use HMAC key: need ${HMAC_KEY_SIZE} bytes, have ${hmacKey.length}`,
    { field: "hmacKey" },
  );
}

/** Bytes of a file with 64 hex digits, and room for blanks between them. */
const MAX_HEX_FILE = 4096;

/**
 * The HMAC key of a file that holds it as text, 64 hex digits with or without white space; undefined
 * for any other file. Such a file cannot be burned as it is: espefuse takes the raw bytes.
 */
export function hexHmacKey(file: Uint8Array): Bytes | undefined {
  if (file.length === HMAC_KEY_SIZE || file.length > MAX_HEX_FILE) return undefined;
  const text = decodeText(file)?.replace(/\s/g, "") ?? "";
  return HEX_KEY.test(text) ? parseHex(text) : undefined;
}

/** Bytes of the GCM tag after the ciphertext of an HMAC-encrypted entry. */
export const GCM_TAG_SIZE = 16;
/** Bytes of the salt that the device's own generator draws. */
const DERIVATION_SALT_SIZE = 32;

/** A P-256 key that the firmware derives from its eFuse key and a salt. */
type DerivedEcdsaKey = Awaited<ReturnType<typeof deriveEcdsaKey>>;

const AES_KEY_WORD = 0xFFFFFFFF;
const IV_WORD = 0xABCDABCD;
const IV_SIZE = 16;
const ITERATIONS = 2048;
const SCALAR_BITS = 256;
const MAX_SALTS = 30;
/** The order n of P-256 (NIST SP 800-186 section 3.2.1.3). */
const ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551n;

/**
 * Encrypts a value as the firmware decrypts an entry with flag 0x80 (FORMAT: HMAC-encrypted TLV):
 * AES-256-GCM, key and 16-byte IV made from the eFuse key. Returns ciphertext and tag, 16 bytes more
 * than the value.
 *
 * Key and IV are the same for every value of a device, so encrypt only one value per eFuse key: two of
 * them reveal the XOR of their plaintexts and let anyone forge others.
 *
 * @category Key peripherals
 * @throws {SecureCertError} `ERR_LENGTH` for an HMAC key that is not 32 bytes.
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
 * @throws {SecureCertError} `ERR_TRUNCATED` without room for the tag; `ERR_DECRYPT` when the tag does
 * not match: another HMAC key, or changed data; `ERR_LENGTH` for an HMAC key that is not 32 bytes.
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
 * The P-256 key that the firmware derives for a private key entry with flag 0x40 (FORMAT: HMAC-derived
 * ECDSA): PBKDF2-HMAC-SHA-256 (RFC 8018), 2048 iterations, 32 bytes read big-endian as the scalar. The
 * password is the eFuse key with purpose HMAC_UP, 32 bytes as burned. The salt may be of any length; it
 * is the value of the salt entry with the same subtype.
 *
 * @category Key peripherals
 * @throws {SecureCertError} `ERR_KEY` when this salt gives no valid scalar, about once in 2^32;
 * `ERR_LENGTH` for an HMAC key that is not 32 bytes.
 */
export async function deriveEcdsaKey(
  hmacKey: Uint8Array,
  salt: Uint8Array,
): Promise<{
  /** The private key. */
  readonly key: PrivateKey;
  /** The private key as the firmware's getter returns it: SEC1 DER (RFC 5915) of 121 bytes. */
  readonly sec1: Bytes;
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
  const scalar = new Uint8Array(await crypto.subtle.deriveBits(algorithm, key, SCALAR_BITS));
  const value = decodeBigInteger(scalar);
  // The firmware takes 1 < d < n (FORMAT: HMAC-derived ECDSA).
  const derived = value > 1n && value < ORDER ? await ecKeyOf("P-256", scalar) : undefined;
  if (derived === undefined) {
    throw new SecureCertError("ERR_KEY", "Cannot derive key: the salt gives no scalar of P-256");
  }
  const sec1 = exportPrivateKey(derived, { encoding: "traditional", form: "der" });
  return { key: derived, sec1, publicKey: derived.publicKey };
}

/**
 * Draws salts until one gives a valid key, at most 30 as the device's own generator does.
 *
 * @returns The key and its salt, 32 bytes, which the salt entry of the image must hold.
 * @throws {SecureCertError} `ERR_KEY` when 30 salts gave no key, which honest randomness never does;
 * `ERR_LENGTH` for an HMAC key that is not 32 bytes.
 */
export async function createDerivedKey(
  options: {
    /** The eFuse key, 32 bytes as burned. */
    readonly hmacKey: Uint8Array;
    /** A number of random bytes, for the salt. @default `crypto.getRandomValues` */
    readonly random?: (length: number) => Uint8Array;
  },
): Promise<DerivedEcdsaKey & { readonly salt: Bytes }> {
  for (let tries = 1;; tries++) {
    const salt = randomBytes(DERIVATION_SALT_SIZE, options);
    try {
      return { ...await deriveEcdsaKey(options.hmacKey, salt), salt };
    } catch (error) {
      const isUnfit = error instanceof SecureCertError && error.code === "ERR_KEY";
      if (!isUnfit || tries === MAX_SALTS) throw error;
    }
  }
}

async function entryCipher(
  hmacKey: Uint8Array,
  usage: "encrypt" | "decrypt",
): Promise<{ readonly key: CryptoKey; readonly iv: Bytes }> {
  const raw = await hmacOfWord(hmacKey, AES_KEY_WORD);
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, [usage]);
  return { key, iv: (await hmacOfWord(hmacKey, IV_WORD)).slice(0, IV_SIZE) };
}
