import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat } from "../../bytes/pack.ts";
import type { KeyMode } from "../names.ts";

/** How an eFuse key block of some purpose is burned. */
export interface EfusePurpose {
  /** The number in the KEY_PURPOSE field. */
  readonly number: number;
  /** espefuse reverses the bytes while burning. */
  readonly reversed: boolean;
  /** espefuse read-protects the block, so that only the hardware sees the key. */
  readonly readProtect: boolean;
}

/** The key purposes that this partition's key modes use (FORMAT: eFuse purposes and blocks). */
export const EFUSE_PURPOSES = {
  /** P-256; also P-192 on the chips that have no purpose of its own for it. */
  ECDSA_KEY: { number: 1, reversed: true, readProtect: true },
  /** The key of the DS peripheral. */
  HMAC_DOWN_DIGITAL_SIGNATURE: { number: 7, reversed: false, readProtect: true },
  /** The key of HMAC-encrypted entries and HMAC-derived keys. */
  HMAC_UP: { number: 8, reversed: false, readProtect: true },
  ECDSA_KEY_P192: { number: 16, reversed: true, readProtect: true },
  /** The low 32 bytes of a P-384 key. */
  ECDSA_KEY_P384_L: { number: 17, reversed: true, readProtect: true },
  /** The high 16 bytes of a P-384 key. */
  ECDSA_KEY_P384_H: { number: 18, reversed: true, readProtect: true },
} as const satisfies Readonly<Record<string, EfusePurpose>>;

/** A name of {@linkcode EFUSE_PURPOSES}. */
export type EfusePurposeName = keyof typeof EFUSE_PURPOSES;

/** The curves of the ECDSA peripheral. */
export type EcdsaCurve = "P-192" | "P-256" | "P-384";

/** One eFuse block's worth of an ECDSA key. */
export interface EcdsaEfuseBlock {
  /** Which part of the scalar: all of it, or a half of a P-384 key. */
  readonly part: "whole" | "low" | "high";
  /** 32 bytes, big-endian with zeros in front: what espefuse makes of a PEM key before it reverses. */
  readonly bigEndian: Bytes;
  /** 32 bytes, little-endian: what lies in the block after burning, first byte at its lowest bit. */
  readonly stored: Bytes;
}

/** Bytes of an eFuse key block. */
export const EFUSE_KEY_SIZE = 32;

