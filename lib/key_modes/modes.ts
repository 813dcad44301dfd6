import { type ChipName, CHIPS } from "../format/chips/chips.ts";
import { KEY_MODES, type KeyMode } from "../format/names.ts";
import { ecdsaPeripheral } from "./ecdsa_peripheral.ts";
import { hmacDerived } from "./hmac_derived.ts";
import { hmacEncrypted } from "./hmac_encrypted.ts";
import type { KeyModeRules } from "./mode.ts";
import { plaintext } from "./plaintext.ts";
import { rsaDs } from "./rsa_ds.ts";

/** The rules of each key mode. */
export const KEY_MODE_RULES: Readonly<Record<KeyMode, KeyModeRules>> = {
  "plaintext": plaintext,
  "rsa-ds": rsaDs,
  "ecdsa-peripheral": ecdsaPeripheral,
  "hmac-encrypted": hmacEncrypted,
  "hmac-derived": hmacDerived,
};

/**
 * The key modes of a chip, `plaintext` first.
 *
 * @category Names and chips
 */
export function keyModesOf(chip: ChipName): readonly KeyMode[] {
  return KEY_MODES.filter((mode) => KEY_MODE_RULES[mode].isOn(CHIPS[chip]));
}
