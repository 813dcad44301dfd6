import { crc32 } from "../bytes/crc32.ts";
import { SecureCertError } from "../bytes/errors.ts";
import { take, viewOf } from "../bytes/pack.ts";
import {
  decodeSignatureEntry,
  SIGNATURE_ALGORITHMS,
  SIGNATURE_BLOCK_SIZE,
  type SignatureAlgorithm,
  type SignatureEntry,
} from "../format/signature_block.ts";

/** A signature entry as the firmware reads it. */
export interface ReadSignature extends SignatureEntry {
  /** Version of the entry's header; the firmware reads 1 alone. */
  readonly version: number;
  /** Offset of the first byte that the firmware passes over and that is not what it should be. */
  readonly oddByte?: number;
}

const HEADER_SIZE = 16;
const VERSION = 1;
const BLOCK_MAGIC = 0xE7;
const BLOCK_CRC_AT = 1196;

/**
 * The value of a signature entry as the firmware reads it: version, block and key count, the
 * algorithm, offset and reserved fields do not (FORMAT: what the device's reader does with odd images).
 *
 * @param data The entry's value.
 * @throws {SecureCertError} where the firmware refuses: `ERR_TRUNCATED`, `ERR_UNSUPPORTED`, `ERR_MAGIC`
 * or `ERR_CHECKSUM`.
 */
export function readSignature(data: Uint8Array): ReadSignature {
  const version = take(data, 0, HEADER_SIZE + 1, "signature entry")[0]!;
  if (version !== VERSION) throw refused("ERR_UNSUPPORTED", `version ${version}`, 0);
  const algorithm = signatureAlgorithmOf(data);
  if (algorithm === undefined) {
    const what = `${data[HEADER_SIZE]} is neither a curve nor the magic number of an RSA block`;
    throw refused("ERR_MAGIC", what, HEADER_SIZE);
  }
  const value = take(data, 0, signatureValueSize(algorithm), "signature entry");
  const canonical = canonicalValue(value, algorithm);
  const odd = data.findIndex((byte, at) => byte !== canonical[at]);
  return { ...decodeSignatureEntry(canonical), version, ...odd < 0 ? {} : { oddByte: odd } };
}

/** The scheme by the byte where curve or block begin; undefined for neither. */
export function signatureAlgorithmOf(data: Uint8Array): SignatureAlgorithm | undefined {
  const mark = data[HEADER_SIZE];
  if (mark === BLOCK_MAGIC) return "rsa3072";
  return ECDSA.find((name) => SIGNATURE_ALGORITHMS[name].number === mark);
}

/** Bytes of the value of a signature entry. */
export function signatureValueSize(algorithm: SignatureAlgorithm): number {
  if (algorithm === "rsa3072") return HEADER_SIZE + SIGNATURE_BLOCK_SIZE;
  return HEADER_SIZE + 1 + 4 * SIGNATURE_ALGORITHMS[algorithm].size;
}

const ECDSA = ["ecdsa192", "ecdsa256", "ecdsa384"] as const;

/** The value with the fields that the firmware passes over as they should be. */
function canonicalValue(value: Uint8Array, algorithm: SignatureAlgorithm): Uint8Array {
  const canonical = new Uint8Array(value);
  canonical.fill(0, 1, 8).fill(0, 12, HEADER_SIZE);
  canonical[12] = SIGNATURE_ALGORITHMS[algorithm].number;
  if (algorithm !== "rsa3072") return canonical;
  const block = canonical.subarray(HEADER_SIZE);
  const crc = crc32(block.subarray(0, BLOCK_CRC_AT));
  if (viewOf(block).getUint32(BLOCK_CRC_AT, true) !== crc) {
    const what = "the checksum of the block does not match";
    throw refused("ERR_CHECKSUM", what, HEADER_SIZE + BLOCK_CRC_AT);
  }
  block.fill(0, 2, 4).fill(0, BLOCK_CRC_AT + 4);
  viewOf(block).setUint32(BLOCK_CRC_AT, crc32(block.subarray(0, BLOCK_CRC_AT)), true);
  return canonical;
}

function refused(
  code: SecureCertError["code"],
  problem: string,
  offset: number,
): SecureCertError {
  return new SecureCertError(code, `Cannot decode signature entry: ${problem}`, { offset });
}
