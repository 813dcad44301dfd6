import { type DerCursor, derCursor, nextDer, numberOf, TAG } from "../crypto/der.ts";

/** What is thrown where the device's TLS library stops; it does not leave this room. */
interface Refusal {
  readonly kind: typeof REFUSAL;
  /** Reads well after "the device refuses the certificate: ". */
  readonly reason: string;
}

/** The highest number that {@linkcode readInteger} reads. */
export const MAX_INT = 2 ** 31 - 1;

const REFUSAL = Symbol("refusal");

/**
 * The reason for which rules refuse a value; undefined when none does.
 *
 * @param rules Read the value, and {@linkcode refuse} what the device refuses.
 */
export function refusalOf(rules: () => void): string | undefined {
  try {
    rules();
    return undefined;
  } catch (error) {
    if (isRefusal(error)) return error.reason;
    throw error;
  }
}

/** Ends the rules: the device refuses the value. */
export function refuse(reason: string): never {
  throw refusal(reason);
}

/** Applies rules to a part of the value, whose name is added to the reason of a refusal. */
export function within<T>(part: string, rules: () => T): T {
  try {
    return rules();
  } catch (error) {
    throw isRefusal(error) ? refusal(`${error.reason} in ${part}`) : error;
  }
}

/** A cursor before the first element of DER; what cannot be read is refused. */
export function deviceCursor(der: Uint8Array): DerCursor {
  return derCursor(der, (offset, problem) => refusal(`${problem} at byte ${offset}`));
}

/** An INTEGER from 0 that fits 31 bits (mbedTLS, `mbedtls_asn1_get_int`). */
export function readInteger(cursor: DerCursor): number {
  const node = nextDer(cursor, TAG.integer);
  const { start, content, end, source } = node;
  if (content === end) refuse(`empty INTEGER at byte ${start}`);
  if (source.bytes[content]! >= 0x80) refuse(`negative INTEGER at byte ${start}`);
  const value = numberOf(node);
  if (value > MAX_INT) refuse(`INTEGER of more than 31 bits at byte ${start}`);
  return value;
}

/** Refuses what follows the last element that the device knows there. */
export function checkEnd({ at, end }: DerCursor): void {
  if (at !== end) refuse(`stray bytes at byte ${at}`);
}

function refusal(reason: string): Refusal {
  return { kind: REFUSAL, reason };
}

function isRefusal(error: unknown): error is Refusal {
  return typeof error === "object" && error !== null && "kind" in error && error.kind === REFUSAL;
}
