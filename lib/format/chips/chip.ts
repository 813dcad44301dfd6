import type { DsLayout } from "./ds_layout.ts";
import type { KeyPurposeFamily, KeyPurposes } from "./key_purposes.ts";

/** A curve of the ECDSA peripheral or of secure boot. */
export type Curve = "P-192" | "P-256" | "P-384";

/** How a chip can encrypt its flash. */
export type FlashEncryption =
  | "esp32-aes-256"
  | "xts-aes-128"
  | "xts-aes-128-derived"
  | "xts-aes-256"
  | "xts-aes-256-key-manager";

/** What one chip can do. */
export interface Chip {
  /** The name that people read. */
  readonly title: string;
  /** Number of the chip in the header of application images. */
  readonly chipId: number;
  /** Where the second-stage bootloader stands in flash, in bytes. */
  readonly bootloaderOffset: number;
  /** The DS peripheral, or null when the chip has none. */
  readonly ds: DsLayout | null;
  /** Curves of the ECDSA peripheral; empty when there is none that takes keys from eFuse. */
  readonly ecdsaCurves: readonly Curve[];
  /** Whether there is an HMAC peripheral. */
  readonly hmac: boolean;
  /** eFuse block numbers of the key blocks: KEYn is the nth, from 0. */
  readonly keyBlocks: readonly number[];
  /** Purposes that key blocks can be given. */
  readonly purposes: KeyPurposes;
  /** What the key block BLOCK9 (KEY5) must not hold, though other blocks may. */
  readonly block9Refuses: readonly KeyPurposeFamily[];
  /** Secure boot v2: schemes and how many key digests the eFuses hold. */
  readonly secureBoot: {
    readonly rsa3072: boolean;
    readonly ecdsaCurves: readonly Curve[];
    readonly digestSlots: number;
  };
  /** The kinds of flash encryption. */
  readonly flashEncryption: readonly FlashEncryption[];
  /** What a user should know besides. */
  readonly notes: readonly string[];
  /** Where each of the facts above stands. */
  readonly sources: ChipSources;
}

/** The source of each fact of a {@linkcode Chip}. */
export type ChipSources = Readonly<
  Record<Exclude<keyof Chip, "title" | "notes" | "sources">, string>
>;
