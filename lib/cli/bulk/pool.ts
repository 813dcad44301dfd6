import type { BulkJob, BulkMaker, BulkResult } from "../../provision/bulk_ports.ts";
import type { Worker } from "./deps.ts";
import { type FromWorker, type ToWorker, unpackError, type WorkerStart } from "./messages.ts";
import { openMaker } from "./maker.ts";
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

interface Thread {
  readonly worker: Worker;
  /** Calls under way, by number. */
  readonly waiting: Map<number, PromiseWithResolvers<readonly BulkResult[]>>;
  /** Whether it has said that it works; it may take a second, or never do. */
  isReady: boolean;
}

/** Two calls a thread: while one waits for the disk, the other computes. */
const CALLS = 2;

/**
 * Starts threads.
 *
 * @param count How many.
 * @param start What each needs once.
 * @returns The pool; with one thread, which is the process itself, where Deno may not read the module
 * of the worker.
 */
export async function openPool(
  count: number,
  start: Omit<WorkerStart, "kind" | "number">,
): Promise<WorkerPool> {
  const url = new URL("./worker.ts", import.meta.url);
  const message = (number: number): WorkerStart => ({ kind: "start", number, ...start });
  const missing = count === 1 ? undefined : await missingPermission();
  if (count === 1 || missing !== undefined) {
    const maker = await openMaker(message(0));
    const one = { maker, calls: 2 * CALLS, workers: 1, close: () => {} };
    return missing === undefined ? one : { ...one, missing };
  }
  const own = await openMaker(message(count));
  const threads = Array.from({ length: count }, (_, number): Thread => {
    const worker = startThread(url, `bulk ${number}`);
    const thread = { worker, waiting: new Map(), isReady: false };
    listen(thread);
    send(worker, message(number));
    return thread;
  });
  let next = 0;
  const maker = (jobs: readonly BulkJob[]) => {
    const ready = threads.filter(({ isReady }) => isReady);
    // Until a thread works, this one does.
    if (ready.length === 0) return own(jobs);
    const thread = ready.reduce((best, each) =>
      each.waiting.size < best.waiting.size ? each : best
    );
    const result = Promise.withResolvers<readonly BulkResult[]>();
    const call = next++;
    thread.waiting.set(call, result);
    send(thread.worker, { kind: "make", call, jobs });
    return result.promise;
  };
  const close = () => threads.forEach(({ worker }) => void worker.terminate());
  return { maker, calls: CALLS * count, workers: count, close };
}

function listen(thread: Thread): void {
  const { worker, waiting } = thread;
  worker.on("message", (data: FromWorker) => {
    if (data.kind === "ready") {
      thread.isReady = true;
      return;
    }
    const result = waiting.get(data.call);
    waiting.delete(data.call);
    if (data.kind === "made") result?.resolve(data.results);
    else result?.reject(unpackError(data.error));
  });
  worker.on("error", (error: unknown) => {
    thread.isReady = false;
    for (const result of waiting.values()) result.reject(error);
    waiting.clear();
  });
}

function send(worker: Worker, message: ToWorker): void {
  worker.postMessage(message);
}
