import { SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { randomBytes, type Sources } from "../crypto/sources.ts";
import { type ChipName, CHIPS } from "../format/chips/chips.ts";
import { keyBlock } from "../format/chips/key_blocks.ts";
import { blockPlan, type EfusePlan, ESPEFUSE_NOTE } from "../key_modes/efuse_plan.ts";

/** Bytes of an eFuse block. */
const BLOCK_SIZE = 32;
/** KEY1 is where the private key or its HMAC key is, unless the caller says otherwise. */
const USUAL_KEY_ID = 2;

/** What {@linkcode createFlashKey} makes. */
export interface FlashKeyOptions extends Pick<Sources, "random"> {
  /** The chip. */
  readonly chip: ChipName;
  /** Length of the AES key: XTS-AES-128 takes one eFuse block, XTS-AES-256 two. @default 128; on the ESP32 256 */
  readonly bits?: 128 | 256;
  /** The n of KEYn; the second half of a longer key goes into the next block. @default 2, or the last there is */
  readonly keyId?: number;
  /** Path of the key file in the plan's command. @default "flash_key.bin" */
  readonly keyFile?: string;
}

type Block = EfusePlan["blocks"][number];

/** What to burn for flash encryption, and how. */
export interface FlashKeyPlan extends Omit<EfusePlan, "keyMode" | "blocks"> {
  readonly keyMode: "flash-encryption";
  /** The blocks; those of the ESP32 have neither ids nor purposes, which are null there. */
  readonly blocks: readonly (Omit<Block, "keyId" | "purposeNumber"> & {
    readonly keyId: number | null;
    readonly purposeNumber: number | null;
  })[];
}

/**
 * A new key for flash encryption, and what to burn: the ESP32 has one block for it, others take any KEYn
 * with the purpose (FORMAT: eFuse purposes and blocks). espefuse writes each block last byte first.
 *
 * @param options Chip, length and block.
 * @returns The key in the order of its file, the plan, and the files that its command names; the halves of a
 * key of two blocks are in files of their own. Secret.
 * @throws {SecureCertError} `ERR_UNSUPPORTED` for a length that the chip's eFuses do not take; `ERR_PLAN` for
 * a block that it does not have, or that must not hold such a key.
 */
export function createFlashKey(
  { chip, bits, keyId, keyFile = "flash_key.bin", random }: FlashKeyOptions,
): {
  readonly key: Bytes;
  readonly plan: FlashKeyPlan;
  readonly keyFiles: readonly { readonly path: string; readonly bytes: Bytes }[];
} {
  const isEsp32 = chip === "esp32";
  const length = bits ?? (isEsp32 ? 256 : 128);
  checkLength(chip, length);
  const count = isEsp32 || length === 128 ? 1 : 2;
  const paths = count === 1 ? [keyFile] : halfFiles(keyFile);
  const blocks = isEsp32 ? [ESP32_BLOCK] : keyBlocks(chip, count, keyId);
  const key = randomBytes(count * BLOCK_SIZE, { random });
  const words = blocks.flatMap(({ blockName, purpose }, at) =>
    isEsp32 ? [purpose, paths[at]!] : [blockName, paths[at]!, purpose]
  );
  return {
    key,
    plan: {
      chip,
      keyMode: "flash-encryption",
      blocks,
      keyFileKind: "raw",
      command: ["espefuse", "--chip", chip, "burn-key", ...words],
      notes: [
        "burn it before the device encrypts its flash itself, which gives it a key that nobody knows",
        ESPEFUSE_NOTE,
      ],
    },
    keyFiles: paths.map((path, at) => ({
      path,
      bytes: key.slice(at * BLOCK_SIZE, (at + 1) * BLOCK_SIZE),
    })),
  };
}

/** BLOCK1, which espefuse calls after what is in it. */
const ESP32_BLOCK: FlashKeyPlan["blocks"][number] = {
  keyId: null,
  block: 1,
  blockName: "BLOCK1",
  purpose: "flash_encryption",
  purposeNumber: null,
  byteOrder: "reversed",
  readProtect: true,
};

function keyBlocks(chip: ChipName, count: 1 | 2, keyId: number | undefined): Block[] {
  const purposes = count === 1 ? ["XTS_AES_128_KEY"] : ["XTS_AES_256_KEY_1", "XTS_AES_256_KEY_2"];
  const all = CHIPS[chip].keyBlocks.length;
  const first = keyId ?? Math.min(USUAL_KEY_ID, all - 1);
  return purposes.map((purpose, at) =>
    blockPlan(keyBlock(chip, at === 0 ? first : (first + at) % all, purpose), purpose)
  );
}

function checkLength(chip: ChipName, bits: 128 | 256): void {
  const { flashEncryption, title } = CHIPS[chip];
  const kinds: readonly string[] = flashEncryption;
  if (kinds.includes(`xts-aes-${bits}`) || kinds.includes(`esp32-aes-${bits}`)) return;
  throw new SecureCertError(
    "ERR_UNSUPPORTED",
    `Cannot make flash encryption key: the eFuses of the ${title} take no key of ${bits} bits`,
    { field: "bits" },
  );
}

/** `flash_key.bin` gives `flash_key_1.bin` and `flash_key_2.bin`. */
function halfFiles(keyFile: string): readonly string[] {
  const stem = keyFile.replace(/\.bin$/, "");
  return [`${stem}_1.bin`, `${stem}_2.bin`];
}
