import type { Bytes } from "../../bytes/pack.ts";

/** Bytes of a block of AES, and what addresses are a multiple of. */
export const FLASH_BLOCK = 16;

/** Turns whole blocks of 16 bytes at an address of flash into others. */
export type FlashCipher = (blocks: Uint8Array, address: number) => Bytes;
