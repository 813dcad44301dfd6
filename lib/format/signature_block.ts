import {
  decodeBigInteger,
  encodeBigInteger,
  montgomeryFactor,
  montgomeryInverse,
} from "../bytes/big_integer.ts";
import { crc32 } from "../bytes/crc32.ts";
import { countOf, SecureCertError } from "../bytes/errors.ts";
import { type Bytes, concat, take, viewOf } from "../bytes/pack.ts";

/** Bytes of a secure-boot-v2 signature block (FORMAT: Secure Boot v2 block). */
const SIGNATURE_BLOCK_SIZE = 1216;

/** A scheme that a partition can be signed with: RSA-3072, or ECDSA on P-192, P-256 or P-384. */
export type SignatureAlgorithm = SignatureKey["algorithm"];

/**
 * The schemes, and what sets them apart (FORMAT: Secure Boot v2 block; signature entry). `number` is the
 * entry's algorithm byte and, for ECDSA, as curve id; `size` is the length in bytes of the modulus or of
 * one coordinate; `digest` that of the hash; `slot` that of the block's fields for a point and for a
 * signature.
 */
export const SIGNATURE_ALGORITHMS = {
  rsa3072: { number: 0, size: 384, digest: 32, slot: 384, hash: "SHA-256" },
  ecdsa192: { number: 1, size: 24, digest: 32, slot: 64, hash: "SHA-256" },
  ecdsa256: { number: 2, size: 32, digest: 32, slot: 64, hash: "SHA-256" },
  ecdsa384: { number: 3, size: 48, digest: 48, slot: 96, hash: "SHA-384" },
} as const satisfies Record<SignatureAlgorithm, unknown>;

/**
 * A public key that signatures of a partition verify against, numbers big-endian: an EC key with its
 * point, or an RSA-3072 key. R = 2^6144 mod n and M' = -n^-1 mod 2^32, which the chip's multiplier
 * needs, are computed when they are left out; decoders always give them.
 *
 * @category Signatures
 */
export type SignatureKey =
  | {
    readonly algorithm: "rsa3072";
    /** Modulus, 384 bytes. */
    readonly n: Uint8Array;
    /** Public exponent, 32 bits. */
    readonly e: number;
    /** R = 2^6144 mod n, 384 bytes. @default computed */
    readonly rinv?: Uint8Array;
    /** M' = -n^-1 mod 2^32. @default computed */
    readonly mPrime?: number;
  }
  | {
    readonly algorithm: "ecdsa192" | "ecdsa256" | "ecdsa384";
    /** First coordinate, 24, 32 or 48 bytes. */
    readonly x: Uint8Array;
    /** Second coordinate, as long. */
    readonly y: Uint8Array;
  };

/** The public key of an RSA-3072 signature. */
export type RsaSignatureKey = Extract<SignatureKey, { readonly algorithm: "rsa3072" }>;
/** The public key of an ECDSA signature. */
export type EcdsaSignatureKey = Exclude<SignatureKey, RsaSignatureKey>;

/** One secure-boot-v2 signature block. */
export type SignatureBlock = ReturnType<typeof decodeSignatureBlock>;

/** The value of a signature entry (type 8). */
type SignatureEntry = Parameters<typeof encodeSignatureEntry>[0];

/** A signature entry as the firmware reads it. */
export interface ReadSignature extends SignatureEntry {
  /** Version of the entry's header; the firmware reads only 1. */
  readonly version: number;
  /** Offset of the first byte that the firmware skips and that is not what it should be. */
  readonly oddByte?: number;
}

/** The firmware looks at this many signatures, subtypes 0 to 2 (FORMAT: signature entry). */
export const MAX_SIGNATURES = 3;

const MAGIC = 0xE7;
const RSA_VERSION = 2;
const ECDSA_VERSION = 3;
const KEY_AT = 36;
const CRC_AT = 1196;
const ENTRY_VERSION = 1;
const ENTRY_HEADER_SIZE = 16;

/**
 * An RSA key as a block holds it, from its modulus of 384 bytes, big-endian, and its public exponent:
 * with R = 2^6144 mod n and M' = -n^-1 mod 2^32 (FORMAT: Secure Boot v2 block).
 *
 * @throws {SecureCertError} `ERR_KEY` unless the modulus is odd and has 3072 bits.
 */
