const POLYNOMIAL = 0xEDB88320;

/** Eight tables, so that eight bytes cost one step ("slicing by 8"). */
const TABLES: Tables = makeTables();

function makeTables(): Tables {
  const tables = Array.from({ length: 8 }, () => new Uint32Array(256));
  for (let index = 0; index < 256; index++) {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? value >>> 1 ^ POLYNOMIAL : value >>> 1;
    tables[0]![index] = value;
  }
  for (let index = 0; index < 256; index++) {
    for (let table = 1; table < 8; table++) {
      const value = tables[table - 1]![index]!;
      tables[table]![index] = value >>> 8 ^ tables[0]![value & 0xFF]!;
    }
  }
  return tables as unknown as Tables;
}

/**
 * CRC-32 (polynomial 0xEDB88320, reflected), continued from an earlier value as zlib's `crc32` is.
 *
 * The entries of an esp_secure_cert partition use seed 0xFFFFFFFF, secure-boot blocks use 0.
 *
 * @param bytes What to sum.
 * @param seed The CRC of what came before. @default 0
 * @returns The checksum, an unsigned 32-bit number.
 *
 * @example The check value of the ordinary CRC-32
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { crc32 } from "./crc32.ts";
 *
 * assertEquals(crc32(new TextEncoder().encode("123456789")), 0xCBF43926);
 * ```
 */
export function crc32(bytes: Uint8Array, seed = 0): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const whole = bytes.length - bytes.length % 8;
  let crc = ~seed;
  for (let at = 0; at < whole; at += 8) {
    const low = crc ^ view.getUint32(at, true);
    const high = view.getUint32(at + 4, true);
    crc = t7[low & 0xFF]! ^ t6[low >>> 8 & 0xFF]! ^ t5[low >>> 16 & 0xFF]! ^ t4[low >>> 24]! ^
      t3[high & 0xFF]! ^ t2[high >>> 8 & 0xFF]! ^ t1[high >>> 16 & 0xFF]! ^ t0[high >>> 24]!;
  }
  for (let at = whole; at < bytes.length; at++) crc = crc >>> 8 ^ t0[(crc ^ bytes[at]!) & 0xFF]!;
  return ~crc >>> 0;
}

type Tables = readonly [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
];
