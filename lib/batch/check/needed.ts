import { SecureCertError } from "../../bytes/errors.ts";
import { parseBase64 } from "../../bytes/text.ts";
import { decodeSpki, keyName } from "../../crypto/keys/encoding.ts";
import type { KeyMode } from "../../format/names.ts";
import type { KeyModeRules } from "../../key_modes/mode.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";
import { paths } from "../files.ts";
import type { ManifestRow } from "../manifest.ts";

/** What a batch has for each of its devices, or for none. */
export interface KeptFiles {
  /** Its keys, which are taken away before others get the rest. */
  readonly secrets: boolean;
  /** Labels, which are made on demand. */
  readonly labels: boolean;
}

/** The rules of the key mode that a row names, which may be any text. */
export function rulesOf({ keyMode }: Pick<ManifestRow, "keyMode">): KeyModeRules | undefined {
  return Object.hasOwn(KEY_MODE_RULES, keyMode) ? KEY_MODE_RULES[keyMode as KeyMode] : undefined;
}

/** Whether the private key of a row goes into two eFuse blocks, each from a raw file. */
function takesTwoBlocks(row: ManifestRow): boolean {
  if (rulesOf(row)?.efuseKey !== "private key") return false;
  try {
    return keyName(decodeSpki(parseBase64(row.publicKey))) === "P-384";
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}

/**
 * The files that a verified device has beside its image and certificate, by its row of the manifest.
 *
 * @param row The row.
 * @param kept What its batch has of such files.
 */
export function filesNeeded(row: ManifestRow, kept: KeptFiles): string[] {
  const { id, keyMode } = row;
  const rules = rulesOf(row);
  return [
    ...kept.labels ? [paths.label(id)] : [],
    ...keyMode === "plaintext" ? [] : [paths.efusePlan(id)],
    ...kept.secrets ? [paths.key(id)] : [],
    ...kept.secrets && takesTwoBlocks(row) ? [paths.keyLow(id), paths.keyHigh(id)] : [],
    ...kept.secrets && rules?.efuseKey === "hmac key" ? [paths.hmacKey(id)] : [],
    ...kept.secrets && rules?.privateKey === "derived" ? [paths.salt(id)] : [],
  ];
}

/** Files of a device that its key mode has no use for. */
export function filesNotNeeded(row: ManifestRow): string[] {
  const { id } = row;
  const needed = filesNeeded(row, { secrets: true, labels: true });
  return [
    paths.efusePlan(id),
    paths.keyLow(id),
    paths.keyHigh(id),
    paths.hmacKey(id),
    paths.salt(id),
  ]
    .filter((name) => !needed.includes(name));
}
