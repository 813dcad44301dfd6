import type { Bytes } from "../bytes/pack.ts";
import { CURVES, type EcCurve } from "./keys/curves.ts";
import { decodeSpki } from "./keys/encoding.ts";
import {
  decodeEcdsaSignature,
  encodeEcdsaSignature,
  hashFor,
  signBytes,
  type SigningKey,
  verifyBytes,
} from "./signing.ts";

/** Signs message after message with one key. */
export type BytesSigner = (message: Bytes) => Promise<Bytes>;
/** Judges signature after signature of one key. */
export type BytesVerifier = (message: Bytes, signature: Uint8Array) => Promise<boolean>;

/** As {@linkcode signBytes} for many messages: the key is imported once. */
export async function createSigner(key: SigningKey): Promise<BytesSigner> {
  if (key.curve !== undefined && !CURVES[key.curve].webCrypto) {
    return (message) => signBytes(key, message);
  }
  const algorithm = algorithmOf(key);
  const handle = await crypto.subtle.importKey("pkcs8", key.pkcs8, algorithm, false, ["sign"]);
  return async (message) => {
    const signature = new Uint8Array(await crypto.subtle.sign(algorithm, handle, message));
    return key.curve === undefined ? signature : encodeEcdsaSignature(signature);
  };
}

/** As {@linkcode verifyBytes} for many messages: the key is imported once. */
export async function createVerifier(spki: Bytes): Promise<BytesVerifier> {
  const key = decodeSpki(spki);
  const curve = key.type === "ec" ? key.curve : undefined;
  if (curve !== undefined && !CURVES[curve].webCrypto) {
    return (message, signature) => verifyBytes(spki, message, signature);
  }
  const algorithm = algorithmOf({ bits: key.bits, ...curve && { curve } });
  const handle = key.type === "ec"
    ? await crypto.subtle.importKey("raw", key.point, algorithm, false, ["verify"])
    : await crypto.subtle.importKey("spki", spki, algorithm, false, ["verify"]);
  return async (message, signature) => {
    try {
      const raw = curve === undefined
        ? new Uint8Array(signature)
        : decodeEcdsaSignature(signature, CURVES[curve].size);
      return await crypto.subtle.verify(algorithm, handle, raw, message);
    } catch {
      return false;
    }
  };
}

function algorithmOf(
  key: { curve?: EcCurve; bits: number },
): { name: string; hash: string; namedCurve?: string } {
  const hash = hashFor(key);
  if (key.curve === undefined) return { name: "RSASSA-PKCS1-v1_5", hash };
  return { name: "ECDSA", namedCurve: key.curve, hash };
}
