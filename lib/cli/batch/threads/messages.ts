import { SecureCertError } from "../../../bytes/errors.ts";
import type { BulkJob, BulkPhase, BulkResult } from "../../../batch/ports.ts";
import type { BulkProfile } from "../../../batch/profile/profile.ts";
import { CliError } from "../../errors.ts";

/** What a worker needs once. */
export interface WorkerStart {
  readonly kind: "start";
  /** Number of the worker, from 0. */
  readonly number: number;
  readonly folder: string;
  readonly profile: BulkProfile;
  readonly phase: BulkPhase;
  /** Whether each device gets a label. */
  readonly labels: boolean;
  /** Keys that sign the images, PKCS#8. */
  readonly signingKeys: readonly Uint8Array[];
  /** Whether it must bring its files onto the disk itself. */
  readonly syncs: boolean;
  /** The CA, PEM or DER. */
  readonly certificate?: Uint8Array;
  /** Its key, PKCS#8; it never leaves the process. */
  readonly key?: Uint8Array;
}

/** What goes to a worker. */
export type ToWorker = WorkerStart | {
  readonly kind: "make";
  readonly call: number;
  readonly jobs: readonly BulkJob[];
};

/** What comes from a worker. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "made"; readonly call: number; readonly results: readonly BulkResult[] }
  | { readonly kind: "failed"; readonly call: number; readonly error: Thrown };

/** An error on its way between threads, which keep no classes. */
export type Thrown =
  | { readonly kind: "input"; readonly code: SecureCertError["code"]; readonly message: string }
  | {
    readonly kind: "cli";
    readonly code: CliError["code"];
    readonly message: string;
    readonly about: ConstructorParameters<typeof CliError>[2];
  }
  | { readonly kind: "other"; readonly message: string };

/** Packs what was thrown. */
export function packError(error: unknown): Thrown {
  if (error instanceof CliError) {
    const { code, message, place, hint } = error;
    return { kind: "cli", code, message, about: { ...place, hint } };
  }
  if (error instanceof SecureCertError) {
    return { kind: "input", code: error.code, message: error.message };
  }
  return { kind: "other", message: error instanceof Error ? error.stack ?? error.message : "" };
}

/** What was thrown. */
export function unpackError(thrown: Thrown): unknown {
  if (thrown.kind === "cli") return new CliError(thrown.code, thrown.message, thrown.about);
  if (thrown.kind === "input") return new SecureCertError(thrown.code, thrown.message);
  return new Error(thrown.message);
}

/**
 * A message as it goes through a port. Deno looks for ports in each value of what arrives there, in
 * arrays of bytes byte by byte, some 80 ns each; it does not look into buffers.
 */
export type Wire<T> = T extends Uint8Array ? ArrayBuffer
  : T extends readonly (infer Each)[] ? readonly Wire<Each>[]
  : T extends object ? { readonly [Name in keyof T]: Wire<T[Name]> }
  : T;

/** A message with a buffer for each array of bytes. */
export function toWire<T>(message: T): Wire<T> {
  return mapLeaves(message, (value) => value instanceof Uint8Array ? bufferOf(value) : undefined);
}

/** The message that {@linkcode toWire} was given. */
export function fromWire<T>(wire: Wire<T>): T {
  return mapLeaves(
    wire,
    (value) => value instanceof ArrayBuffer ? new Uint8Array(value) : undefined,
  );
}

function bufferOf({ buffer, byteOffset, length }: Uint8Array): ArrayBufferLike {
  const isWhole = byteOffset === 0 && length === buffer.byteLength;
  return isWhole ? buffer : buffer.slice(byteOffset, byteOffset + length);
}

function mapLeaves<Result>(value: unknown, leaf: (value: object) => unknown): Result {
  const map = (each: unknown): unknown => {
    if (typeof each !== "object" || each === null) return each;
    if (Array.isArray(each)) return each.map(map);
    const replaced = leaf(each);
    if (replaced !== undefined) return replaced;
    const copy: Record<string, unknown> = {};
    for (const name in each) copy[name] = map((each as Record<string, unknown>)[name]);
    return copy;
  };
  return map(value) as Result;
}