export function rsaSignatureKey(n: Uint8Array, e: number): {
  readonly algorithm: "rsa3072";
  readonly n: Uint8Array;
  readonly e: number;
  readonly rinv: Bytes;
  readonly mPrime: number;
} {
  if (n.length !== 384 || n[0]! < 0x80 || n[383]! % 2 === 0) {
    throw new SecureCertError(
      "ERR_KEY",
      "Cannot use RSA key: the modulus must be odd and have 3072 bits",
    );
  }
  const modulus = decodeBigInteger(n);
  const rinv = encodeBigInteger(montgomeryFactor(modulus, 3072), 384);
  return { algorithm: "rsa3072", n, e, rinv, mPrime: montgomeryInverse(modulus) };
}

/**
 * The bytes whose SHA-256 the chip keeps in SECURE_BOOT_DIGESTn (FORMAT: Secure Boot v2 block).
 *
 * @param key The public key.
 * @returns RSA: n, e, R, M', 776 bytes. P-192 and P-256: curve id and point, 65 bytes. P-384: 97.
 * Numbers are little-endian.
 * @throws {RangeError} when a number has the wrong length.
 * @throws {SecureCertError} as {@linkcode rsaSignatureKey} when R or M' must be computed.
 */
export function publicKeyDigestInput(key: SignatureKey): Bytes {
  if (key.algorithm === "rsa3072") {
    const n = sized(key.n, 384, "n");
    const { rinv = rsaSignatureKey(n, key.e).rinv, mPrime = rsaSignatureKey(n, key.e).mPrime } =
      key;
    return concat(
      reversed(n),
      u32(key.e, "e"),
      reversed(sized(rinv, 384, "rinv")),
      u32(mPrime, "M'"),
    );
  }
  const { number, slot } = SIGNATURE_ALGORITHMS[key.algorithm];
  return concat(Uint8Array.of(number), padded(point(key), slot));
}

/**
 * The 1216 bytes of a secure boot v2 signature block (FORMAT: Secure Boot v2 block), numbers
 * little-endian: magic u8 | version u8 | SHA version u8 | 0 | digest | key | signature | zeros | CRC-32
 * u32 | 0 x 16.
 *
 * @category Signatures
 * @throws {SecureCertError} `ERR_KEY` for an RSA modulus that is even or has no 3072 bits; `RangeError`
 * for a number of the wrong length.
 */
export function encodeSignatureBlock(block: {
  /** The public key. */
  readonly key: SignatureKey;
  /** Hash of what is signed: SHA-256, 32 bytes, or for P-384 SHA-384, 48 bytes. */
  readonly imageDigest: Uint8Array;
  /** RSA: the signature, 384 bytes, big-endian. ECDSA: r and s, each as long as a coordinate. */
  readonly signature: Uint8Array;
}): Bytes {
  const { key, imageDigest, signature } = block;
  const { digest, slot, hash } = SIGNATURE_ALGORITHMS[key.algorithm];
  const version = key.algorithm === "rsa3072" ? RSA_VERSION : ECDSA_VERSION;
  const body = concat(
    Uint8Array.of(MAGIC, version, hash === "SHA-384" ? 1 : 0, 0),
    sized(imageDigest, digest, "digest"),
    publicKeyDigestInput(key),
    padded(wireSignature(key.algorithm, signature), slot),
  );
  const bytes = padded(body, SIGNATURE_BLOCK_SIZE);
  viewOf(bytes).setUint32(CRC_AT, crc32(bytes.subarray(0, CRC_AT)), true);
  return bytes;
}

/**
 * Reads a secure boot v2 signature block of 1216 bytes. Neither the signature nor R and M' are verified.
 *
 * @category Signatures
 * @throws {SecureCertError} `ERR_TRUNCATED`, `ERR_LENGTH`, `ERR_MAGIC`, `ERR_CHECKSUM`,
 * `ERR_UNSUPPORTED` (version or curve) or `ERR_STRAY_BYTES` (a byte that must be zero).
 */
