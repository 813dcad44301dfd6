import { countOf, type ErrorCode, SecureCertError } from "../../bytes/errors.ts";
import { type FlashMemory, flashMemory, type FlashPart } from "./memory.ts";

const COLON = 0x3A;
const CR = 0x0D;
const LF = 0x0A;
/** Bytes of a record beside its data: length, address (2), type and checksum. */
const FRAME = 5;
const DATA_AT = 4;
const LONGEST = FRAME + 0xFF;
const DECODING = "Cannot decode Intel HEX";
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
  const memory = flashMemory(DECODING);
  let base: Base = { address: 0, isLinear: false };
  let isEnded = false;
  let line = 1;
  // One for all records: a file of 64 MiB may have five million.
  const record = new Uint8Array(LONGEST);
  for (let at = 0; at < file.length;) {
    if (isSpace(file[at])) {
      if (endsLine(file, at)) line++;
      at++;
      continue;
    }
    const start = at;
    at = readDigits(file, start, record, line);
    const length = checkRecord(record, (at - start - 1) / 2, line);
    if (isEnded) {
      throw badHex("ERR_STRAY_BYTES", line, "there is more after the record that ends it");
    }
    const type = record[3]!;
    if (type === TYPE.data) writeData(memory, base, record, length);
    else if (type === TYPE.end) isEnded = true;
    else base = baseOf(record) ?? base;
  }
  if (!isEnded) {
    const message = `${DECODING}: it ends without the record that should end it`;
    throw new SecureCertError("ERR_TRUNCATED", message, { offset: file.length });
  }
  return memory.part();
}

/** What the addresses of records count from. */
interface Base {
  readonly address: number;
  /** Whether addresses go on after 64 KiB; within a segment they continue at its start. */
  readonly isLinear: boolean;
}

/** The base that a record sets; undefined for one that sets none. */
function baseOf(record: Uint8Array): Base | undefined {
  const isLinear = record[3] === TYPE.linearBase;
  if (!isLinear && record[3] !== TYPE.segmentBase) return undefined;
  const value = record[DATA_AT]! << 8 | record[DATA_AT + 1]!;
  return { address: value * (isLinear ? SEGMENT_SIZE : 16), isLinear };
}

function writeData(
  memory: FlashMemory,
  { address: base, isLinear }: Base,
  record: Uint8Array,
  length: number,
): void {
  if (length === 0) return;
  const address = record[1]! << 8 | record[2]!;
  const end = DATA_AT + length;
  const room = isLinear ? length : Math.min(length, SEGMENT_SIZE - address);
  memory.write(base + address, record.subarray(DATA_AT, DATA_AT + room));
  if (room < length) memory.write(base, record.subarray(DATA_AT + room, end));
}

/**
 * The bytes that the digits of a record say, up to the longest that there is; of what is longer, only the
 * length counts.
 *
 * @returns Where the record ends.
 */
function readDigits(file: Uint8Array, start: number, record: Uint8Array, line: number): number {
  if (file[start] !== COLON) throw badHex("ERR_TEXT", line, "a record begins with a colon");
  let at = start + 1;
  for (let used = 0; at < file.length && !isSpace(file[at]); used++, at += 2) {
    const byte = nibble(file[at]) << 4 | nibble(file[at + 1]);
    if (byte < 0) {
      throw badHex("ERR_TEXT", line, "there is something else than pairs of hex digits");
    }
    if (used < record.length) record[used] = byte;
  }
  return at;
}

/**
 * Checks a record.
 *
 * @param record Its bytes.
 * @param size How many they are.
 * @returns How many of them are data.
 */
function checkRecord(record: Uint8Array, size: number, line: number): number {
  const length = size === 0 ? 0 : record[0]!;
  if (size !== length + FRAME) {
    const have = Math.max(0, size - FRAME);
    throw badHex(
      "ERR_LENGTH",
      line,
      `the record says ${countOf(length, "byte")} of data, and has ${have}`,
    );
  }
  let sum = 0;
  for (let at = 0; at < size - 1; at++) sum += record[at]!;
  const [stored, computed] = [record[size - 1]!, -sum & 0xFF];
  if (stored !== computed) {
    const message = `the checksum is 0x${hex(stored)}, and should be 0x${hex(computed)}`;
    throw badHex("ERR_CHECKSUM", line, message);
  }
  const type = record[3]!;
  if (type > TYPE.startLinear) {
    throw badHex("ERR_UNSUPPORTED", line, `the record has the unknown type ${type}`);
  }
  const wanted = LENGTHS[type] ?? length;
  if (length !== wanted) {
    const message = `a record of type ${type} has ${
      countOf(wanted, "byte")
    } of data, this one ${length}`;
    throw badHex("ERR_LENGTH", line, message);
  }
  return length;
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
  return new SecureCertError(code, `${DECODING}: line ${line}: ${problem}`, { line });
}
