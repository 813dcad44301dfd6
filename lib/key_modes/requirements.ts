import { SecureCertError } from "../bytes/errors.ts";
import { didYouMean } from "../bytes/nearest.ts";
import { shownValue } from "../bytes/text.ts";
import { CURVES, type EcCurve, parseCurve } from "../crypto/keys/curves.ts";
import type { Curve } from "../format/chips/chip.ts";
import { type ChipName, CHIPS, isChipName } from "../format/chips/chips.ts";
import type { KeyMode } from "../format/names.ts";
import { planEfuse } from "./efuse_plan.ts";
import type { KeyKind } from "./mode.ts";
import { KEY_MODE_RULES, keyModesOf } from "./modes.ts";

/** A key mode and what it is to work with, as far as that is known. */
interface KeyModeRequest {
  readonly keyMode: KeyMode;
  /** The chip, a name of `CHIPS`. */
  readonly chip?: string;
  /** Kind of the private key. */
  readonly key?: KeyKind;
  /** The n of the KEYn that holds the eFuse key. */
  readonly efuseKeyId?: number;
}

/** Why a key mode cannot be used. */
interface KeyModeProblem {
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

/** The key that a device gets, as `generateKey` takes it. */
export type WantedKey =
  | { readonly type: "ec"; readonly curve: EcCurve }
  | { readonly type: "rsa"; readonly bits: 1024 | 2048 | 3072 | 4096 };

/** What may be asked of a key that is not made yet. */
interface AskedKey {
  readonly type?: "ec" | "rsa";
  readonly curve?: EcCurve;
  readonly bits?: 1024 | 2048 | 3072 | 4096;
}

/**
 * The key that a device gets in a key mode: the one that is asked for, or else RSA-2048 or P-256,
 * whichever the mode uses.
 */
export function wantedKey(keyMode: KeyMode, key: AskedKey = {}): WantedKey {
  const { type = KEY_MODE_RULES[keyMode].standardKey.type, curve = "P-256", bits = 2048 } = key;
  // An unknown curve is for generateKey to refuse.
  return type === "ec" ? { type, curve: parseCurve(curve) ?? curve } : { type, bits };
}

/** The kind of a key that is not made yet. */
export function kindOf(wanted: WantedKey): KeyKind {
  return wanted.type === "ec" ? { ...wanted, bits: CURVES[wanted.curve]?.bits ?? 0 } : wanted;
}
