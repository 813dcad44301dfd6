import { SecureCertError } from "../../../bytes/errors.ts";
import type { BulkJob, BulkPhase } from "../../../batch/ports.ts";
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
  /** Whether an earlier run may have left files. */
  readonly resumes: boolean;
  /** The CA, PEM or DER. */
  readonly certificate?: Uint8Array;
  /** What the devices store as their CA, when it is not that one; PEM or DER. */
  readonly caCert?: Uint8Array;
  /** Its key, PKCS#8; it never leaves the process. */
  readonly key?: Uint8Array;
  /** Whether a program signs for the CA, which the first thread asks. */
  readonly asks: boolean;
}

/** Gives the answer of the program that signs for the CA. */
export type AskCa = (line: string) => Promise<string>;

/** The answer to a question of a worker, or why there is none. */
export interface Answer {
  readonly kind: "answer";
  readonly question: number;
  readonly line?: string;
  readonly error?: Thrown;
}

/** What goes to a worker. */
export type ToWorker =
  | WorkerStart
  | {
    readonly kind: "make";
    readonly call: number;
    readonly jobs: readonly BulkJob[];
  }
  | Answer
  | {
    /** Whether it is there at all: one whose heap is full ends without an error. */
    readonly kind: "ping";
  };

/** What comes from a worker. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "unfit"; readonly error: Thrown }
  | { readonly kind: "ask"; readonly question: number; readonly line: string }
  | { readonly kind: "pong" }
  | {
    readonly kind: "made";
    readonly call: number;
    /** What became of each device as JSON: a text is not looked into on its way. */
    readonly results: string;
  }
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
  | { readonly kind: "abort" | "other"; readonly message: string };

/** Packs what was thrown. */
export function packError(error: unknown): Thrown {
  if (error instanceof CliError) {
    const { code, message, place, hint } = error;
    return { kind: "cli", code, message, about: { ...place, hint } };
  }
  if (error instanceof SecureCertError) {
    return { kind: "input", code: error.code, message: error.message };
  }
  if (error instanceof DOMException && error.name === "AbortError") {
    return { kind: "abort", message: error.message };
  }
  return { kind: "other", message: error instanceof Error ? error.stack ?? error.message : "" };
}

/** What was thrown. */
export function unpackError(thrown: Thrown): unknown {
  if (thrown.kind === "cli") return new CliError(thrown.code, thrown.message, thrown.about);
  if (thrown.kind === "input") return new SecureCertError(thrown.code, thrown.message);
  if (thrown.kind === "abort") return new DOMException(thrown.message, "AbortError");
  return new Error(thrown.message);
}
