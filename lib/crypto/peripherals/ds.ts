import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat, equalBytes, isFilledWith, viewOf } from "../../bytes/pack.ts";
import { dsLayout, parseChip } from "../../format/chips/chips.ts";
import { decodeDsData, type DsData } from "../../format/peripheral.ts";
import {
  bitLength,
  decodeBigInteger,
  encodeBigInteger,
  montgomeryFactor,
  montgomeryInverse,
} from "../../bytes/big_integer.ts";
import { decodeKeyParts } from "../keys/encoding.ts";
import type { PrivateKey } from "../keys/keys.ts";
import { hmacOfWord } from "./hmac.ts";
import { randomBytes } from "../sources.ts";

/** The two sizes a DS peripheral comes in: 3072 bits take 1200 bytes of ciphertext, 4096 take 1584. */
export type DsMaxRsaBits = 3072 | 4096;

/** RSA key lengths in bits that the firmware's DS driver knows. */
const DS_RSA_BITS: readonly number[] = [1024, 2048, 3072, 4096];

/** The two numbers of an RSA private key that the DS peripheral needs. */
export type RsaNumbers = Exclude<Parameters<typeof encryptDsParameters>[0], PrivateKey>;

/** Which peripheral the ciphertext is for. */
type DsTarget = Pick<Parameters<typeof decryptDsParameters>[1], "chip" | "maxRsaBits">;

/** A decrypted DS value. */
export type DecryptedDsParameters = Awaited<ReturnType<typeof decryptDsParameters>>;

const IV_SIZE = 16;
const DIGEST_SIZE = 32;
const BOX_SIZE = DIGEST_SIZE + 16;
const PADDING = new Uint8Array(8).fill(8);
const AES_KEY_WORD = 0xFFFFFFFF;

/**
 * Bytes of ciphertext that a DS peripheral reads: three operands and a box of 48.
 *
 * @param maxRsaBits The chip's longest RSA key in bits, whatever the key's own length.
 * @returns 1200 for 3072, 1584 for 4096.
 */
function dsCiphertextSize(maxRsaBits: DsMaxRsaBits): number {
  return 3 * maxRsaBits / 8 + BOX_SIZE;
}

/**
 * Encrypts an RSA key for the DS peripheral (FORMAT: RSA-DS calculation): d | n | r-bar | SHA-256 | M
 * prime u32 | length u32 | 08 x 8, all little-endian, operands filled with zeros to the chip's size,
 * under AES-256-CBC with a key from the HMAC peripheral. The ciphertext is of 1200 or 1584 bytes.
 *
 * @category Key peripherals
 * @throws {SecureCertError} `ERR_KEY` for numbers that are not an RSA key, or a key size that the chip
 * does not take; `ERR_LENGTH` for an HMAC key that is not 32 bytes; `ERR_UNSUPPORTED` for a chip without
 * a DS peripheral; `RangeError` for an IV that is not 16 bytes, or unless there is either `chip` or
 * `maxRsaBits`.
 */
export async function encryptDsParameters(
  key: PrivateKey | {
    /** n, big-endian; leading zeros are skipped. */
    readonly modulus: Uint8Array;
    /** d, big-endian; leading zeros are skipped. */
    readonly privateExponent: Uint8Array;
  },
  options: {
    /** The key burned into the eFuse block, 32 bytes as burned. */
    readonly hmacKey: Uint8Array;
    /** The chip, a name of `CHIPS`. */
    readonly chip?: string;
    /** The chip's longest RSA key in bits, instead of `chip`. */
    readonly maxRsaBits?: 3072 | 4096;
    /** 16 bytes. One IV must never serve two keys under one HMAC key. @default random bytes */
    readonly iv?: Uint8Array;
    /** A number of random bytes. @default `crypto.getRandomValues` */
    readonly random?: (length: number) => Uint8Array;
  },
): Promise<{ readonly rsaLengthBits: number; readonly iv: Bytes; readonly ciphertext: Bytes }> {
  const maxRsaBits = dsMaxRsaBits(options);
  if (maxRsaBits === undefined) throw new RangeError("Cannot encrypt DS key: no chip given");
  const iv = options.iv === undefined
    ? randomBytes(IV_SIZE, options)
    : checkedIv(options.iv, "encrypt");
  const numbers = "pkcs8" in key ? rsaNumbers(key) : key;
  const modulus = decodeBigInteger(numbers.modulus);
  const exponent = decodeBigInteger(numbers.privateExponent);
  const rsaLengthBits = bitLength(modulus);
  checkKey(modulus, exponent, maxRsaBits);
  const parts: DsParts = {
    operands: [exponent, modulus, montgomeryFactor(modulus, rsaLengthBits)].map((operand) =>
      encodeBigInteger(operand, maxRsaBits / 8).reverse()
    ),
    tail: boxTail(montgomeryInverse(modulus), rsaLengthBits),
  };
  const digest = await dsDigest(parts, iv);
  const aesKey = await importAesKey(options.hmacKey, "encrypt");
  // PKCS#7 padding, which WebCrypto always adds, is the 08 x 8 that the format asks for: no byte more.
  const plaintext = concat(...parts.operands, digest, parts.tail);
  const ciphertext = await crypto.subtle.encrypt({ name: "AES-CBC", iv }, aesKey, plaintext);
  return { rsaLengthBits, iv, ciphertext: new Uint8Array(ciphertext) };
}

