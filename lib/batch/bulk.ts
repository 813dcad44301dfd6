import { exportPrivateKey, generateKey } from "../crypto/keys/keys.ts";
import type { Signer } from "../crypto/signature.ts";
import type { Sources } from "../crypto/sources.ts";
import type { CertificateInput } from "../crypto/x509/certificate.ts";
import type { Issuer } from "../crypto/x509/issue.ts";
import { KEY_MODE_RULES } from "../key_modes/modes.ts";
import { wantedKey } from "../key_modes/requirements.ts";
import { createDevelopmentCa } from "../toolkit/provision.ts";
import type { BulkDevice, DeviceRow } from "./list/devices.ts";
import {
  type BulkShard,
  MOST_SAMPLES,
  planError,
  planList,
  type Sample,
  type Samples,
} from "./list/list.ts";
import { misfitError } from "./make/left.ts";
import { createBulkMaker } from "./make/maker.ts";
import { memoryFiles } from "./memory.ts";
import type {
  Awaitable,
  BulkFiles,
  BulkJob,
  BulkJournal,
  BulkMaker,
  BulkPhase,
  BulkResult,
  BulkState,
  JournaledDevice,
  KeySource,
} from "./ports.ts";
import type { BulkProfile } from "./profile/profile.ts";

/**
 * What {@linkcode bulk} makes, with what, and where it puts it.
 *
 * @category Making a batch
 */
export interface BulkOptions {
  /** What all devices share. */
  readonly profile: BulkProfile;
  /** The CA; only its certificate when the device certificates come from elsewhere. */
  readonly issuer?: Issuer;
  /** What the devices store as their CA, PEM (a bundle too) or DER. @default the issuer */
  readonly caCert?: CertificateInput;
  /** Where the batch keeps what was done. */
  readonly journal: BulkJournal;
  /** Where images, certificates and keys go. */
  readonly files: BulkFiles;
  /** What signs each image, one for each signing key that the profile names. @default none */
  readonly signers?: readonly Signer[];
  /** Whether each device gets a label, a QR code in SVG. @default false */
  readonly labels?: boolean;
  /** All, or up to the signing requests, or on from the certificates. @default "all" */
  readonly phase?: BulkPhase;
  /** Where keys come from. @default WebCrypto makes them */
  readonly keys?: KeySource;
  /** Reads the certificate of a device that the journal has as certified, PEM or DER. */
  readonly certificateOf?: (device: JournaledDevice) => Awaitable<Uint8Array>;
  /**
   * Whether an earlier run may have left files: those of all devices that are to be made are checked, before
   * the first is. @default false
   */
  readonly resumes?: boolean;
  /** Reads the files that a device's row names: its certificate and key. */
  readonly jobOf?: (device: BulkDevice) => Awaitable<Partial<BulkJob>>;
  /** The part of the list to take. @default all of it */
  readonly shard?: BulkShard;
  /** What makes the devices, such as a pool of workers. @default this process */
  readonly maker?: BulkMaker;
  /** How many calls of the maker are under way at once. @default 2, or 1 when `random` is given */
  readonly calls?: number;
  /** Called while the list is read, with the number of its devices so far. */
  readonly onList?: (devices: number) => void;
  /**
   * Called when the list is checked, with the number of devices that this run is to make; the first is
   * made when it has returned.
   */
  readonly onStart?: (total: number) => Awaitable<void>;
  /** Ends the run early: the devices under way are finished first. */
  readonly signal?: AbortSignal;
  /** The time at which certificates begin. @default the system clock */
  readonly now?: () => Date;
  /** A number of random bytes, for tests; devices are then made one by one. */
  readonly random?: (length: number) => Uint8Array;
}

/**
 * What {@linkcode bulk} did.
 *
 * @category Making a batch
 */
export interface BulkSummary {
  /** Devices in each state, those of earlier runs too. */
  readonly counts: Readonly<Record<BulkState, number>>;
  /** Devices that this run finished. */
  readonly made: number;
  /** Devices that failed in this run. */
  readonly failed: number;
  /** Whether the run ended early: by its signal, or because there were no keys for now. */
  readonly stopped: boolean;
}

