import type { BulkJob, BulkMaker, BulkResult } from "../../../batch/ports.ts";
import { fileError } from "../../errors.ts";
import { openMaker } from "./maker.ts";
import {
  type AskCa,
  type FromWorker,
  packError,
  type ToWorker,
  unpackError,
  type WorkerStart,
} from "./messages.ts";
import { missingPermission, startThread } from "./threads.ts";
import { fromWire, toWire, type Wire } from "./wire.ts";

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

/** A thread that was started; it may take a second until it works, or never do. */
interface Thread {
  readonly send: (message: ToWorker) => void;
  /** Calls under way, by number. */
  readonly waiting: Map<number, PromiseWithResolvers<readonly BulkResult[]>>;
  isReady: boolean;
  end(): void;
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
    (_, number) => startMaker(message(number), start.folder, ask),
  );
  const own = await openMaker(message(count), ask);
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
    thread.send({ kind: "make", call, jobs });
    return result.promise;
  };
  const close = () => threads.forEach((thread) => thread.end());
  return { maker, calls: CALLS * count, workers: count, close };
}

function startMaker(start: WorkerStart, folder: string, ask?: AskCa): Thread {
  const worker = startThread(MODULE, `bulk ${start.number}`);
  const thread: Thread = {
    send: (message) => worker.postMessage(toWire(message)),
    waiting: new Map(),
    isReady: false,
    end: () => void worker.terminate(),
  };
  worker.on("message", (wire: Wire<FromWorker>) => hear(thread, fromWire<FromWorker>(wire), ask));
  // It ended by itself: with an error, or without one.
  worker.on("error", (error) => lose(thread, folder, error));
  worker.on("exit", () => lose(thread, folder, new Error("without a word")));
  thread.send(start);
  return thread;
}

function hear(thread: Thread, message: FromWorker, ask?: AskCa): void {
  if (message.kind === "ready") {
    thread.isReady = true;
    return;
  }
  if (message.kind === "ask") {
    const { question, line } = message;
    ask!(line).then(
      (answer) => thread.send({ kind: "answer", question, line: answer }),
      (error) => thread.send({ kind: "answer", question, error: packError(error) }),
    );
    return;
  }
  const result = thread.waiting.get(message.call);
  thread.waiting.delete(message.call);
  if (message.kind === "made") result?.resolve(message.results);
  else result?.reject(unpackError(message.error));
}

function lose(thread: Thread, folder: string, error: unknown): void {
  thread.isReady = false;
  const why = error instanceof Error
    ? error.message.split("\n")[0]!.replace(/^Error: /, "")
    : String(error);
  const hint = "run bulk again with the same flags: it continues where it stopped";
  const lost = fileError("ERR_IO", folder, `a thread that makes devices ended: ${why}`, hint);
  for (const result of thread.waiting.values()) result.reject(lost);
  thread.waiting.clear();
}
