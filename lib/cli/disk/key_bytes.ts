import { decodeUtf8 } from "../../bytes/text.ts";

/** More than the largest key in any encoding, in bytes; a larger file is not one of keys. */
export const MOST_KEY_FILE = 0x10000;

/** Sizes in bytes of raw eFuse keys: P-192, HMAC and P-256, P-384, and both halves for XTS-AES-256. */
const RAW_SIZES: readonly number[] = [24, 32, 48, 64];
/** What begins a Java keystore, and what begins an image, which may be as short as a key. */
const MAGIC = { jks: [0xFE, 0xED, 0xFE, 0xED], tlv: [0x11, 0xBA, 0x5E, 0xBA] } as const;
/** The object identifiers of PKCS#5 and PKCS#12 encryption begin so: 1.2.840.113549.1.5 and .12. */
const ENCRYPTION = /^06[0-9a-f]{2}2a864886f70d01(05|0c)/;

/** Whether bytes are a private key, in any encoding, or may be an eFuse key. */
export function areKey(bytes: Uint8Array): boolean {
  if (bytes.length > MOST_KEY_FILE) return false;
  const begins = (magic: readonly number[]) => magic.every((byte, at) => bytes[at] === byte);
  if (begins(MAGIC.tlv)) return false;
  if (RAW_SIZES.includes(bytes.length) || begins(MAGIC.jks)) return true;
  const text = decodeUtf8(bytes);
  if (text !== undefined) return /PRIVATE KEY-----/.test(text) || isRawHex(text);
  return isDerKey(bytes);
}

function isRawHex(text: string): boolean {
  const digits = text.replace(/\s/g, "");
  return /^[0-9A-Fa-f]+$/.test(digits) && RAW_SIZES.includes(digits.length / 2);
}

/**
 * A sequence of all of the bytes that begins with a version of 0 to 3 (PKCS#8, PKCS#1, SEC1, PKCS#12), or
 * with how the rest is encrypted.
 */
function isDerKey(bytes: Uint8Array): boolean {
  const content = sequenceContent(bytes);
  if (content === undefined) return false;
  const isVersion = content[0] === 0x02 && content[1] === 1 && content[2]! <= 3;
  const algorithm = sequenceContent(content, true);
  return isVersion || algorithm !== undefined && ENCRYPTION.test(algorithm.subarray(0, 16).toHex());
}

/** The content of a DER sequence, which may be all of the bytes or their beginning. */
function sequenceContent(bytes: Uint8Array, hasMore = false): Uint8Array | undefined {
  const [tag, first] = bytes;
  if (tag !== 0x30 || first === undefined) return undefined;
  const octets = first < 0x80 ? 0 : first & 0x7F;
  if (octets > 3) return undefined;
  const start = 2 + octets;
  const length = octets === 0
    ? first
    : bytes.subarray(2, start).reduce((sum, byte) => sum << 8 | byte, 0);
  const end = start + length;
  return end === bytes.length || hasMore && end < bytes.length
    ? bytes.subarray(start, end)
    : undefined;
}