/**
 * Decrypts DS data, as stored or decoded, and checks what is in it. Without a chip, the length of the
 * ciphertext decides the layout. A wrong HMAC key is not an error: the `checks` show it.
 *
 * @category Key peripherals
 * @throws {SecureCertError} as {@linkcode decodeDsData} for stored bytes; `ERR_LENGTH` for a ciphertext
 * or key size that the chip does not take, or an HMAC key that is not 32 bytes; `ERR_UNSUPPORTED` for a
 * chip without a DS peripheral; `RangeError` for an IV that is not 16 bytes, or both `chip` and
 * `maxRsaBits`.
 */
export async function decryptDsParameters(
  stored: Uint8Array | {
    readonly rsaLengthBits: number;
    readonly iv: Uint8Array;
    readonly ciphertext: Uint8Array;
  },
  options: {
    /** The key burned into the eFuse block, 32 bytes as burned. */
    readonly hmacKey: Uint8Array;
    /** The chip, a name of `CHIPS`. */
    readonly chip?: string;
    /** The chip's longest RSA key in bits, instead of `chip`. */
    readonly maxRsaBits?: 3072 | 4096;
  },
): Promise<{
  /** n, big-endian, as many bytes as the key has. */
  readonly modulus: Bytes;
  /** d, big-endian, as many bytes as the key has. */
  readonly privateExponent: Bytes;
  /** r-bar, big-endian, as many bytes as the key has. */
  readonly rBar: Bytes;
  /** M prime, an unsigned 32-bit number. */
  readonly mPrime: number;
  /** Size of the RSA key in bits. */
  readonly rsaLengthBits: number;
  /** What is right in it. The hardware checks only the digest, and only notes the padding. */
  readonly checks: {
    /** The SHA-256 inside matches; false under another HMAC key or IV, and for changed bytes. */
    readonly digest: boolean;
    /** The last 8 bytes are 08. */
    readonly padding: boolean;
    /** The key length inside is the one outside. */
    readonly length: boolean;
    /** n is odd and has exactly the key's length, 1 < d < n, and zeros fill the operands. */
    readonly operands: boolean;
    /** r-bar is 2^(2 · key length) mod n. */
    readonly rBar: boolean;
    /** M prime is −n^(−1) mod 2^32. */
    readonly mPrime: boolean;
  };
}> {
  const dsData = stored instanceof Uint8Array ? decodeDsData(stored) : stored;
  const iv = checkedIv(dsData.iv, "decrypt");
  const maxRsaBits = layoutOf(dsData, options);
  const plaintext = await decryptCbc(dsData.ciphertext, iv, options.hmacKey);
  const size = maxRsaBits / 8;
  const operands = [0, 1, 2].map((index) => plaintext.slice(index * size, (index + 1) * size));
  const box = plaintext.subarray(3 * size);
  const parts: DsParts = { operands, tail: box.slice(DIGEST_SIZE, DIGEST_SIZE + 8) };
  const digest = equalBytes(await dsDigest(parts, iv), box.subarray(0, DIGEST_SIZE));
  const padding = equalBytes(box.subarray(BOX_SIZE - PADDING.length), PADDING);
  const [privateExponent, modulus, rBar] = operands.map((operand) =>
    operand.slice(0, dsData.rsaLengthBits / 8).reverse()
  ) as [Bytes, Bytes, Bytes];
  return {
    modulus,
    privateExponent,
    rBar,
    mPrime: viewOf(parts.tail).getUint32(0, true),
    rsaLengthBits: dsData.rsaLengthBits,
    checks: { digest, padding, ...checkParts(parts, dsData.rsaLengthBits) },
  };
}

function rsaNumbers({ pkcs8 }: PrivateKey): RsaNumbers {
  const parts = decodeKeyParts(pkcs8);
  if (parts.type === "rsa") return parts;
  throw badKey("it is not an RSA key");
}

/** What the digest covers besides the IV, little-endian. */
interface DsParts {
  /** d, n and r-bar, each as long as the peripheral's operands. */
  readonly operands: readonly Bytes[];
  /** M prime and the length word. */
  readonly tail: Bytes;
}

function boxTail(mPrime: number, rsaLengthBits: number): Bytes {
  const tail = new Uint8Array(8);
  viewOf(tail).setUint32(0, mPrime, true);
  viewOf(tail).setUint32(4, rsaLengthBits / 32 - 1, true);
  return tail;
}

async function dsDigest({ operands, tail }: DsParts, iv: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...operands, tail, iv)));
}