const CHUNK = 1000;
const MOST_IN_CALL = 64;
const MOST_UNCOMMITTED = 2048;
const COMMIT_COUNT = 512;
/** Milliseconds between two commits of the journal. */
const COMMIT_MS = 200;
/** A call should take about this long: short enough to stop soon, long enough to cost nothing. */
const CALL_MS = 80;

/**
 * Makes devices by the thousand: keys, certificates and images. Each image is read back and checked, and
 * each device is in the journal before it is returned, in the order of the list. The whole list is
 * checked, and one device of each kind is made as a trial, before the first key. Devices that the
 * journal has as done are not made again; one that fails does not stop the others. Leaving the loop
 * early waits for the devices under way. Returns the summary.
 *
 * @category Making a batch
 * @throws {SecureCertError} `ERR_PLAN` with every row of the list that is wrong, or every device with files
 * of an earlier run that do not fit; what the journal and the files throw, because that is not the fault of a
 * device.
 */
export async function* bulk(
  devices: AsyncIterable<DeviceRow> | Iterable<DeviceRow>,
  options: BulkOptions,
): AsyncGenerator<BulkResult, BulkSummary> {
  const { journal } = options;
  const samples = await planList(devices, options);
  const planned = await journal.counts();
  if (samples === undefined) return { counts: planned, made: 0, failed: 0, stopped: true };
  const run = await openRun(options);
  if (isToTry(planned)) {
    const problems = await rehearse(samples, options);
    if (problems.length > 0) throw planError(problems);
  }
  if (options.resumes === true) await refuseMisfits(run, options);
  await options.onStart?.(planned[run.state]);
  let [made, failed] = [0, 0];
  try {
    for (;;) {
      await startCalls(run, options);
      const isLast = run.problem !== undefined || run.finished.size === 0;
      const isIdle = run.underWay === 0 && !run.committing;
      if (isIdle && isLast && run.ready.length === 0 && run.recorded.length === 0) break;
      if (!isIdle) await run.wait();
      commitReady(run, options);
      for (const result of run.recorded.splice(0)) {
        if (result.state === "failed") failed++;
        else made++;
        yield result;
      }
    }
  } finally {
    await settle(run, options);
  }
  const counts = await journal.counts();
  return { counts, made, failed, stopped: counts[run.state] > 0 };
}

/** Whether the batch is tried out: there is something to make, and nothing that failed before. */
function isToTry({ pending, failed }: Readonly<Record<BulkState, number>>): boolean {
  return pending > 0 && failed === 0;
}

/** Refuses files of an earlier run that do not fit their devices, before anything is made. */
async function refuseMisfits({ maker, state }: Run, options: BulkOptions): Promise<void> {
  const { journal, jobOf, signal } = options;
  const misfits: string[] = [];
  const check = async (devices: readonly JournaledDevice[]) => {
    const jobs = devices.map(async ({ device }) => ({
      device,
      onlyCheck: true,
      ...await jobOf?.(device),
    }));
    return await maker(await Promise.all(jobs));
  };
  for (let after = -1; signal?.aborted !== true;) {
    const devices = await journal.next(state, after, CHUNK);
    if (devices.length === 0) break;
    after = devices.at(-1)!.device.index;
    const calls = Array.from(
      { length: Math.ceil(devices.length / MOST_IN_CALL) },
      (_, at) => check(devices.slice(at * MOST_IN_CALL, (at + 1) * MOST_IN_CALL)),
    );
    for (const { device, reason } of (await Promise.all(calls)).flat()) {
      misfits.push(`${device.id}: ${reason}`);
    }
  }
  if (misfits.length > 0) throw misfitError(misfits);
}

