/** RSA keys of tests/vectors/rsa, for tests that are not about making keys, which takes seconds. */
import { importPrivateKey, type PrivateKey } from "../mod.ts";
import { vector } from "./vectors.ts";

const COUNTS = { 1024: 1, 1536: 1, 2048: 3, 3072: 3, 4096: 2 } as const;

/** A length of which there are keys, in bits. */
export type RsaBits = keyof typeof COUNTS;

/** A key in PKCS#8. They are counted from 1. */
export function rsaPkcs8(bits: RsaBits, number = 1): Uint8Array<ArrayBuffer> {
  return vector(`rsa/${bits}-${number}.pkcs8.der`);
}

/** A key. They are counted from 1. */
export function rsaKey(bits: RsaBits, number = 1): Promise<PrivateKey> {
  return importPrivateKey(rsaPkcs8(bits, number));
}
