import { CURVES, type EcCurve } from "../../crypto/keys/curves.ts";
import { keyName } from "../../crypto/keys/encoding.ts";
import type { KeyMode } from "../../format/names.ts";
import type { KeyKind } from "../../key_modes/mode.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";
import type { BulkProfile } from "./profile.ts";

/** The key that a device gets, as `generateKey` takes it. */
export type WantedKey =
  | { readonly type: "ec"; readonly curve: EcCurve }
  | { readonly type: "rsa"; readonly bits: 1024 | 2048 | 3072 | 4096 };

/** What key a device of a key mode gets. */
export function wantedKey({ key = {} }: BulkProfile, keyMode: KeyMode): WantedKey {
  const { type = KEY_MODE_RULES[keyMode].standardKey.type, curve = "P-256", bits = 2048 } = key;
  return type === "ec" ? { type, curve } : { type, bits };
}

/** The kind of a key that is not made yet. */
export function kindOf(wanted: WantedKey): KeyKind {
  return wanted.type === "ec" ? { ...wanted, bits: CURVES[wanted.curve].bits } : wanted;
}

/** Why a key is not the one that a device gets; undefined when it is. */
export function keyProblem(key: KeyKind, wanted: WantedKey): string | undefined {
  const [had, want] = [keyName(key), keyName(kindOf(wanted))];
  return had === want ? undefined : `its key is ${had}, the profile wants ${want}`;
}
