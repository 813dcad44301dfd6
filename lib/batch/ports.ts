import type { BulkDevice } from "./list/devices.ts";
import type { ManifestRow } from "./manifest.ts";

/**
 * A value, now or later.
 *
 * @category Ports
 */
export type Awaitable<T> = T | Promise<T>;

/**
 * How far a device of a batch has come.
 *
 * @category Making a batch
 */
export type BulkState = "pending" | "key made" | "certified" | "built" | "verified" | "failed";

/** All states, in the order in which they are reached. */
export const BULK_STATES: readonly BulkState[] = [
  "pending",
  "key made",
  "certified",
  "built",
  "verified",
  "failed",
];

/**
 * What a run does: everything, or up to the signing requests, or from the certificates on.
 *
 * @category Making a batch
 */
export type BulkPhase = "all" | "requests" | "certificates";

/**
 * A device to be made.
 *
 * @category Ports
 */
export interface BulkJob {
  /** The device. */
  readonly device: BulkDevice;
  /** A private key that was made elsewhere, in any encoding. */
  readonly key?: Uint8Array;
  /** A certificate that was issued elsewhere, PEM or DER. */
  readonly certificate?: Uint8Array;
  /** Why it cannot be made; the device fails with it. */
  readonly problem?: string;
  /**
   * Whether it is not to be made: only what an earlier run left of it is checked, and there is a result, with
   * the reason, when that does not fit. @default false
   */
  readonly onlyCheck?: boolean;
}

/**
 * What became of a device.
 *
 * @category Making a batch
 */
export interface BulkResult {
  /** The device. */
  readonly device: BulkDevice;
  /** `verified` when all is done, `key made` when its signing request waits for a certificate. */
  readonly state: "verified" | "key made" | "failed";
  /** How far a failed device had come. */
  readonly reached?: BulkState;
  /** Why it failed; holds no secret. */
  readonly reason?: string;
  /** Its line in the manifest. */
  readonly row: ManifestRow;
}

/**
 * Makes devices, many in one call. A device that stays as it is, because the run is to end, has no result.
 *
 * @category Ports
 */
export type BulkMaker = (jobs: readonly BulkJob[]) => Promise<readonly BulkResult[]>;

/**
 * A file of a batch.
 *
 * @category Ports
 */
export interface BulkFile {
  /** Name within the batch's folder, such as `images/dev-1.bin`. */
  readonly path: string;
  /** Its content. */
  readonly bytes: Uint8Array;
  /** For its owner only. @default false */
  readonly secret?: boolean;
}

/**
 * Where a batch puts its files.
 *
 * @category Ports
 */
export interface BulkFiles {
  /**
   * Writes files; an existing one is replaced, whole or not at all. A new one may be cut off by a crash:
   * the journal does not have its device yet, which is made again.
   */
  write(files: readonly BulkFile[]): Awaitable<void>;
  /** The bytes of a file, read back. */
  read(path: string): Awaitable<Uint8Array>;
  /**
   * The bytes of a file that an earlier run may have left; undefined where there is none. Without it none
   * is looked for, as in a new batch.
   */
  find?(path: string): Awaitable<Uint8Array | undefined>;
  /** Returns when everything written before survives a loss of power. */
  sync(): Awaitable<void>;
}

/**
 * A device as the journal has it.
 *
 * @category Ports
 */
export interface JournaledDevice {
  /** The device. */
  readonly device: BulkDevice;
  /** A certificate that was issued elsewhere: PEM, or where it is. */
  readonly certificate?: string;
}

/**
 * Where a batch keeps what was done. What was recorded survives a crash once the method returns.
 *
 * @category Ports
 */
export interface BulkJournal {
  /**
   * Adds devices as pending, unless it has them already. `others` are the devices of the list that other
   * shards make. Returns what is wrong: a repeated id, or a list that is not that of the first run.
   */
  plan(
    devices: readonly BulkDevice[],
    others?: readonly BulkDevice[],
  ): Awaitable<readonly string[]>;
  /** The first devices in a state after an index of the list, in its order. */
  next(state: BulkState, after: number, limit: number): Awaitable<readonly JournaledDevice[]>;
  /**
   * Records results, all of them or none, and removes the files of a device that failed. Returns them as
   * recorded: a device fails when another one has its key.
   */
  commit(results: readonly BulkResult[]): Awaitable<readonly BulkResult[]>;
  /** How many devices are in each state. */
  counts(): Awaitable<Readonly<Record<BulkState, number>>>;
}

/**
 * Where the private keys of a batch come from, when WebCrypto does not make them.
 *
 * @category Ports
 */
export interface KeySource {
  /** In words, for the summary. */
  readonly name: string;
  /**
   * A key for each device, always the same for the same device; or why it has none, which makes it fail;
   * or null to leave the device as it is, such as when the run is ending; or undefined for a device that
   * gets its key another way.
   */
  take(
    devices: readonly BulkDevice[],
  ): Awaitable<readonly (Uint8Array | { problem: string } | null | undefined)[]>;
}

/** Devices that have a key, or a serial number, already. */
interface Owners {
  /** Id of the device that has a key, SubjectPublicKeyInfo in base64. */
  readonly ofKey: (publicKey: string) => string | undefined;
  /** Id of the verified device whose certificate has a serial number. */
  readonly ofSerial: (serial: string) => string | undefined;
}

/** A result as a journal records it: a device fails that has the key or serial number of another. */
export function failTwiceUsed(result: BulkResult, owners: Owners): BulkResult {
  const { device, state, row } = result;
  if (state === "failed") return result;
  const isOther = (id: string | undefined) => id !== undefined && id !== device.id;
  const [key, serial] = [owners.ofKey(row.publicKey), owners.ofSerial(row.serial)];
  if (isOther(key)) return failed(result, `its key is that of ${key} already`);
  if (isOther(serial)) return failed(result, `its serial number is that of ${serial} already`);
  return result;
}

function failed({ device, row }: BulkResult, reason: string): BulkResult {
  const empty = { ...row, serial: "", fingerprint: "", publicKey: "", imageSha256: "" };
  return {
    device,
    state: "failed",
    reached: "key made",
    reason,
    row: { ...empty, status: "failed" },
  };
}
