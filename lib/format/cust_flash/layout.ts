import { DS_3072, DS_4096, type DsLayout } from "../chips/chip.ts";

/** The word that ends the metadata, little-endian. */
export const CUST_FLASH_MAGIC = 0x12345678;
/** Bytes of the metadata with its filling of zeros. */
export const METADATA_SIZE = 64;
/** Where the magic number is in an image with a plaintext key. */
export const MAGIC_AT = 24;
/** Where the magic number is in an image with DS values. */
export const DS_MAGIC_AT = 36;
/** Where the size of the RSA key in bits is, u16. */
export const RSA_BITS_AT = 30;
/** Where the eFuse key id is, u8. */
export const KEY_ID_AT = 32;

const DEVICE_CERT = { name: "deviceCert", offset: 64, capacity: 2048, optional: true } as const;
const CA_CERT = { name: "caCert", offset: 2112, capacity: 4096, optional: true } as const;
const PRIVATE_KEY = {
  name: "privateKey",
  offset: 6208,
  capacity: 4096,
  optional: true,
  pairAt: 16,
} as const;
const CIPHERTEXT_MARGIN = 16;
const IV_CAPACITY = 32;

/** The values a cust_flash image has places for. */
export type CustFlashName = "deviceCert" | "caCert" | "privateKey" | "ciphertext" | "iv";

/** A place for a value. */
export interface CustFlashSlot {
  /** Which value it is. */
  readonly name: CustFlashName;
  /** Where its bytes start. */
  readonly offset: number;
  /** Bytes there is room for. */
  readonly capacity: number;
  /** Whether an image can do without it. */
  readonly optional: boolean;
  /** Where its checksum is, u32, followed by its length, u16. */
  readonly pairAt: number;
}

/** One way to lay a cust_flash image out. */
export interface CustFlashLayout {
  /** Whether the metadata has the CA certificate before the device certificate. */
  readonly legacy: boolean;
  /** The DS peripheral's sizes, or undefined for an image with a plaintext key. */
  readonly ds: DsLayout | undefined;
  /** The places in the order of the image. */
  readonly slots: readonly CustFlashSlot[];
  /** Where the magic number is. */
  readonly magicAt: number;
  /** Bytes up to the end of the last place. */
  readonly end: number;
}

/**
 * The places of the values (FORMAT: cust_flash).
 *
 * @param ds Sizes of the DS peripheral, or undefined for an image with a plaintext key.
 * @param legacy Whether the checksums of the two certificates are swapped.
 * @returns The layout.
 */
export function custFlashLayout(ds: DsLayout | undefined, legacy: boolean): CustFlashLayout {
  const certificates: CustFlashSlot[] = [
    { ...DEVICE_CERT, pairAt: legacy ? 8 : 0 },
    { ...CA_CERT, pairAt: legacy ? 0 : 8 },
  ];
  const { offset } = PRIVATE_KEY;
  if (ds === undefined) {
    const slots = [...certificates, PRIVATE_KEY];
    return { legacy, ds, slots, magicAt: MAGIC_AT, end: offset + PRIVATE_KEY.capacity };
  }
  const capacity = ds.ciphertextLength + CIPHERTEXT_MARGIN;
  const iv = offset + capacity;
  const slots: CustFlashSlot[] = [
    ...certificates,
    { name: "ciphertext", offset, capacity, optional: false, pairAt: 16 },
    { name: "iv", offset: iv, capacity: IV_CAPACITY, optional: false, pairAt: 24 },
  ];
  return { legacy, ds, slots, magicAt: DS_MAGIC_AT, end: iv + IV_CAPACITY };
}

/** Every layout there is. */
export const CUST_FLASH_LAYOUTS: readonly CustFlashLayout[] = [undefined, DS_4096, DS_3072]
  .flatMap((ds) => [custFlashLayout(ds, false), custFlashLayout(ds, true)]);
