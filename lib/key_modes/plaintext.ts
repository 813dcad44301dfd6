import { TLV_TYPES } from "../format/names.ts";
import { readStoredKey } from "../image/contents/contents.ts";
import { finding } from "../findings/findings.ts";
import type { KeyModeRules } from "./mode.ts";

/** The private key is in the image as it is. */
export const plaintext: KeyModeRules = {
  isOn: () => true,
  privateKey: "needed",
  efuseKey: "none",
  standardKey: { type: "ec" },
  makeEntries: ({ subtype, stored }) => {
    const type = TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV;
    return Promise.resolve({ inPlace: [{ type, subtype, flags: 0, data: stored! }] });
  },
  open: async (content, { value }, { reading }) => ({
    ...content,
    ...await readStoredKey(value.data, reading),
  }),
  // Legal, so a warning, which names what the chip could do instead.
  check: ({ credentials: { keyEntry, types }, chip, chipModes }) => {
    // Beside DS data it is not the device's way to its key, but an exposed one.
    const isExposed = types.has(TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV);
    if (keyEntry?.storage !== "plaintext" || isExposed) return [];
    const better = chipModes.filter((mode) => mode !== "plaintext");
    const instead = better.length === 0 ? "" : `; ${chip} also has ${better.join(", ")}`;
    const message =
      `the private key is in flash in plaintext: anyone who reads the flash has it${instead}`;
    return [finding("PLAINTEXT_KEY", message, keyEntry.place)];
  },
};
