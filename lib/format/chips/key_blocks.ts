import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat } from "../../bytes/pack.ts";
import type { Curve, KeyPurpose } from "./chip.ts";
import { type ChipName, CHIPS } from "./chips.ts";

/** Bytes of an eFuse key block. */
const EFUSE_KEY_SIZE = 32;

/** Key blocks that any chip has: KEY0 to KEY5. */
export const MOST_KEY_BLOCKS = 6;

const SCALAR_SIZES: Readonly<Record<Curve, number>> = { "P-192": 24, "P-256": 32, "P-384": 48 };

/** A key block and what it is burned for. */
export interface KeyBlock {
  /** The n of KEYn. */
  readonly keyId: number;
  /** Number of the eFuse block, n + 4 on most chips. */
  readonly block: number;
  /** The purpose. */
  readonly purpose: KeyPurpose;
}

/**
 * The block for a key, if the chip accepts it there: the chip has the block and the purpose, and the
 * block is not the BLOCK9 that must not hold XTS or ECDSA keys on some chips (FORMAT: eFuse, block-9
 * quirk).
 *
 * @param chip The chip.
 * @param keyId The n of KEYn.
 * @param purpose The purpose by name, such as `HMAC_UP`.
 * @returns The block and the purpose.
 * @throws {SecureCertError} `ERR_UNSUPPORTED` for a purpose that the chip lacks, `ERR_PLAN` for a block
 * that it lacks or that must not hold such a key.
 */
export function keyBlock(chip: ChipName, keyId: number, purpose: string): KeyBlock {
  const { keyBlocks, purposes, block9Refuses } = CHIPS[chip];
  const block = keyBlocks[keyId];
  if (!Object.hasOwn(purposes, purpose)) {
    const message = `Cannot plan eFuse: ${chip} has no key purpose ${purpose}`;
    throw new SecureCertError("ERR_UNSUPPORTED", message, { field: "chip" });
  }
  const { family } = purposes[purpose]!;
  if (block !== undefined && (block !== 9 || !block9Refuses.some((each) => each === family))) {
    return { keyId, block, purpose: purposes[purpose]! };
  }
  const problem = block === undefined
    ? `${chip} has key blocks 0 to ${keyBlocks.length - 1}, not ${keyId}`
    : `KEY${keyId} of ${chip} must not hold an ${family === "xts" ? "XTS" : "ECDSA"} key`;
  throw new SecureCertError("ERR_PLAN", `Cannot plan eFuse: ${problem}`, { field: "keyId" });
}

/**
 * Whether a key may be burned into a block, as {@linkcode keyBlock} decides it.
 *
 * @param chip The chip.
 * @param keyId The n of KEYn.
 * @param purpose The purpose by name, such as `HMAC_UP`.
 */
export function keyBlockAccepts(chip: ChipName, keyId: number, purpose: string): boolean {
  try {
    return keyBlock(chip, keyId, purpose).keyId === keyId;
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}

/**
 * The key id of an eFuse block.
 *
 * @param chip The chip.
 * @param block The block's number.
 * @returns The n of KEYn, or undefined when the block holds no key with a purpose.
 */
export function keyIdOfEfuseBlock(chip: ChipName, block: number): number | undefined {
  const keyId = CHIPS[chip].keyBlocks.indexOf(block);
  return keyId < 0 ? undefined : keyId;
}

/** One eFuse block's worth of an ECDSA key. */
export interface EcdsaEfuseBlock {
  /** Which part of the scalar: all of it, or a half of a P-384 key. */
  readonly part: "whole" | "low" | "high";
  /** 32 bytes, big-endian with zeros in front: what espefuse makes of a PEM key before it reverses. */
  readonly bigEndian: Bytes;
  /** 32 bytes, little-endian: what the block holds after burning, first byte at its lowest bit. */
  readonly stored: Bytes;
}

/**
 * An ECDSA private key as the eFuse blocks of the ECDSA peripheral hold it (FORMAT: ECDSA key bytes):
 * the scalar big-endian, filled with zeros in front to 32 bytes (P-192: 8 + 24), then reversed; a
 * P-384 key filled to 64 bytes (16 + 48), of which the first 32 are the high block and the last 32
 * the low one, each reversed by itself.
 *
 * @param privateScalar d, big-endian: 24, 32 or 48 bytes, as the curve has it.
 * @param curve The curve.
 * @returns One block, or for P-384 two, low before high.
 * @throws {RangeError} for a scalar of the wrong length.
 */
export function ecdsaEfuseKey(
  privateScalar: Uint8Array,
  curve: Curve,
): readonly EcdsaEfuseBlock[] {
  const size = SCALAR_SIZES[curve];
  if (privateScalar.length !== size) {
    throw new RangeError(
      `Cannot encode ${curve} key: need ${countOf(size, "byte")}, have ${privateScalar.length}`,
    );
  }
  const blocks = Math.ceil(size / EFUSE_KEY_SIZE);
  const filled = concat(new Uint8Array(blocks * EFUSE_KEY_SIZE - size), privateScalar);
  if (blocks === 1) return [efuseBlock("whole", filled)];
  return [
    efuseBlock("low", filled.slice(EFUSE_KEY_SIZE)),
    efuseBlock("high", filled.slice(0, EFUSE_KEY_SIZE)),
  ];
}

function efuseBlock(part: EcdsaEfuseBlock["part"], bigEndian: Bytes): EcdsaEfuseBlock {
  return { part, bigEndian, stored: bigEndian.slice().reverse() };
}
