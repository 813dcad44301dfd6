/** Elements of DER as bytes, which tests cut, join and change. */
import * as der from "../lib/crypto/der.ts";
import type { Bytes } from "../lib/bytes/pack.ts";

export function derElement(identifier: number, ...parts: readonly Uint8Array[]): Bytes {
  return der.encodeDer(der.derElement(identifier, ...parts));
}

export function derSequence(...parts: readonly Uint8Array[]): Bytes {
  return der.encodeDer(der.derSequence(...parts));
}

export function derSet(...parts: readonly Uint8Array[]): Bytes {
  return der.encodeDer(der.derSet(...parts));
}

export function derContext(number: number, ...parts: readonly Uint8Array[]): Bytes {
  return der.encodeDer(der.derContext(number, ...parts));
}

export function derPrimitive(number: number, bytes: Uint8Array): Bytes {
  return der.encodeDer(der.derPrimitive(number, bytes));
}

export function derInteger(value: number): Bytes {
  return der.encodeDer(der.derInteger(value));
}

export function derUnsigned(number: Uint8Array): Bytes {
  return der.encodeDer(der.derUnsigned(number));
}

export function derOctets(bytes: Uint8Array): Bytes {
  return der.encodeDer(der.derOctets(bytes));
}

export function derBits(bytes: Uint8Array): Bytes {
  return der.encodeDer(der.derBits(bytes));
}

export function derNull(): Bytes {
  return der.encodeDer(der.derNull());
}

export function derTrue(): Bytes {
  return der.encodeDer(der.derTrue());
}
