import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, viewOf } from "../../bytes/pack.ts";
import { decodeText, parseHex } from "../../bytes/text.ts";

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
export function checkedHmacKey(hmacKey: Uint8Array): Bytes {
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