interface Run {
  readonly maker: BulkMaker;
  readonly calls: number;
  readonly state: BulkState;
  /** Index of the last device that was handed out. */
  after: number;
  /** Devices read from the journal and not yet handed out. */
  waiting: JournaledDevice[];
  exhausted: boolean;
  /** Number of the next call, and of the call whose results are to be committed next. */
  nextCall: number;
  nextReady: number;
  readonly finished: Map<number, readonly BulkResult[]>;
  readonly ready: BulkResult[];
  /** Results that are journaled and not yet returned. */
  readonly recorded: BulkResult[];
  committing: boolean;
  /** When the last commit began, in milliseconds. */
  committed: number;
  underWay: number;
  uncommitted: number;
  /** Whether a commit failed, so that none may follow. */
  lost: boolean;
  /** Devices in a call. */
  size: number;
  problem?: unknown;
  /** Number of the call that the problem is of. */
  problemOf: number;
  /** Returns when a call has ended since the last wait. */
  wait(): Promise<void>;
  wake(): void;
}

async function openRun(options: BulkOptions): Promise<Run> {
  const { phase, random, calls = random === undefined ? 2 : 1 } = options;
  let signal = Promise.withResolvers<void>();
  return {
    maker: options.maker ?? await createBulkMaker(options),
    calls,
    state: phase === "certificates" ? "certified" : "pending",
    after: -1,
    waiting: [],
    exhausted: false,
    nextCall: 0,
    nextReady: 0,
    finished: new Map(),
    ready: [],
    recorded: [],
    committing: false,
    committed: performance.now(),
    underWay: 0,
    uncommitted: 0,
    lost: false,
    size: 1,
    problemOf: Infinity,
    wait: async () => {
      await signal.promise;
      signal = Promise.withResolvers<void>();
    },
    wake: () => signal.resolve(),
  };
}

async function startCalls(run: Run, options: BulkOptions): Promise<void> {
  while (run.underWay < run.calls && run.uncommitted < MOST_UNCOMMITTED) {
    if (options.signal?.aborted === true || run.problem !== undefined) return;
    if (run.waiting.length < run.size && !run.exhausted) {
      const more = await options.journal.next(run.state, run.after, CHUNK);
      run.exhausted = more.length < CHUNK;
      run.after = more.at(-1)?.device.index ?? run.after;
      run.waiting.push(...more);
    }
    if (run.waiting.length === 0) return;
    const devices = run.waiting.splice(0, run.size);
    run.underWay++;
    run.uncommitted += devices.length;
    void call(run, run.nextCall++, devices, options);
  }
}

async function call(
  run: Run,
  number: number,
  devices: readonly JournaledDevice[],
  options: BulkOptions,
): Promise<void> {
  const start = performance.now();
  try {
    const jobs = await jobsOf(devices, options);
    const results = jobs.length === 0 ? [] : await run.maker(jobs);
    run.finished.set(number, results);
    run.uncommitted -= devices.length - results.length;
    adapt(run, devices.length, performance.now() - start);
  } catch (error) {
    // Of those under way at once, the first in the list ends the run, whichever ended first.
    if (run.problem === undefined || number < run.problemOf) {
      run.problem = error;
      run.problemOf = number;
    }
  }
  run.underWay--;
  run.wake();
}

/**
 * Ends what is under way and journals it, so that nothing is written after a caller has left the
 * generator early.
 *
 * @throws what ended the run.
 */
async function settle(run: Run, options: BulkOptions): Promise<void> {
  for (;;) {
    commitReady(run, options);
    if (run.underWay === 0 && !run.committing) break;
    await run.wait();
  }
  if (run.problem !== undefined) throw run.problem;
}

function commitReady(run: Run, options: BulkOptions): void {
  run.ready.push(...takeReady(run));
  if (run.lost) run.ready.splice(0);
  startCommit(run, options);
}

/** Journals what is ready, while calls go on: when it is time, when it is much, or at the end. */
function startCommit(run: Run, { journal, files }: BulkOptions): void {
  if (run.committing || run.ready.length === 0) return;
  const isDue = performance.now() - run.committed >= COMMIT_MS;
  if (!isDue && run.ready.length < COMMIT_COUNT && run.underWay > 0) return;
  run.committing = true;
  run.committed = performance.now();
  const results = run.ready.splice(0);
  const commit = async () => {
    try {
      await files.sync();
      run.recorded.push(...await journal.commit(results));
    } catch (error) {
      // What follows would be out of order.
      run.lost = true;
      if (run.problem === undefined) run.problemOf = -1;
      run.problem ??= error;
    }
    run.uncommitted -= results.length;
    run.committing = false;
    run.wake();
  };
  void commit();
}

