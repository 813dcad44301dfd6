import { CURVES, type EcCurve, parseCurve } from "../crypto/keys/curves.ts";
import type { KeyMode } from "../format/names.ts";
import type { KeyKind } from "./mode.ts";
import { KEY_MODE_RULES } from "./modes.ts";

/** The key that a device gets, as `generateKey` takes it. */
export type WantedKey =
  | { readonly type: "ec"; readonly curve: EcCurve }
  | { readonly type: "rsa"; readonly bits: 1024 | 2048 | 3072 | 4096 };

/** What may be asked of a key that is not made yet. */
export interface AskedKey {
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
