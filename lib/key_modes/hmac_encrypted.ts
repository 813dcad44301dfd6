import { readStoredKey } from "../image/contents/contents.ts";
import { decryptEntry, encryptEntry } from "../crypto/peripherals/hmac.ts";
import { entryProtectionOf, TLV_FLAGS, TLV_TYPES } from "../format/names.ts";
import { type Finding, finding } from "../findings/findings.ts";
import type { KeyModeRules, ModeImage } from "./mode.ts";

/**
 * The private key is encrypted with AES-256-GCM, under a key that the HMAC peripheral derives from an
 * eFuse key; the firmware decrypts it into RAM (FORMAT: HMAC-encrypted TLV).
 */
export const hmacEncrypted: KeyModeRules = {
  isOn: ({ hmac }) => hmac,
  privateKey: "needed",
  efuseKey: "hmac key",
  standardKey: { type: "ec" },
  purposes: () => ["HMAC_UP"],
  notes: () => [HMAC_UP_NOTE],
  makeEntries: async ({ subtype, stored, hmacKey }) => {
    const type = TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV;
    const data = await encryptEntry(stored!, { hmacKey: hmacKey! });
    return { inPlace: [{ type, subtype, flags: TLV_FLAGS.hmacEncrypted, data }] };
  },
  open: async (content, { value }, { hmacKey, reading }) => {
    if (hmacKey === undefined) return content;
    const stored = await decryptEntry(value.data, { hmacKey });
    return { ...content, ...await readStoredKey(stored, reading) };
  },
  check,
};

/** Both modes with purpose HMAC_UP: the image does not say which block it is. */
export const HMAC_UP_NOTE =
  "The firmware takes the first block with purpose HMAC_UP: no other may come before it";

/** The key and the nonce of AES-GCM are constants of the device. */
function check({ entries }: ModeImage): Finding[] {
  const encrypted = entries.flatMap(({ raw: { value, offset } }, entry) =>
    entryProtectionOf(value) === "encrypted" ? [{ entry, offset }] : []
  );
  if (encrypted.length === 0) return [];
  const reader =
    "esp_secure_cert_mgr 2.7.0 to 2.9.3 cannot read HMAC-encrypted entries; 2.6.1 and older can";
  const findings = [finding("GCM_READER_VERSION", reader, encrypted[0])];
  if (encrypted.length > 1) {
    const message =
      "a second HMAC-encrypted entry uses the same key and nonce, which gives both contents away";
    findings.push(finding("GCM_NONCE_REUSE", message, encrypted[1]));
  }
  return findings;
}
