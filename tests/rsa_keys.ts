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

/**
 * From now on in this file's tests, where RSA keys are made, those of the vectors are taken in turn, for
 * tests of commands that make one and are not about that.
 */
export function takeRsaKeysFromVectors(): void {
  const { generateKey } = crypto.subtle;
  let taken = 0;
  crypto.subtle.generateKey = async function (...args: unknown[]): Promise<CryptoKeyPair> {
    const [algorithm, isExtractable, usages] = args as Parameters<typeof importPair>;
    if (!Object.hasOwn(COUNTS, algorithm.modulusLength)) {
      return await Reflect.apply(generateKey, crypto.subtle, args);
    }
    return await importPair(algorithm, isExtractable, usages, taken++);
  } as typeof generateKey;
}

async function importPair(
  algorithm: RsaHashedKeyGenParams,
  isExtractable: boolean,
  usages: readonly KeyUsage[],
  taken = 0,
): Promise<CryptoKeyPair> {
  const bits = algorithm.modulusLength as RsaBits;
  const pkcs8 = rsaPkcs8(bits, taken % COUNTS[bits] + 1);
  const { publicKey: spki } = await importPrivateKey(pkcs8);
  const [privateUses, publicUses] = [["sign", "decrypt"], ["verify", "encrypt"]].map((uses) =>
    usages.filter((usage) => uses.includes(usage))
  );
  const [privateKey, publicKey] = await Promise.all([
    crypto.subtle.importKey("pkcs8", pkcs8, algorithm, isExtractable, privateUses!),
    crypto.subtle.importKey("spki", new Uint8Array(spki), algorithm, true, publicUses!),
  ]);
  return { privateKey, publicKey };
}
