import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";

/** What a file says of a part of flash. */
export interface FlashPart {
  /** Address of the first byte. */
  readonly address: number;
  /** The bytes from there on; 0xFF where the file says nothing. */
  readonly bytes: Bytes;
}

/** A run of bytes and the address of its first one. */
export interface Segment {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** The largest flash that the chips address, 32 MiB: a short file may name any two addresses. */
const MAX_FLASH = 32 << 20;

const ERASED = 0xFF;

/**
 * The part of flash from the first byte that segments hold to the last one, with 0xFF in the gaps. Takes
 * time linear in their length, and sorts them.
 *
 * @param segments In any order; they may overlap where they agree.
 * @param decoding What a message begins with, such as `Cannot decode UF2`.
 * @throws {SecureCertError} `ERR_TOO_LARGE` when they span more than 32 MiB; `ERR_STRAY_BYTES` for two
 * values of one address.
 */
export function assemble(segments: readonly Segment[], decoding: string): FlashPart {
  const sorted = segments.filter(({ bytes }) => bytes.length > 0)
    .toSorted((a, b) => a.address - b.address);
  const address = sorted[0]?.address ?? 0;
  const end = sorted.reduce(
    (end, each) => Math.max(end, each.address + each.bytes.length),
    address,
  );
  if (end - address > MAX_FLASH) {
    const message = `${decoding}: it spans 0x${(end - address).toString(16)} bytes, from ${
      hex(address)
    } to ${hex(end)}; flash has at most 0x${MAX_FLASH.toString(16)}`;
    throw new SecureCertError("ERR_TOO_LARGE", message);
  }
  const bytes = new Uint8Array(end - address).fill(ERASED);
  let written = 0;
  for (const segment of sorted) {
    const at = segment.address - address;
    const known = Math.min(segment.bytes.length, written - at);
    for (let index = 0; index < known; index++) {
      if (bytes[at + index] === segment.bytes[index]) continue;
      const message = `${decoding}: two values for the address ${hex(segment.address + index)}`;
      throw new SecureCertError("ERR_STRAY_BYTES", message);
    }
    bytes.set(segment.bytes, at);
    written = Math.max(written, at + segment.bytes.length);
  }
  return { address, bytes };
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
