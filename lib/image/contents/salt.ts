import { SecureCertError } from "../../bytes/errors.ts";
import { decryptEntry } from "../../crypto/peripherals/hmac.ts";
import { entryProtectionOf, LAST_OF_TYPE, TLV_TYPES } from "../../format/names.ts";
import type { ImageEntry } from "../read/entry.ts";

const SALT = TLV_TYPES.ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT;

/**
 * The salt entry that belongs to a derived key: of the subtype by which the key was asked for, 254
 * being the last one.
 *
 * @throws {SecureCertError} `ERR_NOT_FOUND` without one, `ERR_CHECKSUM` for one with a wrong checksum,
 * `ERR_UNSUPPORTED` for one that would be derived itself; the chip resets in each case.
 */
export function findSalt(entries: readonly ImageEntry[], subtype: number): ImageEntry {
  const salts = entries.filter(({ value }) => value.type === SALT);
  const salt = subtype === LAST_OF_TYPE
    ? salts.at(-1)
    : salts.find(({ value }) => value.subtype === subtype);
  if (salt === undefined) {
    const message = `no salt with subtype ${subtype} for the derived key; ${RESETS}`;
    throw new SecureCertError("ERR_NOT_FOUND", message);
  }
  const { crc, value, offset } = salt;
  if (crc.stored !== crc.computed) {
    const message = `the salt of the derived key has a wrong checksum; ${RESETS}`;
    throw new SecureCertError("ERR_CHECKSUM", message, { offset });
  }
  if (entryProtectionOf(value) === "derived") {
    const message = `the salt of the derived key is flagged as derived from a salt; ${RESETS}`;
    throw new SecureCertError("ERR_UNSUPPORTED", message, { offset });
  }
  return salt;
}

const RESETS = "the chip resets when the key is asked for";

/**
 * The bytes of a salt, decrypted where its flags ask for it.
 *
 * @throws {SecureCertError} as {@linkcode decryptEntry}.
 */
export async function openSalt({ value }: ImageEntry, hmacKey: Uint8Array): Promise<Uint8Array> {
  return entryProtectionOf(value) === "encrypted"
    ? await decryptEntry(value.data, { hmacKey })
    : value.data;
}
