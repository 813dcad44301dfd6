/**
 * What one chip can do.
 *
 * @category Names and chips
 */
export interface Chip {
  /** The name that people read. */
  readonly title: string;
  /** Number of the chip in the header of application images. */
  readonly chipId: number;
  /** Where the second-stage bootloader is in flash, in bytes. */
  readonly bootloaderOffset: number;
  /** How big the values of the DS peripheral are; null when the chip has none. */
  readonly ds: {
    /** The longest RSA key in bits. */
    readonly maxRsaBits: 3072 | 4096;
    /** Bytes of the ciphertext: three operands of `maxRsaBits` and 48 bytes of check values. */
    readonly ciphertextLength: number;
    /** Bytes of the DS data: length word 4, initialisation vector 16, ciphertext. */
    readonly dataLength: number;
    /** The RSA key sizes in bits that ESP-IDF accepts. */
    readonly rsaBits: readonly number[];
  } | null;
  /** Curves of the ECDSA peripheral; empty when there is none that takes keys from eFuse. */
  readonly ecdsaCurves: readonly ("P-192" | "P-256" | "P-384")[];
  /** Whether there is an HMAC peripheral. */
  readonly hmac: boolean;
  /** eFuse block numbers of the key blocks: KEYn is the nth, from 0. */
  readonly keyBlocks: readonly number[];
  /** The purposes that key blocks can be given, by the names that `espefuse` has for them. */
  readonly purposes: Readonly<
    Record<string, {
      /** The number burned into the KEY_PURPOSE field. */
      readonly value: number;
      /** What it is for. */
      readonly family: "user" | "ecdsa" | "xts" | "hmac" | "digest" | "key-manager" | "sdc";
      /** Whether the 32 bytes of the key are burned as they are or last byte first. */
      readonly byteOrder: "as-is" | "reversed";
      /** Whether the block must be hidden from software; a digest must stay readable. */
      readonly readProtect: boolean;
    }>
  >;
  /** The families of purposes that BLOCK9 (KEY5) must not have, though other blocks may. */
  readonly block9Refuses: readonly ("xts" | "ecdsa")[];
  /** Secure boot v2: schemes and how many key digests the eFuses hold. */
  readonly secureBoot: {
    readonly rsa3072: boolean;
    readonly ecdsaCurves: readonly ("P-192" | "P-256" | "P-384")[];
    readonly digestSlots: number;
  };
  /** The kinds of flash encryption. */
  readonly flashEncryption: readonly (
    | "esp32-aes-256"
    | "xts-aes-128"
    | "xts-aes-128-derived"
    | "xts-aes-256"
    | "xts-aes-256-key-manager"
  )[];
  /** What a user should know besides. */
  readonly notes: readonly string[];
  /** The source of each fact above, by the name of its field. */
  readonly sources: Readonly<Record<string, string>>;
}

/** A curve of the ECDSA peripheral or of secure boot. */
export type Curve = Chip["ecdsaCurves"][number];

/** How big the values of the DS peripheral are; they follow from the longest RSA key. */
export type DsLayout = NonNullable<Chip["ds"]>;

/** The DS peripheral of chips with operands of 3072 bits (FORMAT: DS parameters, per chip). */
export const DS_3072: DsLayout = {
  maxRsaBits: 3072,
  ciphertextLength: 1200,
  dataLength: 1220,
  rsaBits: [1024, 2048, 3072],
};

/** The DS peripheral of chips with operands of 4096 bits (FORMAT: DS parameters, per chip). */
export const DS_4096: DsLayout = {
  maxRsaBits: 4096,
  ciphertextLength: 1584,
  dataLength: 1604,
  rsaBits: [1024, 2048, 3072, 4096],
};

/** The two layouts there are. */
export const DS_LAYOUTS: readonly DsLayout[] = [DS_4096, DS_3072];

/**
 * The layout that a ciphertext has.
 *
 * @param ciphertextLength Length of the ciphertext in bytes.
 * @returns The layout, or undefined when no chip has ciphertexts of this length.
 */
export function dsLayoutOfCiphertext(ciphertextLength: number): DsLayout | undefined {
  return DS_LAYOUTS.find((layout) => layout.ciphertextLength === ciphertextLength);
}
