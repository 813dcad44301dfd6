import type { BulkJob, BulkMaker } from "../../../batch/ports.ts";
import { openMaker } from "./maker.ts";
import type { AskCa, WorkerStart } from "./messages.ts";
import { openThread } from "./thread.ts";
import { missingPermission, startThread } from "./threads.ts";

/** Threads that make devices. */
export interface WorkerPool {
  readonly maker: BulkMaker;
  /** Calls of the maker that keep all threads busy. */
  readonly calls: number;
  readonly workers: number;
  /** What Deno must be allowed for more threads, when it is not. */
  readonly missing?: string;
  close(): void;
}

const MODULE = new URL("./worker.ts", import.meta.url);
/** Two calls a thread: while one waits for the disk, the other computes. */
const CALLS = 2;

/**
 * Starts threads.
 *
 * @param count How many.
 * @param start What each needs once.
 * @param ask Asks the program that signs for the CA, where there is one.
 * @returns The pool; with one thread, which is this one, where Deno may not read the module of the
 * others.
 */
export async function openPool(
  count: number,
  start: Omit<WorkerStart, "kind" | "number" | "asks">,
  ask?: AskCa,
): Promise<WorkerPool> {
  const asks = ask !== undefined;
  const message = (number: number): WorkerStart => ({ kind: "start", number, asks, ...start });
  const missing = count === 1 ? undefined : await missingPermission();
  if (count === 1 || missing !== undefined) {
    const maker = await openMaker(message(0), ask);
    const one = { maker, calls: 2 * CALLS, workers: 1, close: () => {} };
    return missing === undefined ? one : { ...one, missing };
  }
  const threads = Array.from(
    { length: count },
    (_, number) => openThread(startThread(MODULE, `bulk ${number}`), message(number), { ask }),
  );
  const own = await openMaker(message(count), ask);
  const maker = (jobs: readonly BulkJob[]) => {
    const lost = threads.find(({ lost }) => lost !== undefined)?.lost;
    if (lost !== undefined) return Promise.reject(lost);
    const ready = threads.filter(({ isReady }) => isReady);
    // Until a thread works, this one does.
    if (ready.length === 0) return own(jobs);
    const thread = ready.reduce((best, each) => each.underWay < best.underWay ? each : best);
    return thread.make(jobs);
  };
  const close = () => threads.forEach((thread) => thread.end());
  return { maker, calls: CALLS * count, workers: count, close };
}
