/**
 * What can be wrong with a finished batch, for programs. Codes are stable.
 *
 * | code | means |
 * |---|---|
 * | `FAILED_DEVICE` | the device is listed as failed |
 * | `MISSING_DEVICE`, `STRAY_DEVICE` | a device of the list is in no manifest, or one of a manifest in no list |
 * | `UNFINISHED_BATCH` | the run that makes the folder has not ended |
 * | `DUPLICATE_ID`, `DUPLICATE_SERIAL`, `DUPLICATE_KEY` | two rows share what must be one device's own |
 * | `MISSING_FILE`, `STRAY_FILE` | a file of a device is not there, or a file belongs to none |
 * | `WRONG_IMAGE` | the image is not the one that the manifest lists |
 * | `BAD_IMAGE` | `verify` finds an error in the image |
 * | `WRONG_CERTIFICATE` | the certificate is not the one that the manifest lists, or not that of the image |
 * | `WRONG_KEY_MODE` | the image keeps its key in another way than the manifest says |
 * | `WRONG_KEY` | a file in `secret` is not that of the device's key |
 * | `WRONG_EFUSE_PLAN` | the eFuse plan is not the one that this device needs |
 * | `WRONG_LABEL`, `WRONG_REQUEST` | the label or the signing request is another device's |
 * | `BAD_MANIFEST` | a manifest does not hold the rows of the journal, or `manifest.csv` those of `manifest.ndjson` |
 * | `BAD_JOURNAL` | the journal is there and cannot be read |
 * | `FOREIGN_SHARD` | a shard has another CA, profile or number of parts than the first |
 * | `MISSING_SHARD`, `DUPLICATE_SHARD` | a part of the list is in no shard, or in two |
 */
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
