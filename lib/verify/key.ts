import { isPem } from "../bytes/pem.ts";
import { isSamePublicKey } from "../crypto/keys/encoding.ts";
import { findPrivateKey } from "../crypto/keys/find.ts";
import { fitInBundle } from "../crypto/x509/certificate.ts";
import { type KeyStorage, keyStorageOf, TLV_TYPES } from "../format/names.ts";
import { type Finding, finding } from "../findings/findings.ts";
import type { CheckOptions, ReadImage } from "./check.ts";

/** Whether the private key, as far as it is known, is that of the device certificate. */
export function checkKeyMatch(
  { credentials: { deviceCerts, keyEntry, dsData } }: ReadImage,
  options: CheckOptions,
): Finding[] {
  const [certificate] = deviceCerts;
  if (keyEntry?.isBroken) {
    const message =
      "the numbers of the private key contradict each other; its signatures are wrong";
    return [finding("KEY_MISMATCH", message, keyEntry.place)];
  }
  if (keyEntry?.agreement !== undefined) {
    // KEY_REFUSED is for what the device does not parse; it parses these, and then has no key to sign with.
    const message =
      `the private key is for ${keyEntry.agreement}, which cannot sign; no TLS handshake will succeed`;
    return [finding("KEY_MISMATCH", message, keyEntry.place)];
  }
  const publicKey = keyEntry?.publicKey ?? options.publicKey;
  // The check of the DS mode has compared what it opened.
  if (certificate === undefined || publicKey === undefined || dsData?.opened) return [];
  if (isSamePublicKey(certificate.publicKey, publicKey)) return [];
  const message =
    "the private key is not that of the device certificate; no TLS handshake will succeed";
  const fit = fitInBundle(deviceCerts, (each) => isSamePublicKey(each.publicKey, publicKey));
  return [finding("KEY_MISMATCH", message + fit)];
}

/** Key bytes in entries whose flags say that the key is elsewhere, or encrypted. */
export function checkKeyBytes({ entries }: ReadImage): Finding[] {
  return entries.flatMap(({ raw: { value, offset } }, entry) => {
    const { type, flags, data } = value;
    if (type !== TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV) return [];
    if (!holdsKey(keyStorageOf(flags), data)) return [];
    const message = "the entry's flags say that the key is in an eFuse, yet it holds key bytes";
    return [finding("KEY_IN_PERIPHERAL_ENTRY", message, { entry, offset })];
  });
}

/** What a derived key's entry holds is exposed: the firmware looks at none of it. */
function holdsKey(storage: KeyStorage, data: Uint8Array): boolean {
  if (storage === "ecdsa-peripheral") return data.length > 0;
  return storage === "hmac-encrypted" && (isPem(data) || findPrivateKey(data) !== undefined);
}