export function decodeSignatureBlock(
  bytes: Uint8Array,
): {
  readonly key: SignatureKey;
  readonly imageDigest: Uint8Array;
  readonly signature: Uint8Array;
} {
  take(bytes, 0, SIGNATURE_BLOCK_SIZE, "signature block");
  if (bytes.length !== SIGNATURE_BLOCK_SIZE) {
    throw bad(
      "ERR_LENGTH",
      `${countOf(bytes.length, "byte")}, a block has ${SIGNATURE_BLOCK_SIZE}`,
    );
  }
  if (bytes[0] !== MAGIC) throw bad("ERR_MAGIC", "no magic number", 0);
  if (viewOf(bytes).getUint32(CRC_AT, true) !== crc32(bytes.subarray(0, CRC_AT))) {
    throw bad("ERR_CHECKSUM", "checksum does not match", CRC_AT);
  }
  const block = readBlock(bytes);
  const again = encodeSignatureBlock(block);
  const wrong = bytes.findIndex((byte, at) => byte !== again[at]);
  if (wrong >= 0) throw bad("ERR_STRAY_BYTES", `byte at ${wrong} must be zero`, wrong);
  return block;
}

/**
 * The value of a signature entry (FORMAT: signature entry), numbers little-endian: version u8 | 0 x 3 |
 * offset u32 = 0 | signed length u32 | algorithm u8 | 0 x 3 | RSA: the whole block; ECDSA: curve id u8 |
 * point | r | s. RSA takes 1232 bytes, P-192 113, P-256 145, P-384 209.
 *
 * @category Signatures
 * @throws {SecureCertError} as {@linkcode encodeSignatureBlock}; `RangeError` for a number out of range
 * or of the wrong length; `TypeError` for an RSA entry without its digest, or another entry with one.
 */
export function encodeSignatureEntry(entry: {
  /** Bytes from the start of the partition that are signed, 32 bits. The firmware ignores it. */
  readonly signedLength: number;
  /** The public key. */
  readonly key: SignatureKey;
  /** RSA: the signature, 384 bytes, big-endian. ECDSA: r and s, each as long as a coordinate. */
  readonly signature: Uint8Array;
  /** SHA-256 of what is signed, 32 bytes; RSA entries hold it and others do not. */
  readonly imageDigest?: Uint8Array;
}): Bytes {
  const { key, signature, imageDigest } = entry;
  const { number } = SIGNATURE_ALGORITHMS[key.algorithm];
  const head = new Uint8Array(ENTRY_HEADER_SIZE);
  head.set([ENTRY_VERSION]);
  head.set(u32(entry.signedLength, "signed length"), 8);
  head.set([number], 12);
  if (key.algorithm === "rsa3072") {
    if (!imageDigest) throw new TypeError("Cannot encode signature entry: RSA needs a digest");
    return concat(head, encodeSignatureBlock({ key, imageDigest, signature }));
  }
  if (imageDigest) throw new TypeError("Cannot encode signature entry: ECDSA holds no digest");
  return concat(head, Uint8Array.of(number), point(key), wireSignature(key.algorithm, signature));
}

/**
 * Reads the value of a signature entry, 1232, 113, 145 or 209 bytes. Nothing is verified.
 *
 * @category Signatures
 * @throws {SecureCertError} `ERR_TRUNCATED`, `ERR_LENGTH`, `ERR_UNSUPPORTED` (version, algorithm or
 * curve), `ERR_STRAY_BYTES` (a byte that must be zero), or as {@linkcode decodeSignatureBlock}; offsets
 * count from the start of the value.
 */
export function decodeSignatureEntry(data: Uint8Array): {
  readonly signedLength: number;
  readonly key: SignatureKey;
  readonly signature: Uint8Array;
  readonly imageDigest?: Uint8Array;
} {
  const head = take(data, 0, ENTRY_HEADER_SIZE, "signature entry");
  if (head[0] !== ENTRY_VERSION) throw badEntry("ERR_UNSUPPORTED", "unknown version", 0);
  const algorithm = algorithmOf(head[12]!);
  if (!algorithm) throw badEntry("ERR_UNSUPPORTED", "unknown algorithm", 12);
  const stray = head.findIndex((byte, at) =>
    byte !== 0 && at !== 0 && at !== 12 && (at < 8 || at > 11)
  );
  if (stray >= 0) throw badEntry("ERR_STRAY_BYTES", `byte at ${stray} must be zero`, stray);
  const signedLength = viewOf(head).getUint32(8, true);
  const rest = data.subarray(ENTRY_HEADER_SIZE);
  if (algorithm !== "rsa3072") {
    return { signedLength, ...afterHeader(() => readCompact(rest, algorithm)) };
  }
  const block = afterHeader(() => decodeSignatureBlock(rest));
  if (block.key.algorithm === algorithm) return { signedLength, ...block };
  throw badEntry("ERR_UNSUPPORTED", "block is not one of RSA", ENTRY_HEADER_SIZE + 1);
}

