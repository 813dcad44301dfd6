import type { Curve } from "./chip.ts";
import { type ChipName, CHIPS } from "./chips.ts";

/**
 * The eFuse block of a key id: 4 for KEY0 on most chips.
 *
 * @param chip The chip.
 * @param keyId The n of KEYn.
 * @returns The block's number, or undefined when the chip has no such key.
 */
export function efuseBlockOfKeyId(chip: ChipName, keyId: number): number | undefined {
  return CHIPS[chip].keyBlocks[keyId];
}

/**
 * The key id of an eFuse block, the other way round.
 *
 * @param chip The chip.
 * @param block The block's number.
 * @returns The n of KEYn, or undefined when the block holds no key with a purpose.
 */
export function keyIdOfEfuseBlock(chip: ChipName, block: number): number | undefined {
  const keyId = CHIPS[chip].keyBlocks.indexOf(block);
  return keyId < 0 ? undefined : keyId;
}

/**
 * Whether a key may be burned into a block: the chip has the block and the purpose, and the block is
 * not the BLOCK9 that must not hold XTS or ECDSA keys on some (FORMAT: eFuse, block-9 quirk).
 *
 * @param chip The chip.
 * @param keyId The n of KEYn.
 * @param purpose The purpose by name, such as `HMAC_UP`.
 * @returns Whether the chip accepts it.
 */
export function keyBlockAccepts(chip: ChipName, keyId: number, purpose: string): boolean {
  const { keyBlocks, purposes, block9Refuses } = CHIPS[chip];
  const block = keyBlocks[keyId];
  if (block === undefined || !Object.hasOwn(purposes, purpose)) return false;
  return block !== 9 || !block9Refuses.includes(purposes[purpose]!.family);
}

/**
 * The purposes that an ECDSA key of a curve is burned with, one a block: a P-384 key takes two, its
 * last 32 bytes in the `_L` block and the rest in the `_H` block.
 *
 * @param chip The chip.
 * @param curve The key's curve.
 * @returns The names of the purposes; none when the peripheral does not know the curve.
 */
export function ecdsaKeyPurposes(chip: ChipName, curve: Curve): readonly string[] {
  const { ecdsaCurves, purposes } = CHIPS[chip];
  if (!ecdsaCurves.includes(curve)) return [];
  if (curve === "P-384") return ["ECDSA_KEY_P384_H", "ECDSA_KEY_P384_L"];
  const own = curve === "P-192" && Object.hasOwn(purposes, "ECDSA_KEY_P192");
  return [own ? "ECDSA_KEY_P192" : "ECDSA_KEY"];
}
