import { type ErrorCode, SecureCertError } from "../../bytes/errors.ts";
import { assemble, type FlashPart, type Segment } from "./memory.ts";

const COLON = 0x3A;
const CR = 0x0D;
const LF = 0x0A;
/** Bytes of a record beside its data: length, address (2), type and checksum. */
const FRAME = 5;
const SEGMENT_SIZE = 0x10000;

/** Types of records. */
const TYPE = { data: 0, end: 1, segmentBase: 2, startSegment: 3, linearBase: 4, startLinear: 5 };
/** Bytes of data in a record of a type; those of data may have any number. */
const LENGTHS: Readonly<Record<number, number>> = {
  [TYPE.end]: 0,
  [TYPE.segmentBase]: 2,
  [TYPE.startSegment]: 4,
  [TYPE.linearBase]: 2,
  [TYPE.startLinear]: 4,
};

/** Whether a file begins as Intel HEX does: a colon and the ten digits of the shortest record. */
export function looksLikeIntelHex(file: Uint8Array): boolean {
  let at = 0;
  while (isSpace(file[at])) at++;
  if (file[at] !== COLON) return false;
  for (let digit = 1; digit <= 2 * FRAME; digit++) if (nibble(file[at + digit]) < 0) return false;
  return true;
}

/**
 * What an Intel HEX file says of flash (Intel, Hexadecimal Object File Format Specification, 1988): the
 * addresses are those of flash, as esptool and objcopy write them, in 8, 16 or 32 bits. Records that say
 * where a program starts are skipped. Takes time linear in the length of the file.
 *
 * @throws {SecureCertError} with the line: `ERR_TEXT` for what is not a record, `ERR_LENGTH` for one that
 * is too short or too long for its type, `ERR_CHECKSUM`, `ERR_UNSUPPORTED` for an unknown type;
 * `ERR_TRUNCATED` without a record that ends the file, `ERR_STRAY_BYTES` for anything after it or two
 * values for one address; `ERR_TOO_LARGE` for more than 32 MiB from the first byte to the last.
 */
export function decodeIntelHex(file: Uint8Array): FlashPart {
  const segments: Segment[] = [];
  let base = 0;
  let isLinear = false;
  let isEnded = false;
  for (const record of records(file)) {
    const { line, type, address, data } = record;
    if (isEnded) {
      throw badHex("ERR_STRAY_BYTES", line, "there is more after the record that ends it");
    }
    const value = data.length < 2 ? 0 : data[0]! << 8 | data[1]!;
    if (type === TYPE.data) {
      segments.push(...placed(base, address, data, isLinear));
    } else if (type === TYPE.end) isEnded = true;
    else if (type === TYPE.segmentBase || type === TYPE.linearBase) {
      isLinear = type === TYPE.linearBase;
      base = value * (isLinear ? SEGMENT_SIZE : 16);
    }
  }
  if (!isEnded) {
    const message = "Cannot decode Intel HEX: it ends without the record that should end it";
    throw new SecureCertError("ERR_TRUNCATED", message, { offset: file.length });
  }
  return assemble(segments, "Cannot decode Intel HEX");
}

/** Within a segment addresses have 16 bits, and continue at its start after its end. */
function placed(base: number, address: number, data: Uint8Array, isLinear: boolean): Segment[] {
  const room = isLinear ? data.length : SEGMENT_SIZE - address;
  return [
    { address: base + address, bytes: data.subarray(0, room) },
    { address: base, bytes: data.subarray(room) },
  ];
}

interface HexRecord {
  /** From 1. */
  readonly line: number;
  readonly type: number;
  readonly address: number;
  readonly data: Uint8Array;
}

/** The records of a file, a line each. */
function* records(file: Uint8Array): Generator<HexRecord> {
  // Digits are twice as many as the bytes that they mean.
  const decoded = new Uint8Array(file.length >> 1);
  let used = 0;
  let line = 1;
  for (let at = 0; at < file.length;) {
    if (isSpace(file[at])) {
      if (endsLine(file, at)) line++;
      at++;
      continue;
    }
    if (file[at] !== COLON) throw badHex("ERR_TEXT", line, "a record begins with a colon");
    const from = used;
    for (at++; at < file.length && !isSpace(file[at]); at += 2) {
      const byte = nibble(file[at]) << 4 | nibble(file[at + 1]);
      if (byte < 0) {
        throw badHex("ERR_TEXT", line, "there is something else than pairs of hex digits");
      }
      decoded[used++] = byte;
    }
    yield readRecord(decoded.subarray(from, used), line);
  }
}

function readRecord(bytes: Uint8Array, line: number): HexRecord {
  const [length = 0, high = 0, low = 0, type = 0] = bytes;
  if (bytes.length !== length + FRAME) {
    const have = Math.max(0, bytes.length - FRAME);
    throw badHex("ERR_LENGTH", line, `the record says ${length} bytes of data, and has ${have}`);
  }
  const sum = bytes.subarray(0, -1).reduce((sum, byte) => sum + byte, 0);
  const [stored, computed] = [bytes.at(-1)!, -sum & 0xFF];
  if (stored !== computed) {
    const message = `the checksum is 0x${hex(stored)}, and should be 0x${hex(computed)}`;
    throw badHex("ERR_CHECKSUM", line, message);
  }
  if (type > TYPE.startLinear) {
    throw badHex("ERR_UNSUPPORTED", line, `the record has the unknown type ${type}`);
  }
  const wanted = LENGTHS[type] ?? length;
  if (length !== wanted) {
    const message = `a record of type ${type} has ${wanted} bytes of data, this one ${length}`;
    throw badHex("ERR_LENGTH", line, message);
  }
  return { line, type, address: high << 8 | low, data: bytes.subarray(4, -1) };
}

/** Line breaks are LF, CR LF or CR. */
function endsLine(file: Uint8Array, at: number): boolean {
  return file[at] === LF || file[at] === CR && file[at + 1] !== LF;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === CR || byte === LF;
}

/** The value of a hexadecimal digit; -1 for another byte. */
function nibble(digit = 0): number {
  if (digit >= 0x30 && digit <= 0x39) return digit - 0x30;
  const letter = digit | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function badHex(code: ErrorCode, line: number, problem: string): SecureCertError {
  return new SecureCertError(code, `Cannot decode Intel HEX: line ${line}: ${problem}`, { line });
}
