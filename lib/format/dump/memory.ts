import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { MAX_FLASH } from "../chips/chips.ts";

/** What a file says of a part of flash. */
export interface FlashPart {
  /** Address of the first byte. */
  readonly address: number;
  /** The bytes from there on; 0xFF where the file says nothing. */
  readonly bytes: Bytes;
}

/** Flash is kept in pieces of this many bytes, where a file says something of it. */
const PIECE_SIZE = 0x10000;
const ERASED = 0xFF;

interface Piece {
  readonly bytes: Uint8Array;
  /** A bit for each byte that a file has said. */
  readonly known: Uint8Array;
}

/** Flash that is written in any order, in memory of no more than one and a half times its largest size. */
export interface FlashMemory {
  /**
   * Writes bytes from an address on; they may overlap others where they agree.
   *
   * @throws {SecureCertError} `ERR_TOO_LARGE` when all that was written spans more than 32 MiB;
   * `ERR_STRAY_BYTES` for a second value of one address.
   */
  write(address: number, bytes: Uint8Array): void;
  /** The part from the first byte that was written to the last one, with 0xFF in the gaps. */
  part(): FlashPart;
}

/**
 * Flash of which nothing is known yet.
 *
 * @param decoding What a message begins with, such as `Cannot decode UF2`.
 */
export function flashMemory(decoding: string): FlashMemory {
  const pieces = new Map<number, Piece>();
  let [begin, end] = [Infinity, 0];
  const widen = (address: number, length: number) => {
    if (address < begin) begin = address;
    if (address + length > end) end = address + length;
    // A short file may name any two addresses.
    if (end - begin <= MAX_FLASH) return;
    const message = `${decoding}: it spans 0x${(end - begin).toString(16)} bytes, from ${
      hex(begin)
    } to ${hex(end)}; flash has at most 0x${MAX_FLASH.toString(16)}`;
    throw new SecureCertError("ERR_TOO_LARGE", message);
  };
  return {
    write(address, bytes) {
      if (bytes.length === 0) return;
      widen(address, bytes.length);
      for (let at = 0; at < bytes.length;) {
        const number = Math.floor((address + at) / PIECE_SIZE);
        const from = address + at - number * PIECE_SIZE;
        const length = Math.min(bytes.length - at, PIECE_SIZE - from);
        let piece = pieces.get(number);
        if (piece === undefined) pieces.set(number, piece = erasedPiece());
        const clash = writePiece(piece, from, bytes, at, length);
        if (clash >= 0) {
          const message = `${decoding}: two values for the address ${hex(address + clash)}`;
          throw new SecureCertError("ERR_STRAY_BYTES", message);
        }
        at += length;
      }
    },
    part() {
      const address = pieces.size === 0 ? 0 : begin;
      const bytes = new Uint8Array(end - address).fill(ERASED);
      for (const [number, piece] of pieces) {
        const at = number * PIECE_SIZE - address;
        bytes.set(piece.bytes.subarray(Math.max(0, -at), bytes.length - at), Math.max(0, at));
      }
      return { address, bytes };
    },
  };
}

function erasedPiece(): Piece {
  return {
    bytes: new Uint8Array(PIECE_SIZE).fill(ERASED),
    known: new Uint8Array(PIECE_SIZE / 8),
  };
}

/** Writes some bytes; gives the first that is another than the one that is there, or -1. */
function writePiece(
  piece: Piece,
  from: number,
  bytes: Uint8Array,
  at: number,
  length: number,
): number {
  for (let index = 0; index < length; index++) {
    const place = from + index;
    const byte = bytes[at + index]!;
    const bit = 1 << (place & 7);
    if ((piece.known[place >> 3]! & bit) === 0) {
      piece.known[place >> 3]! |= bit;
      piece.bytes[place] = byte;
    } else if (piece.bytes[place] !== byte) return at + index;
  }
  return -1;
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