/** Calls grow while they are short. */
function adapt(run: Run, length: number, ms: number): void {
  if (ms < CALL_MS && length === run.size) run.size = Math.min(MOST_IN_CALL, run.size * 2);
  else if (ms > 4 * CALL_MS) run.size = Math.max(1, Math.min(run.size, length) >> 1);
}

/** The work of devices, without those that have no key for now. */
async function jobsOf(
  devices: readonly JournaledDevice[],
  { keys, certificateOf, jobOf }: BulkOptions,
): Promise<BulkJob[]> {
  const taken = await keys?.take(devices.map(({ device }) => device));
  const jobs = await Promise.all(devices.map(async (each, at): Promise<BulkJob | undefined> => {
    const key = taken?.[at];
    if (key === null) return undefined;
    const own = await jobOf?.(each.device);
    const certificate = each.certificate === undefined ? undefined : await certificateOf?.(each);
    const given = key === undefined ? {} : "problem" in key ? key : { key };
    return { device: each.device, ...given, certificate, ...own };
  }));
  return jobs.filter((job) => job !== undefined);
}

/** Results whose turn it is. */
function takeReady(run: Run): BulkResult[] {
  const ready: BulkResult[] = [];
  for (let next; (next = run.finished.get(run.nextReady)) !== undefined; run.nextReady++) {
    run.finished.delete(run.nextReady);
    ready.push(...next);
  }
  return ready;
}

interface RehearsalOptions extends Pick<Sources, "now"> {
  readonly profile: BulkProfile;
  readonly issuer?: Issuer;
  readonly caCert?: CertificateInput;
  readonly signers?: readonly Signer[];
  readonly phase?: BulkPhase;
}

/**
 * Makes the heaviest device of each kind in memory, with a key that is discarded, so that what no
 * image can hold and what is wrong with the CA is known before the first key that counts.
 *
 * @returns What is wrong, one line for each reason.
 */
async function rehearse(samples: Samples, options: RehearsalOptions): Promise<string[]> {
  // The certificates of the later phase are there, and their keys too.
  if (options.phase === "certificates") return [];
  const { profile, issuer, caCert, signers, now } = options;
  const signs = issuer?.key !== undefined || issuer?.sign !== undefined;
  const canIssue = signs && options.phase !== "requests";
  const make = await createBulkMaker({
    profile,
    issuer: canIssue ? issuer : await createDevelopmentCa(),
    caCert,
    files: { ...memoryFiles(), find: undefined },
    lanes: 1,
    signers,
    now,
  });
  const keys = new Map<string, Uint8Array>();
  const problems = new Map<string, string[]>();
  let hasMore = false;
  for (const kind of samples.kinds.values()) {
    let failed = 0;
    for (const sample of kind) {
      const [result] = await make([await rehearsalJob(sample, profile, keys)]);
      if (result?.state !== "failed") break;
      const reason = result.reason!;
      problems.set(reason, [...problems.get(reason) ?? [], sample.device.id]);
      failed++;
    }
    if (failed === MOST_SAMPLES) hasMore = true;
  }
  const lines = [...problems].map(([reason, ids]) => `${ids.join(", ")}: ${reason}`);
  if (!hasMore) return lines;
  return [...lines, `and maybe others: the ${MOST_SAMPLES} largest of a kind were tried`];
}

async function rehearsalJob(
  { device, settings: { keyMode } }: Sample,
  profile: BulkProfile,
  keys: Map<string, Uint8Array>,
): Promise<BulkJob> {
  if (KEY_MODE_RULES[keyMode].privateKey === "derived") return { device };
  const wanted = wantedKey(keyMode, profile.key);
  const name = JSON.stringify(wanted);
  const key = keys.get(name) ?? await exportPrivateKey(await generateKey(wanted), { form: "der" });
  keys.set(name, key);
  return { device, key };
}
