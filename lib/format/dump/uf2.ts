import { countOf, type ErrorCode, SecureCertError } from "../../bytes/errors.ts";
import { equalBytes, hasWord, viewOf } from "../../bytes/pack.ts";
import { md5 } from "../deps.ts";
import { flashMemory, type FlashPart } from "./memory.ts";

const BLOCK = 512;
const DATA_AT = 32;
const DATA_SIZE = 476;
const MD5_PART = 24;
const END_AT = 508;
const MAGIC = [0x0A324655, 0x9E5D5157] as const;
const END_MAGIC = 0x0AB16F30;

const FLAGS = { notFlash: 1, file: 0x1000, family: 0x2000, md5: 0x4000 } as const;

/** The families of Espressif's chips (esptool, `UF2_FAMILY_ID`). */
const ESPRESSIF_FAMILIES: readonly (number | undefined)[] = [
  0x1C5F21B0, // ESP32
  0xBFDD4EEE, // ESP32-S2
  0xC47E5767, // ESP32-S3
  0x2B88D29C, // ESP32-C2
  0xD42BA06C, // ESP32-C3
  0xF71C0343, // ESP32-C5
  0x540DDF62, // ESP32-C6
  0x77D850C4, // ESP32-C61
  0x332726F6, // ESP32-H2
  0xB6DD00AF, // ESP32-H21
  0x3D308E94, // ESP32-P4
  0x3101F7C1, // ESP32-S31
];

/** Whether a file begins as UF2 does. */
export function looksLikeUf2(file: Uint8Array): boolean {
  return MAGIC.every((word, index) => hasWord(file, 4 * index, word));
}

/**
 * What a UF2 file says of flash (github.com/microsoft/uf2): the addresses are those of flash, as esptool's
 * `merge_bin --format uf2` writes them. Blocks that are not for flash are skipped; of several families that
 * of Espressif's chips is taken. The MD5 that esptool adds to a block is checked. Takes time linear in
 * the length of the file.
 *
 * @throws {SecureCertError} `ERR_TRUNCATED` for a part of a block or a missing one; with the block's
 * offset `ERR_MAGIC`, `ERR_LENGTH` for more data or a higher number than there can be, and `ERR_CHECKSUM`;
 * `ERR_UNSUPPORTED` for several families; `ERR_STRAY_BYTES` for two values of one address;
 * `ERR_TOO_LARGE` for more than 32 MiB from the first byte to the last.
 */
export function decodeUf2(file: Uint8Array): FlashPart {
  const blocks: Uf2Block[] = [];
  for (let offset = 0; offset < file.length; offset += BLOCK) {
    blocks.push(readBlock(file.subarray(offset, offset + BLOCK), offset));
  }
  checkCount(blocks);
  const forFlash = blocks.filter(({ flags }) => (flags & (FLAGS.notFlash | FLAGS.file)) === 0);
  const family = familyOf(forFlash);
  const memory = flashMemory("Cannot decode UF2");
  for (const each of forFlash) {
    if (each.family === family) memory.write(each.address, each.bytes);
  }
  return memory.part();
}

/** A run of bytes and the address of its first one. */
interface Segment {
  readonly address: number;
  readonly bytes: Uint8Array;
}

interface Uf2Block extends Segment {
  readonly flags: number;
  /** Blocks of the file that it was made for. */
  readonly total: number;
  readonly family: number | undefined;
}

function readBlock(block: Uint8Array, offset: number): Uf2Block {
  if (block.length < BLOCK) {
    throw badUf2("ERR_TRUNCATED", offset, `need ${BLOCK} bytes, have ${block.length}`);
  }
  if (!looksLikeUf2(block) || !hasWord(block, END_AT, END_MAGIC)) {
    throw badUf2("ERR_MAGIC", offset, "no magic number at its start or end");
  }
  const view = viewOf(block);
  const word = (index: number) => view.getUint32(4 * index, true);
  const [flags, address, size, number, total] = [word(2), word(3), word(4), word(5), word(6)];
  if (size > DATA_SIZE) {
    throw badUf2(
      "ERR_LENGTH",
      offset,
      `it says ${countOf(size, "byte")} of data; there are ${DATA_SIZE}`,
    );
  }
  if (number >= total) {
    throw badUf2("ERR_LENGTH", offset, `it is number ${number} of ${total}, counted from 0`);
  }
  const bytes = block.subarray(DATA_AT, DATA_AT + size);
  if (flags & FLAGS.md5) checkMd5(block, { address, bytes }, offset);
  return { address, bytes, flags, total, family: flags & FLAGS.family ? word(7) : undefined };
}

/**
 * The MD5 of a range is at the end of the data, or right after it, where esptool writes it when the data
 * is short. One over other bytes than the block's own says what was in flash before, or is not there.
 */
function checkMd5(block: Uint8Array, { address, bytes }: Segment, offset: number): void {
  const view = viewOf(block);
  const last = DATA_AT + DATA_SIZE - MD5_PART;
  const at = [last, DATA_AT + bytes.length].find((at) =>
    at >= DATA_AT + bytes.length && at <= last && bytes.length > 0 &&
    view.getUint32(at, true) === address && view.getUint32(at + 4, true) === bytes.length
  );
  if (at === undefined || equalBytes(md5(bytes), block.subarray(at + 8, at + MD5_PART))) return;
  throw badUf2("ERR_CHECKSUM", offset, "its MD5 does not match");
}

/** Files for several addresses are joined, each with its own numbers; blocks may be in any order. */
function checkCount(blocks: readonly Uf2Block[]): void {
  const counts = new Map<string, { total: number; found: number }>();
  for (const { family, total } of blocks) {
    const key = `${family} ${total}`;
    const count = counts.get(key) ?? { total, found: 0 };
    count.found++;
    counts.set(key, count);
  }
  for (const { total, found } of counts.values()) {
    const missing = (total - found % total) % total;
    if (missing === 0) continue;
    const message = `Cannot decode UF2: of ${countOf(found + missing, "block")} ${
      countOf(missing, "is", "are")
    } missing`;
    throw new SecureCertError("ERR_TRUNCATED", message, { offset: blocks.length * BLOCK });
  }
}

function familyOf(blocks: readonly Uf2Block[]): number | undefined {
  const families = [...new Set(blocks.map(({ family }) => family))];
  if (families.length <= 1) return families[0];
  const ours = families.filter((family) => ESPRESSIF_FAMILIES.includes(family));
  if (ours.length === 1) return ours[0];
  const list = families.slice(0, 5).map((id) => id === undefined ? "none" : `0x${id.toString(16)}`)
    .join(", ");
  const message = `Cannot decode UF2: it is for ${
    countOf(families.length, "family", "families")
  } of chips: ${list}`;
  throw new SecureCertError("ERR_UNSUPPORTED", message);
}

function badUf2(code: ErrorCode, offset: number, problem: string): SecureCertError {
  return new SecureCertError(code, `Cannot decode UF2: block at ${offset}: ${problem}`, { offset });
}
