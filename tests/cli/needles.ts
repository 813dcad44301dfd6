/** Looks for keys, in any notation, in what a command prints or leaves behind. */
import { assertEquals } from "@std/assert";
import type { PrivateKey } from "../../mod.ts";
import { childrenOf, readDer, unsignedOf } from "../../lib/crypto/der.ts";
import { decodeKeyParts } from "../../lib/crypto/keys/encoding.ts";

/** So many bytes of a secret number are found wherever they are; twelve come by no chance. */
const WINDOW = 12;

/** What of a key must be nowhere: a secret number in a notation. */
export interface Needle {
  readonly name: string;
  /** Whether a text, in one of its forms, has it. */
  isIn(hay: Hay): boolean;
}

/** A text or a file in the forms in which it is searched. */
export interface Hay {
  /** A character for each byte. */
  readonly bytes: string;
  /** Hex digits and commas in lower case, without what may be between two bytes. */
  readonly hex: string;
  /** Base64's digits, without line breaks, real or escaped, and quotes; not url-safe. */
  readonly base64: string;
  /** Without white space. */
  readonly plain: string;
}

/** The needles of private keys, and of raw ones such as HMAC keys. */
export function needlesOf(...keys: readonly (PrivateKey | Uint8Array)[]): Needle[] {
  return keys.flatMap((key) => key instanceof Uint8Array ? [key] : secretNumbers(key))
    .flatMap(notations);
}

/** Fails when a needle is in a text or in bytes. */
export function assertNone(
  needles: readonly Needle[],
  where: string | Uint8Array,
  what: string,
): void {
  const hay = hayOf(where);
  const found = needles.filter((needle) => needle.isIn(hay)).map(({ name }) => name);
  assertEquals(found, [], what);
}

/** Whether a needle is in a text or in bytes. */
export function hasKey(needles: readonly Needle[], where: string | Uint8Array): boolean {
  const hay = hayOf(where);
  return needles.some((needle) => needle.isIn(hay));
}

/** Of RSA all numbers but the public ones: version, modulus and exponent come first. */
function secretNumbers(key: PrivateKey): Uint8Array[] {
  const parts = decodeKeyParts(key.pkcs8);
  if (parts.type === "ec") return [parts.scalar];
  return childrenOf(readDer(parts.pkcs1, "key")).slice(3).map(unsignedOf);
}

function notations(secret: Uint8Array): Needle[] {
  const windows: Uint8Array[] = [];
  for (let at = 0; at + WINDOW <= secret.length; at += WINDOW / 2) {
    windows.push(secret.subarray(at, at + WINDOW));
  }
  // Three ways in which a byte falls among the digits of base64.
  const base64 = windows.map((window) =>
    [0, 1, 2].map((skip) => window.subarray(skip, skip + 9).toBase64())
  );
  const decimals = windows.map((window) => [...window].join(","));
  const number = BigInt(`0x${secret.toHex()}`).toString();
  return [
    { name: "bytes", isIn: ({ bytes }) => windows.some((each) => bytes.includes(latin1(each))) },
    { name: "hex", isIn: ({ hex }) => windows.some((each) => hex.includes(each.toHex())) },
    {
      name: "base64",
      isIn: (hay) => base64.some((ways) => ways.some((way) => hay.base64.includes(way))),
    },
    { name: "decimal", isIn: ({ plain }) => plain.includes(number) },
    { name: "list of bytes", isIn: ({ plain }) => decimals.some((each) => plain.includes(each)) },
  ];
}

function hayOf(where: string | Uint8Array): Hay {
  const bytes = latin1(typeof where === "string" ? new TextEncoder().encode(where) : where);
  return {
    bytes,
    hex: bytes.toLowerCase().replace(/0x|\\x|[\s:,"'-]/g, ""),
    base64: bytes.replace(/\\[rn]|[\s"',\\]/g, "").replaceAll("-", "+").replaceAll("_", "/"),
    plain: bytes.replace(/\s/g, ""),
  };
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }
  return text;
}
