import type { BulkDevice } from "./list/devices.ts";
import type { ManifestRow } from "./manifest.ts";

/** A value, now or later. */
export type Awaitable<T> = T | Promise<T>;

/** All states, in the order in which they are reached. */
export const BULK_STATES = [
  "pending",
  "key made",
  "certified",
  "built",
  "verified",
  "failed",
] as const;

/** How far a device of a batch has come. */
export type BulkState = typeof BULK_STATES[number];

/** What a batch does: all of it, up to the signing requests, or on from the certificates. */
export type BulkPhase = "all" | "requests" | "certificates";

/** A device whose work is to be done. */
export interface BulkJob {
  /** The device. */
  readonly device: BulkDevice;
  /** A private key that was made elsewhere, in any encoding. */
  readonly key?: Uint8Array;
  /** A certificate that was issued elsewhere, PEM or DER. */
  readonly certificate?: Uint8Array;
  /** What makes the work impossible; the device fails with it. */
  readonly problem?: string;
}

/** What became of a device. */
export interface BulkResult {
  /** The device. */
  readonly device: BulkDevice;
  /** `verified` when all is done, `key made` when its signing request waits for a certificate. */
  readonly state: "verified" | "key made" | "failed";
  /** How far a device that failed had come. */
  readonly reached?: BulkState;
  /** Why it failed; holds no secret. */
  readonly reason?: string;
  /** Its line in the manifest. */
  readonly row: ManifestRow;
}

/** Does the work of devices; one call may be many devices. */
export type BulkMaker = (jobs: readonly BulkJob[]) => Promise<readonly BulkResult[]>;

/** A file of a batch. */
export interface BulkFile {
  /** Name within the batch's folder, such as `images/dev-1.bin`. */
  readonly path: string;
  /** Its content. */
  readonly bytes: Uint8Array;
  /** For its owner only. @default false */
  readonly secret?: boolean;
}

/** Where a batch puts its files. */
export interface BulkFiles {
  /**
   * Puts files in place; what is there is replaced, whole or not at all. A new file that a crash cuts
   * off belongs to a device that the journal does not have yet, and is replaced when it is made again.
   */
  write(files: readonly BulkFile[]): Awaitable<void>;
  /** The bytes of a file, from where it was put. */
  read(path: string): Awaitable<Uint8Array>;
  /** Returns when all that was written before outlives a loss of power. */
  sync(): Awaitable<void>;
}

/** A device as the journal has it. */
export interface JournaledDevice {
  /** The device. */
  readonly device: BulkDevice;
  /** A certificate that was issued elsewhere: PEM, or where it is. */
  readonly certificate?: string;
}

/** Where a batch keeps what was done: on return, what was recorded outlives a crash. */
export interface BulkJournal {
  /**
   * Takes devices up as pending; those it has already stay as they are.
   *
   * @param devices What is to be made here.
   * @param others Devices of the same list that others make, so that an id that is there twice is found.
   * @default none
   * @returns What is wrong: an id that is there twice, a list that is not that of the first run.
   */
  plan(
    devices: readonly BulkDevice[],
    others?: readonly BulkDevice[],
  ): Awaitable<readonly string[]>;
  /** The first devices after an index that are in a state, in the order of the list. */
  next(state: BulkState, after: number, limit: number): Awaitable<readonly JournaledDevice[]>;
  /**
   * Records what became of devices, all of it or nothing. What a device that fails has written is the
   * journal's to clear, for nothing uses its key.
   *
   * @returns The results as recorded: a key that another device has makes a device fail.
   */
  commit(results: readonly BulkResult[]): Awaitable<readonly BulkResult[]>;
  /** How many devices are in each state. */
  counts(): Awaitable<Readonly<Record<BulkState, number>>>;
}

/** Where the private keys of a batch come from, when they are not made by WebCrypto. */
export interface KeySource {
  /** In words, for the summary. */
  readonly name: string;
  /**
   * A key for each device, or what keeps it from having one, or null for a device that is to stay as it
   * is, as when the run is to end; the same key for the same device.
   */
  take(
    devices: readonly BulkDevice[],
  ): Awaitable<readonly (Uint8Array | { problem: string } | null)[]>;
}