const FIRST_KEY_BLOCK = 4;
const SCALAR_SIZES: Readonly<Record<EcdsaCurve, number>> = {
  "P-192": 24,
  "P-256": 32,
  "P-384": 48,
};

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
  curve: EcdsaCurve,
): readonly EcdsaEfuseBlock[] {
  const size = SCALAR_SIZES[curve];
  if (privateScalar.length !== size) {
    throw new RangeError(
      `Cannot encode ${curve} key: need ${size} bytes, have ${privateScalar.length}`,
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

/** What an eFuse plan has to know of a chip. */
export interface EfuseFacts {
  /** The chip's name, as esptool's `--chip` takes it. */
  readonly chip: string;
  /** Key blocks: 6, or 5 where KEY5 is missing; 0 where blocks have no purpose field. */
  readonly keyBlocks: number;
  /** KEY5 must not hold an ECDSA key (block 9 quirk). */
  readonly block9Quirk: boolean;
  /** It has the HMAC peripheral. */
  readonly hmac: boolean;
  /** It has the DS peripheral. */
  readonly ds: boolean;
  /** Curves of its ECDSA peripheral, none without one. */
  readonly ecdsaCurves: readonly EcdsaCurve[];
  /** P-192 keys have a purpose of their own; otherwise they share ECDSA_KEY with P-256. */
  readonly ecdsaCurvePurposes: boolean;
}

/** What is to be burned. */
export interface EfuseRequest {
  /** How the private key reaches the device; any mode that has a key in an eFuse. */
  readonly keyMode: Exclude<KeyMode, "plaintext">;
  /** KEYn, from 0: what the image's DS context or security configuration will name. */
  readonly keyId: number;
  /** Curve of the key; needed for `ecdsa-peripheral`. */
  readonly curve?: EcdsaCurve;
  /** KEYn for the high half of a P-384 key. @default the one before `keyId`, counted in a circle */
  readonly highKeyId?: number;
  /** Path of the key file: a PEM for `ecdsa-peripheral`, otherwise 32 raw bytes. */
  readonly keyFile: string;
}

/** One block to be burned. */
export interface EfuseBlockPlan {
  /** KEYn. */
  readonly keyId: number;
  /** Number of the eFuse block: n + 4. */
  readonly block: number;
  /** The block's name for espefuse. */
  readonly blockName: string;
  /** The purpose's name for espefuse. */
  readonly purpose: EfusePurposeName;
  /** The number in the KEY_PURPOSE field. */
  readonly purposeNumber: number;
  /** Whether the bytes of the key file lie in the block as they are or reversed. */
  readonly byteOrder: "as-is" | "reversed";
  /** The block is read-protected. */
  readonly readProtect: boolean;
}

/** What to burn and how. */
export interface EfusePlan {
  /** The chip's name. */
  readonly chip: string;
  /** How the private key reaches the device. */
  readonly keyMode: EfuseRequest["keyMode"];
  /** The blocks; the first is the one the image names. */
  readonly blocks: readonly EfuseBlockPlan[];
  /** What espefuse wants the key file to be. */
  readonly keyFileKind: "raw" | "pem";
  /** The espefuse call, word by word; it burns all the blocks. */
  readonly command: readonly string[];
  /** What the person who burns must look after. */
  readonly notes: readonly string[];
}

/**
 * What to burn so that an image's private key works (FORMAT: eFuse purposes and blocks). For a P-384
 * key `keyId` is the low half: that is the block number which the firmware hands to its ECDSA driver.
 * espefuse takes a PEM for ECDSA keys, and writes the high half of a P-384 key to the block it is given
 * and the low half to the next free one.
 *
 * @param request The key mode, the block and the key file.
 * @param facts What the chip has.
 * @returns The plan.
 * @throws {SecureCertError} `ERR_UNSUPPORTED` when the chip lacks the peripheral or the curve;
 * `ERR_PLAN` for a key block it does not have, or one that cannot hold this key.
 * @throws {RangeError} for an ECDSA peripheral key without a curve.
 */
export function planEfuse(request: EfuseRequest, facts: EfuseFacts): EfusePlan {
  const { keyMode, keyFile } = request;
  const purposes = purposesOf(request, facts);
  const highKeyId = request.highKeyId ?? (request.keyId + facts.keyBlocks - 1) % facts.keyBlocks;
  const keyIds = purposes.length === 1 ? [request.keyId] : [request.keyId, highKeyId];
  const blocks = purposes.map((purpose, index) => blockPlan(purpose, keyIds[index]!, facts));
  if (new Set(keyIds).size !== keyIds.length) {
    throw badPlan(`KEY${request.keyId} cannot hold both halves`, "highKeyId");
  }
  const ecdsa = keyMode === "ecdsa-peripheral";
  const [named, purpose] = purposes.length === 1
    ? [blocks[0]!, purposes[0]!]
    : [blocks[1]!, "ECDSA_KEY_P384"];
  return {
    chip: facts.chip,
    keyMode,
    blocks,
    keyFileKind: ecdsa ? "pem" : "raw",
    command: ["espefuse", "--chip", facts.chip, "burn-key", named.blockName, keyFile, purpose],
    notes: notesOf(request, blocks),
  };
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

function efuseBlock(part: EcdsaEfuseBlock["part"], bigEndian: Bytes): EcdsaEfuseBlock {
  return { part, bigEndian, stored: bigEndian.slice().reverse() };
}

function purposesOf(request: EfuseRequest, facts: EfuseFacts): readonly EfusePurposeName[] {
  switch (request.keyMode) {
    case "rsa-ds":
      if (!facts.ds) throw unsupported(facts, "has no DS peripheral");
      return ["HMAC_DOWN_DIGITAL_SIGNATURE"];
    case "hmac-encrypted":
    case "hmac-derived":
      if (!facts.hmac) throw unsupported(facts, "has no HMAC peripheral");
      return ["HMAC_UP"];
    case "ecdsa-peripheral":
      return ecdsaPurposes(request.curve, facts);
    default:
      return request.keyMode satisfies never;
  }
}

function ecdsaPurposes(
  curve: EcdsaCurve | undefined,
  facts: EfuseFacts,
): readonly EfusePurposeName[] {
  if (curve === undefined) throw new RangeError("Cannot plan ECDSA key: no curve given");
  if (facts.ecdsaCurves.length === 0) throw unsupported(facts, "has no ECDSA peripheral");
  if (!facts.ecdsaCurves.includes(curve)) {
    throw unsupported(facts, `cannot sign on ${curve}, only ${facts.ecdsaCurves.join(", ")}`);
  }
  if (curve === "P-384") return ["ECDSA_KEY_P384_L", "ECDSA_KEY_P384_H"];
  return [curve === "P-192" && facts.ecdsaCurvePurposes ? "ECDSA_KEY_P192" : "ECDSA_KEY"];
}

function blockPlan(
  purpose: EfusePurposeName,
  keyId: number,
  facts: EfuseFacts,
): EfuseBlockPlan {
  const field = purpose === "ECDSA_KEY_P384_H" ? "highKeyId" : "keyId";
  const { number, reversed, readProtect } = EFUSE_PURPOSES[purpose];
  if (!Number.isInteger(keyId) || keyId < 0 || keyId >= facts.keyBlocks) {
    throw badPlan(
      `${facts.chip} has key blocks 0 to ${facts.keyBlocks - 1}, not ${keyId}`,
      field,
    );
  }
  if (facts.block9Quirk && keyId === 5 && reversed) {
    throw badPlan(`KEY5 of ${facts.chip} must not hold an ECDSA key`, field);
  }
  return {
    keyId,
    block: keyId + FIRST_KEY_BLOCK,
    blockName: `BLOCK_KEY${keyId}`,
    purpose,
    purposeNumber: number,
    byteOrder: reversed ? "reversed" : "as-is",
    readProtect,
  };
}

function notesOf(request: EfuseRequest, blocks: readonly EfuseBlockPlan[]): readonly string[] {
  if (blocks.length === 2) {
    const [low, high] = blocks as readonly [EfuseBlockPlan, EfuseBlockPlan];
    return [
      `espefuse writes the low half to the first free block after ${high.blockName}, in a circle: ` +
      `it must be ${low.blockName}`,
      `The image names block ${low.block} alone; the firmware must be told of block ${high.block}`,
    ];
  }
  return request.keyMode.startsWith("hmac-")
    ? ["The firmware takes the first block with purpose HMAC_UP: no other may come before it"]
    : [];
}

function unsupported(facts: EfuseFacts, problem: string): SecureCertError {
  return new SecureCertError("ERR_UNSUPPORTED", `Chip ${facts.chip} ${problem}`, { field: "chip" });
}

function badPlan(problem: string, field: string): SecureCertError {
  return new SecureCertError("ERR_PLAN", `Cannot plan eFuse: ${problem}`, { field });
}