/**
 * The value of a signature entry as the firmware reads it: version, block and key count, the
 * algorithm, offset and reserved fields do not (FORMAT: what the device's reader does with odd images).
 *
 * @param data The entry's value.
 * @throws {SecureCertError} where the firmware refuses: `ERR_TRUNCATED`, `ERR_UNSUPPORTED`, `ERR_MAGIC`
 * or `ERR_CHECKSUM`.
 */
export function readSignature(data: Uint8Array): ReadSignature {
  const version = take(data, 0, ENTRY_HEADER_SIZE + 1, "signature entry")[0]!;
  if (version !== ENTRY_VERSION) throw badEntry("ERR_UNSUPPORTED", `version ${version}`, 0);
  const algorithm = signatureAlgorithmOf(data);
  if (algorithm === undefined) {
    const what = `${
      data[ENTRY_HEADER_SIZE]
    } is neither a curve nor the magic number of an RSA block`;
    throw badEntry("ERR_MAGIC", what, ENTRY_HEADER_SIZE);
  }
  const value = take(data, 0, signatureValueSize(algorithm), "signature entry");
  const canonical = canonicalValue(value, algorithm);
  const odd = data.findIndex((byte, at) => byte !== canonical[at]);
  return { ...decodeSignatureEntry(canonical), version, oddByte: odd < 0 ? undefined : odd };
}

/** The scheme by the byte where curve or block begin; undefined for neither. */
export function signatureAlgorithmOf(data: Uint8Array): SignatureAlgorithm | undefined {
  const mark = data[ENTRY_HEADER_SIZE];
  if (mark === MAGIC) return "rsa3072";
  const algorithm = mark === undefined ? undefined : algorithmOf(mark);
  return algorithm === "rsa3072" ? undefined : algorithm;
}

/** Bytes of the value of a signature entry. */
export function signatureValueSize(algorithm: SignatureAlgorithm): number {
  if (algorithm === "rsa3072") return ENTRY_HEADER_SIZE + SIGNATURE_BLOCK_SIZE;
  return ENTRY_HEADER_SIZE + 1 + 4 * SIGNATURE_ALGORITHMS[algorithm].size;
}

/** The value with the fields that the firmware skips as they should be. */
function canonicalValue(value: Uint8Array, algorithm: SignatureAlgorithm): Uint8Array {
  const canonical = new Uint8Array(value);
  canonical.fill(0, 1, 8).fill(0, 12, ENTRY_HEADER_SIZE);
  canonical[12] = SIGNATURE_ALGORITHMS[algorithm].number;
  if (algorithm !== "rsa3072") return canonical;
  const block = canonical.subarray(ENTRY_HEADER_SIZE);
  const crc = crc32(block.subarray(0, CRC_AT));
  if (viewOf(block).getUint32(CRC_AT, true) !== crc) {
    const what = "the checksum of the block does not match";
    throw badEntry("ERR_CHECKSUM", what, ENTRY_HEADER_SIZE + CRC_AT);
  }
  block.fill(0, 2, 4).fill(0, CRC_AT + 4);
  viewOf(block).setUint32(CRC_AT, crc32(block.subarray(0, CRC_AT)), true);
  return canonical;
}

function readBlock(bytes: Uint8Array): SignatureBlock {
  const version = bytes[1]!;
  if (version === RSA_VERSION) return readRsaBlock(bytes);
  if (version !== ECDSA_VERSION) throw bad("ERR_UNSUPPORTED", "unknown version", 1);
  const digest = bytes[2] === 1 ? 48 : 32;
  const at = 4 + digest;
  const algorithm = algorithmOf(bytes[at]!);
  if (!algorithm || algorithm === "rsa3072" || SIGNATURE_ALGORITHMS[algorithm].digest !== digest) {
    throw bad("ERR_UNSUPPORTED", "unknown curve", at);
  }
  const { slot } = SIGNATURE_ALGORITHMS[algorithm];
  return {
    key: readPoint(bytes, at + 1, algorithm),
    imageDigest: bytes.slice(4, at),
    signature: readScalars(bytes, at + 1 + slot, algorithm),
  };
}

