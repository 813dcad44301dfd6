import { countOf } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";

/**
 * Where randomness and time come from. Give both to get the same bytes every time, in tests and
 * nowhere else: anyone who knows the source knows the keys. RSA keys do not follow from it, because
 * WebCrypto takes no seed.
 */
export interface Sources {
  /** A number of random bytes. @default `crypto.getRandomValues` */
  readonly random?: (length: number) => Uint8Array;
  /** The time. @default the system clock */
  readonly now?: () => Date;
}

/** Random bytes from the source given, else from the platform's CSPRNG. */
export function randomBytes(length: number, { random }: Sources): Bytes {
  if (random === undefined) return crypto.getRandomValues(new Uint8Array(length));
  const bytes = random(length);
  if (bytes.length !== length) {
    throw new RangeError(`random gave ${countOf(bytes.length, "byte")}, not ${length}`);
  }
  return new Uint8Array(bytes);
}

/** The time of the source given, else of the system clock. */
export function currentTime({ now }: Sources): Date {
  return now === undefined ? new Date() : now();
}
