import { createDerivedKey, deriveEcdsaKey } from "../crypto/peripherals/hmac.ts";
import { keyName } from "../crypto/keys/encoding.ts";
import { TLV_FLAGS, TLV_TYPES } from "../format/names.ts";
import { findSalt, openSalt } from "../image/contents/salt.ts";
import { HMAC_UP_NOTE } from "./hmac_encrypted.ts";
import type { KeyModeRules, ModeEntries, ModeRequest } from "./mode.ts";

const { ESP_SECURE_CERT_PRIV_KEY_TLV: KEY, ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT: SALT } = TLV_TYPES;

/**
 * The firmware derives a P-256 key from an eFuse key and a salt in the image, each time it needs it
 * (FORMAT: HMAC-derived ECDSA). What can be wrong with salt and key shows when they are read.
 */
export const hmacDerived: KeyModeRules = {
  isOn: ({ hmac }) => hmac,
  privateKey: "derived",
  efuseKey: "hmac key",
  standardKey: { type: "ec" },
  keyProblem: (key) => keyName(key) === "P-256" ? undefined : "hmac-derived makes P-256 keys",
  purposes: () => ["HMAC_UP"],
  notes: () => [HMAC_UP_NOTE],
  makeEntries,
  open: async (content, { value }, { entries, hmacKey }) => {
    // The chip looks for the salt before anything else, and resets without it.
    const salt = findSalt(entries, value.subtype);
    if (hmacKey === undefined) return content;
    const { publicKey } = await deriveEcdsaKey(hmacKey, await openSalt(salt, hmacKey));
    return { ...content, publicKey };
  },
  check: () => [],
};

async function makeEntries(request: ModeRequest): Promise<ModeEntries> {
  const { subtype, hmacKey, makeSalt = false, random } = request;
  const empty = { type: KEY, subtype, flags: TLV_FLAGS.hmacDerived, data: new Uint8Array() };
  if (!makeSalt) return { inPlace: [empty] };
  const { salt, publicKey } = await createDerivedKey({ hmacKey: hmacKey!, random });
  return { inPlace: [{ type: SALT, subtype, flags: 0, data: salt }, empty], publicKey };
}
