import { type Finding, finding } from "../findings/findings.ts";
import { type ChipName, CHIPS, knownChip } from "../format/chips/chips.ts";
import { KEY_MODES, type KeyMode } from "../format/names.ts";
import { type Credentials, keyModeOf, type ReadEntry } from "../image/contents/contents.ts";
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
  return KEY_MODES.filter((mode) => KEY_MODE_RULES[mode].isOn(CHIPS[knownChip(chip)]));
}

/**
 * What is wrong with how the private key is kept, on a chip where one is named.
 *
 * @param credentials The credentials of an image.
 * @param entries All of its entries.
 * @param chip The chip that is to read it.
 */
export function checkKeyModes(
  credentials: Credentials,
  entries: readonly ReadEntry[],
  chip: ChipName | undefined,
): Finding[] {
  const chipModes = chip === undefined ? [] : keyModesOf(chip);
  const mode = keyModeOf(credentials);
  const isOn = chip === undefined || mode === undefined || chipModes.includes(mode);
  const message = `${chip} has no ${mode} keys; it has ${chipModes.join(", ")}`;
  return [
    ...isOn ? [] : [finding("CHIP_UNSUPPORTED", message)],
    ...KEY_MODES.flatMap((each) =>
      KEY_MODE_RULES[each].check({ credentials, entries, chip, chipModes })
    ),
  ];
}