function checkParts(
  { operands, tail }: DsParts,
  bits: number,
): Omit<DecryptedDsParameters["checks"], "digest" | "padding"> {
  const [exponent, modulus, rBar] = operands.map((operand) =>
    decodeBigInteger(operand.slice().reverse())
  ) as [bigint, bigint, bigint];
  const odd = (modulus & 1n) === 1n;
  return {
    length: viewOf(tail).getUint32(4, true) === bits / 32 - 1,
    operands: odd && bitLength(modulus) === bits && exponent > 1n && exponent < modulus &&
      operands.every((operand) => isFilledWith(operand.subarray(bits / 8), 0)),
    rBar: odd && rBar === montgomeryFactor(modulus, bits),
    mPrime: odd && viewOf(tail).getUint32(0, true) === montgomeryInverse(modulus),
  };
}

function importAesKey(hmacKey: Uint8Array, ...usages: KeyUsage[]): Promise<CryptoKey> {
  return hmacOfWord(hmacKey, AES_KEY_WORD)
    .then((raw) => crypto.subtle.importKey("raw", raw, "AES-CBC", false, usages));
}

/**
 * AES-256-CBC without unpadding. WebCrypto only decrypts what ends in right padding, and here the
 * padding is to be checked, so one block is appended that decrypts to a full block of it: the encryption
 * of nothing, chained to the last block. This keeps the cipher native, with no package and no timing
 * of table look-ups.
 */
async function decryptCbc(
  ciphertext: Uint8Array,
  iv: Bytes,
  hmacKey: Uint8Array,
): Promise<Bytes> {
  const key = await importAesKey(hmacKey, "encrypt", "decrypt");
  const last = ciphertext.slice(-IV_SIZE);
  const nothing = new Uint8Array();
  const end = await crypto.subtle.encrypt({ name: "AES-CBC", iv: last }, key, nothing);
  const padded = concat(ciphertext, new Uint8Array(end));
  return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv }, key, padded));
}

function dsMaxRsaBits(
  { chip, maxRsaBits }: DsTarget,
): DsMaxRsaBits | undefined {
  if (chip === undefined) {
    if (maxRsaBits === undefined || maxRsaBits === 3072 || maxRsaBits === 4096) return maxRsaBits;
    throw new RangeError(`No DS peripheral takes at most ${maxRsaBits} bits: 3072 or 4096`);
  }
  if (maxRsaBits !== undefined) throw new RangeError("Give either chip or maxRsaBits, not both");
  const name = parseChip(chip);
  const layout = name && dsLayout(name);
  if (layout !== undefined) return layout.maxRsaBits;
  throw new SecureCertError("ERR_UNSUPPORTED", `Chip ${chip} has no DS peripheral`, {
    field: "chip",
  });
}

function layoutOf(dsData: DsData, options: DsTarget): DsMaxRsaBits {
  const { ciphertext, rsaLengthBits } = dsData;
  const wanted = dsMaxRsaBits(options);
  const found = ([3072, 4096] as const).find((bits) =>
    dsCiphertextSize(bits) === ciphertext.length && bits === (wanted ?? bits)
  );
  if (found === undefined) {
    const need = wanted === undefined ? "1200 or 1584" : dsCiphertextSize(wanted);
    throw badLength(
      `need ${need} bytes of ciphertext, have ${ciphertext.length}`,
      "ciphertext",
    );
  }
  if (DS_RSA_BITS.includes(rsaLengthBits) && rsaLengthBits <= found) return found;
  throw badLength(
    `RSA key length is ${rsaLengthBits} bits, the peripheral takes ${lengthsUpTo(found)}`,
    "rsaLengthBits",
  );
}

function checkKey(modulus: bigint, exponent: bigint, maxRsaBits: DsMaxRsaBits): void {
  const bits = bitLength(modulus);
  if (!DS_RSA_BITS.includes(bits) || bits > maxRsaBits) {
    throw badKey(`it has ${bits} bits, the peripheral takes ${lengthsUpTo(maxRsaBits)}`);
  }
  if ((modulus & 1n) === 0n) throw badKey("its modulus is even");
  if (exponent <= 1n || exponent >= modulus) throw badKey("its private exponent is out of range");
}

function lengthsUpTo(maxRsaBits: DsMaxRsaBits): string {
  return DS_RSA_BITS.filter((bits) => bits <= maxRsaBits).join(", ");
}

function checkedIv(iv: Uint8Array, verb: string): Bytes {
  if (iv.length === IV_SIZE) return new Uint8Array(iv);
  throw new RangeError(`Cannot ${verb} DS key: need an IV of ${IV_SIZE} bytes, have ${iv.length}`);
}

function badLength(problem: string, field: string): SecureCertError {
  return new SecureCertError("ERR_LENGTH", `Cannot decrypt DS key: ${problem}`, { field });
}

function badKey(problem: string): SecureCertError {
  return new SecureCertError("ERR_KEY", `Cannot encrypt RSA key: ${problem}`, { field: "key" });
}
