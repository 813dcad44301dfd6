import type { ChipName } from "../format/chips/chips.ts";
import { KEY_MODES } from "../format/names.ts";
import { type Finding, finding } from "../findings/findings.ts";
import type { ReadEntry } from "../image/contents/contents.ts";
import { type Credentials, keyModeOf } from "../image/contents/credentials.ts";
import { KEY_MODE_RULES, keyModesOf } from "./modes.ts";

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
