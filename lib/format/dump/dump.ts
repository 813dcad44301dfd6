import { decodeIntelHex, looksLikeIntelHex } from "./intel_hex.ts";
import type { FlashPart } from "./memory.ts";
import { decodeUf2, looksLikeUf2 } from "./uf2.ts";

/** How a file says what is in flash, when it is not the bytes of flash themselves. */
export type DumpEncoding = "intel_hex" | "uf2";

/** How a file that is Intel HEX or UF2 is encoded; undefined for another file. */
export function dumpEncodingOf(file: Uint8Array): DumpEncoding | undefined {
  if (looksLikeUf2(file)) return "uf2";
  return looksLikeIntelHex(file) ? "intel_hex" : undefined;
}

/**
 * What such a file says of flash.
 *
 * @throws {SecureCertError} as the decoder of its encoding.
 */
export function decodeDump(file: Uint8Array, encoding: DumpEncoding): FlashPart {
  return encoding === "uf2" ? decodeUf2(file) : decodeIntelHex(file);
}
