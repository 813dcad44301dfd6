import { keyName } from "../../crypto/keys/encoding.ts";
import type { KeyKind } from "../../key_modes/mode.ts";
import { kindOf, type WantedKey } from "../../key_modes/wanted_key.ts";

/** Why a key is not the one that a device gets; undefined when it is. */
export function keyProblem(key: KeyKind, wanted: WantedKey): string | undefined {
  const [had, want] = [keyName(key), keyName(kindOf(wanted))];
  return had === want ? undefined : `its key is ${had}, the profile wants ${want}`;
}