function readRsaBlock(bytes: Uint8Array): SignatureBlock {
  const view = viewOf(bytes);
  const number = (at: number) => reversed(bytes.subarray(at, at + 384));
  const key: RsaSignatureKey = {
    algorithm: "rsa3072",
    n: number(KEY_AT),
    e: view.getUint32(420, true),
    rinv: number(424),
    mPrime: view.getUint32(808, true),
  };
  return { key, imageDigest: bytes.slice(4, KEY_AT), signature: number(812) };
}

function readCompact(
  rest: Uint8Array,
  algorithm: EcdsaSignatureKey["algorithm"],
): Pick<SignatureBlock, "key" | "signature"> {
  const { number, size } = SIGNATURE_ALGORITHMS[algorithm];
  const length = 1 + 4 * size;
  take(rest, 0, length, "signature entry");
  if (rest.length !== length) {
    const have = ENTRY_HEADER_SIZE + rest.length;
    throw badEntry(
      "ERR_LENGTH",
      `${countOf(have, "byte")}, ${algorithm} has ${ENTRY_HEADER_SIZE + length}`,
    );
  }
  if (rest[0] !== number) throw badEntry("ERR_UNSUPPORTED", "wrong curve");
  return {
    key: readPoint(rest, 1, algorithm),
    signature: readScalars(rest, 1 + 2 * size, algorithm),
  };
}

function readPoint(
  bytes: Uint8Array,
  at: number,
  algorithm: EcdsaSignatureKey["algorithm"],
): EcdsaSignatureKey {
  const { size } = SIGNATURE_ALGORITHMS[algorithm];
  const number = (from: number) => reversed(bytes.subarray(from, from + size));
  return { algorithm, x: number(at), y: number(at + size) };
}

function readScalars(bytes: Uint8Array, at: number, algorithm: SignatureAlgorithm): Bytes {
  return wireSignature(
    algorithm,
    bytes.subarray(at, at + 2 * SIGNATURE_ALGORITHMS[algorithm].size),
  );
}

/** Big-endian to little-endian and back: each of the numbers is reversed on its own. */
function wireSignature(algorithm: SignatureAlgorithm, signature: Uint8Array): Bytes {
  const { size } = SIGNATURE_ALGORITHMS[algorithm];
  if (algorithm === "rsa3072") return reversed(sized(signature, size, "signature"));
  sized(signature, 2 * size, "signature");
  return concat(reversed(signature.subarray(0, size)), reversed(signature.subarray(size)));
}

function point({ algorithm, x, y }: EcdsaSignatureKey): Bytes {
  const { size } = SIGNATURE_ALGORITHMS[algorithm];
  return concat(reversed(sized(x, size, "x")), reversed(sized(y, size, "y")));
}

function algorithmOf(number: number): SignatureAlgorithm | undefined {
  const names = Object.keys(SIGNATURE_ALGORITHMS) as SignatureAlgorithm[];
  return names.find((name) => SIGNATURE_ALGORITHMS[name].number === number);
}

function reversed(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes).reverse();
}

function padded(bytes: Uint8Array, length: number): Bytes {
  return concat(bytes, new Uint8Array(length - bytes.length));
}

function sized(bytes: Uint8Array, length: number, what: string): Uint8Array {
  if (bytes.length === length) return bytes;
  throw new RangeError(`Cannot encode signature: ${what} must be ${countOf(length, "byte")}`);
}

function u32(value: number, what: string): Bytes {
  if (!Number.isInteger(value) || value < 0 || value > 0xFFFFFFFF) {
    throw new RangeError(`Cannot encode signature: ${what} must be a 32-bit number`);
  }
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

/** Moves an error from its place after the header to that in the entry. */
function afterHeader<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    const offset = ENTRY_HEADER_SIZE + (error.place.offset ?? 0);
    throw new SecureCertError(error.code, error.message, { offset }, { cause: error });
  }
}

function bad(code: SecureCertError["code"], problem: string, offset = 0): SecureCertError {
  return new SecureCertError(code, `Cannot decode signature block: ${problem}`, { offset });
}

function badEntry(code: SecureCertError["code"], problem: string, offset = 0): SecureCertError {
  return new SecureCertError(code, `Cannot decode signature entry: ${problem}`, { offset });
}
