import { SecureCertError } from "../bytes/errors.ts";
import { didYouMean } from "../bytes/nearest.ts";
import { shownValue } from "../bytes/text.ts";
import type { Curve } from "../format/chips/chip.ts";
import { type ChipName, CHIPS, isChipName } from "../format/chips/chips.ts";
import type { KeyMode } from "../format/names.ts";
import { planEfuse } from "./efuse_plan.ts";
import type { KeyKind } from "./mode.ts";
import { KEY_MODE_RULES, keyModesOf } from "./modes.ts";

/** A key mode and what it is to work with, as far as that is known. */
export interface KeyModeRequest {
  readonly keyMode: KeyMode;
  /** The chip, a name of `CHIPS`. */
  readonly chip?: string;
  /** Kind of the private key. */
  readonly key?: KeyKind;
  /** The n of the KEYn that holds the eFuse key. */
  readonly efuseKeyId?: number;
}

/** Why a key mode cannot be used. */
export interface KeyModeProblem {
  /** What is wrong or missing. */
  readonly field: "chip" | "key" | "efuseKeyId";
  /** The reason, for people. */
  readonly message: string;
}

/**
 * Everything that keeps a key mode from working with a chip, a kind of key and an eFuse key block. What
 * is not given is not checked, except the chip, which every mode but `plaintext` needs.
 *
 * @param request The mode, and what it is to work with.
 * @returns The problems; none when the device can work that way.
 */
export function keyModeProblems(request: KeyModeRequest): readonly KeyModeProblem[] {
  const { keyMode, chip, key, efuseKeyId } = request;
  const rules = KEY_MODE_RULES[keyMode];
  if (rules.efuseKey === "none") return [];
  const inChip = chipProblem(keyMode, chip);
  if (inChip !== undefined) return [{ field: "chip", message: inChip }];
  const known = chip as ChipName;
  const inKey = key && rules.keyProblem?.(key, known);
  if (inKey !== undefined) return [{ field: "key", message: inKey }];
  const inBlock = efuseKeyId === undefined
    ? undefined
    : blockProblem({ keyMode, chip: known, keyId: efuseKeyId, key });
  return inBlock === undefined ? [] : [{ field: "efuseKeyId", message: inBlock }];
}

function chipProblem(keyMode: KeyMode, chip: string | undefined): string | undefined {
  if (chip === undefined) return `${keyMode} needs a chip`;
  if (!isChipName(chip)) {
    return `chip ${shownValue(chip)} is not known${didYouMean(chip, Object.keys(CHIPS))}`;
  }
  if (KEY_MODE_RULES[keyMode].isOn(CHIPS[chip])) return undefined;
  return `${chip} has no ${keyMode} keys; it has ${keyModesOf(chip).join(", ")}`;
}

/** Whether the block can be burned with such a key; a curve that is not known yet counts as P-256. */
function blockProblem(
  { keyMode, chip, keyId, key }: {
    readonly keyMode: KeyMode;
    readonly chip: ChipName;
    readonly keyId: number;
    readonly key: KeyKind | undefined;
  },
): string | undefined {
  if (keyMode === "plaintext") return undefined;
  const curve = (key?.curve ?? "P-256") as Curve;
  try {
    planEfuse({ chip, keyMode, keyId, curve, keyFile: "key" });
    return undefined;
  } catch (error) {
    if (error instanceof SecureCertError) return error.message.replace("Cannot plan eFuse: ", "");
    throw error;
  }
}
