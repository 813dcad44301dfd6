import { SecureCertError } from "../../bytes/errors.ts";

/** What can be wrong with a finished batch, for programs. Codes are stable; docs/batch.md explains them. */
export type BatchProblemCode =
  | "FAILED_DEVICE"
  | "MISSING_DEVICE"
  | "STRAY_DEVICE"
  | "UNFINISHED_BATCH"
  | "DUPLICATE_ID"
  | "DUPLICATE_SERIAL"
  | "DUPLICATE_KEY"
  | "MISSING_FILE"
  | "STRAY_FILE"
  | "WRONG_IMAGE"
  | "BAD_IMAGE"
  | "WRONG_CERTIFICATE"
  | "WRONG_KEY_MODE"
  | "WRONG_KEY"
  | "WRONG_EFUSE_PLAN"
  | "WRONG_LABEL"
  | "WRONG_REQUEST"
  | "BAD_MANIFEST"
  | "BAD_JOURNAL"
  | "FOREIGN_SHARD"
  | "MISSING_SHARD"
  | "DUPLICATE_SHARD";

/** One thing that is wrong with a batch. */
export interface BatchProblem {
  /** Stable identifier. */
  readonly code: BatchProblemCode;
  /** Name of the device; null when it is about no single device. */
  readonly id: string | null;
  /** One line for people. */
  readonly message: string;
}

/** A problem of a device, or of the batch as a whole. */
export function problem(code: BatchProblemCode, id: string | null, message: string): BatchProblem {
  return { code, id, message };
}

/** What was read, or what is wrong with the input, in words. */
export async function attempt<T>(read: () => T | Promise<T>): Promise<T | string> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SecureCertError) return error.message;
    throw error;
  }
}
