/** Dumps of flash as tools write them, for tests. */
import { md5 } from "../lib/format/deps.ts";

/** A record of Intel HEX. */
export function hexRecord(type: number, address: number, data: readonly number[]): string {
  const bytes = [data.length, address >> 8, address & 0xFF, type, ...data];
  const sum = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xFF;
  return ":" + [...bytes, sum].map((byte) => byte.toString(16).padStart(2, "0")).join("")
    .toUpperCase();
}

/** Bytes from an address on as Intel HEX, in records of 16 bytes with 32-bit addresses. */
export function intelHex(
  address: number,
  bytes: Uint8Array,
  lineEnd = "\r\n",
): Uint8Array<ArrayBuffer> {
  const lines: string[] = [];
  let base = 0;
  for (let at = 0; at < bytes.length;) {
    const here = address + at;
    if (here >> 16 !== base) {
      base = here >> 16;
      lines.push(hexRecord(4, 0, [base >> 8, base & 0xFF]));
    }
    const length = Math.min(16, bytes.length - at, 0x10000 - (here & 0xFFFF));
    lines.push(hexRecord(0, here & 0xFFFF, [...bytes.subarray(at, at + length)]));
    at += length;
  }
  return new TextEncoder().encode([...lines, ":00000001FF", ""].join(lineEnd));
}

/** A block of UF2. */
export function uf2Block(
  { flags = 0, ...block }: {
    readonly number: number;
    readonly total: number;
    readonly address: number;
    readonly bytes: Uint8Array;
    readonly flags?: number;
    readonly family?: number;
    readonly md5?: boolean;
  },
): Uint8Array<ArrayBuffer> {
  const { number, total, address, bytes, family } = block;
  const out = new Uint8Array(512);
  const view = new DataView(out.buffer);
  const all = flags | (family === undefined ? 0 : 0x2000) | (block.md5 ? 0x4000 : 0);
  const words = [0x0A324655, 0x9E5D5157, all, address, bytes.length, number, total, family ?? 0];
  words.forEach((word, index) => view.setUint32(4 * index, word, true));
  out.set(bytes, 32);
  if (block.md5) {
    view.setUint32(32 + bytes.length, address, true);
    view.setUint32(36 + bytes.length, bytes.length, true);
    out.set(md5(bytes), 40 + bytes.length);
  }
  view.setUint32(508, 0x0AB16F30, true);
  return out;
}

/** Bytes from an address on as UF2, as esptool writes it. */
export function uf2(
  address: number,
  bytes: Uint8Array,
  options: { readonly family?: number; readonly md5?: boolean } = {},
): Uint8Array<ArrayBuffer> {
  const { family, md5 } = { family: 0xC47E5767, md5: true, ...options };
  const size = md5 ? 452 : 476;
  const total = Math.ceil(bytes.length / size);
  const blocks = Array.from({ length: total }, (_, number) => {
    const part = bytes.subarray(number * size, number * size + size);
    return uf2Block({ number, total, address: address + number * size, bytes: part, family, md5 });
  });
  return new Uint8Array(blocks.flatMap((each) => [...each]));
}
