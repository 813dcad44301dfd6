import { SecureCertError } from "../../lib/bytes/errors.ts";
import { type Bytes, concat, equalBytes } from "../../lib/bytes/pack.ts";
import { decodeUtf8 } from "../../lib/bytes/text.ts";
import type { Guard } from "./guards.ts";

/** A decoder or a verb, and what it is given. */
export interface Target {
  readonly name: string;
  /** Good inputs, which are changed. */
  readonly seeds: readonly Bytes[];
  /** What makes changed inputs pass their checksums; a quarter of them is left as it is. */
  readonly guard?: Guard;
  /** Reads an input; throws a {@linkcode NotTheSame} when what it reads does not encode to it. */
  run(input: Bytes): unknown;
}

/** A strict decoder took bytes that its encoder does not give. */
export class NotTheSame extends Error {}

/** Refuses other bytes than the input. */
export function same(input: Uint8Array, again: Uint8Array): void {
  if (!equalBytes(input, again)) throw new NotTheSame("encodes to other bytes");
}

/** Refuses values that were read otherwise the second time. */
export function sameValue(value: unknown, again: unknown): void {
  if (JSON.stringify(value) !== JSON.stringify(again)) throw new NotTheSame("reads other values");
}

/** Bytes with erased flash after them, up to a length. */
export function erasedTo(bytes: Uint8Array, length: number): Bytes {
  return concat(bytes, new Uint8Array(length - bytes.length).fill(0xFF));
}

/** The input as text, as a reader of files takes it. */
export const textOf = (bytes: Uint8Array) => decodeUtf8(bytes) ?? new TextDecoder().decode(bytes);

/** Reads all rows. */
export async function drain(rows: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of rows);
}

/** The time of all checks. */
export const now = () => new Date("2027-01-01T00:00:00Z");

/** A rejected promise is an answer like another one; what it rejects with is checked. */
export async function all(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const each of await Promise.allSettled(promises)) {
    if (each.status === "rejected" && !(each.reason instanceof SecureCertError)) {
      throw each.reason;
    }
  }
}
