import { SecureCertError } from "../bytes/errors.ts";
import type { Curve } from "../format/chips/chip.ts";
import { type ChipName, CHIPS } from "../format/chips/chips.ts";
import { type KeyBlock, keyBlock } from "../format/chips/key_blocks.ts";
import type { EfuseKeyMode } from "./mode.ts";
import { KEY_MODE_RULES } from "./modes.ts";

/** What is to be burned. */
export interface EfuseRequest {
  /** The chip. */
  readonly chip: ChipName;
  /** How the private key reaches the device; any mode that has a key in an eFuse. */
  readonly keyMode: EfuseKeyMode;
  /** KEYn, from 0: what the image's DS context or security configuration names. */
  readonly keyId: number;
  /** Curve of the key; needed for `ecdsa-peripheral`. */
  readonly curve?: Curve;
  /** KEYn for the high half of a P-384 key. @default the one before `keyId`, wrapping around */
  readonly highKeyId?: number;
  /**
   * Path of the key file: a PEM for `ecdsa-peripheral`, otherwise 32 raw bytes. The halves of a P-384
   * key are in two files that {@linkcode keyHalfFiles} names after it.
   */
  readonly keyFile: string;
}

/**
 * What to burn and how.
 *
 * @category Building and changing
 */
export interface EfusePlan {
  /** The chip's name. */
  readonly chip: ChipName;
  /** How the private key reaches the device. */
  readonly keyMode: "rsa-ds" | "ecdsa-peripheral" | "hmac-encrypted" | "hmac-derived";
  /** The blocks; the first is the one the image names. */
  readonly blocks: readonly {
    /** KEYn. */
    readonly keyId: number;
    /** Number of the eFuse block: n + 4. */
    readonly block: number;
    /** The block's name for espefuse. */
    readonly blockName: string;
    /** The purpose's name for espefuse. */
    readonly purpose: string;
    /** The number in the KEY_PURPOSE field. */
    readonly purposeNumber: number;
    /** Whether the block holds the bytes of the key file as they are or reversed. */
    readonly byteOrder: "as-is" | "reversed";
    /** The block is read-protected. */
    readonly readProtect: boolean;
  }[];
  /** What the key file is, or each of the two of a P-384 key. */
  readonly keyFileKind: "raw" | "pem";
  /** The call of espefuse 5, word by word; it burns all the blocks. */
  readonly command: readonly string[];
  /** What the person who burns them must know. */
  readonly notes: readonly string[];
}

/**
 * What to burn so that an image's private key works (FORMAT: eFuse purposes and blocks). For a P-384
 * key `keyId` is the low half: that is the block number which the firmware hands to its ECDSA driver.
 * espefuse takes a PEM for ECDSA keys. Given one for P-384, it would choose the block of the low half
 * itself, so both blocks are named, each with a raw file.
 *
 * @param request Chip, key mode, block and key file.
 * @returns The plan.
 * @throws {SecureCertError} `ERR_UNSUPPORTED` when the chip lacks the peripheral or the curve;
 * `ERR_PLAN` for a key block that it does not have, or that cannot hold this key.
 * @throws {RangeError} for a key of the ECDSA peripheral without a curve.
 */
export function planEfuse(request: EfuseRequest): EfusePlan {
  const { chip, keyMode, keyFile, curve } = request;
  const rules = KEY_MODE_RULES[keyMode];
  if (!rules.isOn(CHIPS[chip])) throw unsupported(`${chip} has no ${keyMode} keys`);
  if (rules.efuseKey === "private key") checkCurve(request);
  const names = rules.purposes!(chip, curve);
  const found = blocksOf(request, names);
  const blocks = found.map((block, at) => blockPlan(block, names[at]!));
  const isWhole = blocks.length === 1;
  const keyFiles = isWhole ? [keyFile] : keyHalfFiles(keyFile);
  const notes = rules.notes?.(blocks.map(({ block }) => block)) ?? [];
  return {
    chip,
    keyMode,
    blocks,
    keyFileKind: rules.efuseKey === "private key" && isWhole ? "pem" : "raw",
    command: [
      "espefuse",
      "--chip",
      chip,
      "burn-key",
      ...blocks.flatMap(({ blockName, purpose }, at) => [blockName, keyFiles[at]!, purpose]),
    ],
    notes: [...notes, ESPEFUSE_NOTE],
  };
}

/** Which dialect the command of a plan is in. */
export const ESPEFUSE_NOTE =
  "the command is for espefuse 5; with version 4, write espefuse.py and burn_key";

/**
 * The raw files of the halves of a P-384 key, low before high: `device.key.pem` gives
 * `device.key_low.bin` and `device.key_high.bin`.
 */
export function keyHalfFiles(keyFile: string): readonly [low: string, high: string] {
  const stem = keyFile.replace(/\.(pem|bin)$/, "");
  return [`${stem}_low.bin`, `${stem}_high.bin`];
}

/**
 * A command for a POSIX shell, with every word quoted that needs it.
 *
 * @param words The program and its arguments.
 * @returns One line.
 */
export function formatCommand(words: readonly string[]): string {
  return words
    .map((word) =>
      /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
    )
    .join(" ");
}

function checkCurve({ chip, keyMode, curve }: EfuseRequest): void {
  if (curve === undefined) throw new RangeError("Cannot plan ECDSA key: no curve given");
  const problem = KEY_MODE_RULES[keyMode].keyProblem?.({ type: "ec", curve, bits: 0 }, chip);
  if (problem !== undefined) throw unsupported(problem);
}

function blocksOf(request: EfuseRequest, purposes: readonly string[]): readonly KeyBlock[] {
  const { chip, keyId } = request;
  const count = CHIPS[chip].keyBlocks.length;
  const first = keyBlock(chip, keyId, purposes[0]!);
  if (purposes.length === 1) return [first];
  const highKeyId = request.highKeyId ?? (keyId + count - 1) % count;
  if (highKeyId === keyId) {
    const message = `Cannot plan eFuse: KEY${keyId} cannot hold both halves`;
    throw new SecureCertError("ERR_PLAN", message, { field: "highKeyId" });
  }
  try {
    return [first, keyBlock(chip, highKeyId, purposes[1]!)];
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    throw new SecureCertError(error.code, error.message, { field: "highKeyId" }, { cause: error });
  }
}

/** What a plan says of a block. */
export function blockPlan(
  { keyId, block, purpose }: KeyBlock,
  name: string,
): EfusePlan["blocks"][number] {
  const { value, byteOrder, readProtect } = purpose;
  return {
    keyId,
    block,
    blockName: `BLOCK_KEY${keyId}`,
    purpose: name,
    purposeNumber: value,
    byteOrder,
    readProtect,
  };
}

function unsupported(problem: string): SecureCertError {
  return new SecureCertError("ERR_UNSUPPORTED", `Cannot plan eFuse: ${problem}`, { field: "chip" });
}
