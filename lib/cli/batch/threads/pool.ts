import type { BulkJob, BulkMaker, BulkResult } from "../../../batch/ports.ts";
import { type CliError, fileError } from "../../errors.ts";
import { openMaker } from "./maker.ts";
import {
  type AskCa,
  type FromWorker,
  packError,
  type ToWorker,
  unpackError,
  type WorkerStart,
} from "./messages.ts";
import {
  fromWire,
  missingPermission,
  startThread,
  toWire,
  type Wire,
} from "../../threads/threads.ts";

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
  const opened = Promise.race(threads.map(({ opened }) => opened));
  const maker = async (jobs: readonly BulkJob[]) => {
    await opened;
    const lost = threads.find(({ lost }) => lost !== undefined)?.lost;
    if (lost !== undefined) throw lost;
    const ready = threads.filter(({ isReady }) => isReady);
    const thread = ready.reduce((best, each) => each.underWay < best.underWay ? each : best);
    return await thread.make(jobs);
  };
  const close = () => threads.forEach((thread) => thread.end());
  return { maker, calls: CALLS * count, workers: count, close };
}

/** What a thread of `node:worker_threads` has, as far as it is used here. */
export interface ThreadPort {
  postMessage(message: unknown): void;
  on(event: "message", listener: (wire: Wire<FromWorker>) => void): unknown;
  on(event: "error", listener: (error: unknown) => void): unknown;
  on(event: "exit", listener: () => void): unknown;
  terminate(): unknown;
}

/** A thread that was started; it may take a second until it works. */
interface Thread {
  /** Ends when it can be given work, or is lost. */
  readonly opened: Promise<void>;
  /** Whether it can be given work. */
  readonly isReady: boolean;
  /** Calls under way. */
  readonly underWay: number;
  /** Why it is not there any more, or cannot begin. */
  readonly lost?: unknown;
  /** Makes devices. */
  make(jobs: readonly BulkJob[]): Promise<readonly BulkResult[]>;
  end(): void;
}

/** Milliseconds between two pings of a thread that has work. */
const PING_MS = 5000;
/** Pings that it may leave open: it may wait for a slow disk. Time in which all sleep does not count. */
const MOST_OPEN = 12;

/** How {@linkcode openThread} works with a thread. */
interface ThreadOptions {
  /** Asks the program that signs for the CA, where there is one. */
  readonly ask?: AskCa;
  /** Milliseconds between two pings. @default 5000 */
  readonly pingMs?: number;
}

/**
 * Begins to work with a thread. One whose heap is full ends, and Deno 2.9 does not always report that; so
 * a thread that starts or has work must answer pings.
 *
 * @param worker The thread.
 * @param start What it needs once.
 */
export function openThread(
  worker: ThreadPort,
  start: WorkerStart,
  { ask, pingMs = PING_MS }: ThreadOptions = {},
): Thread {
  const waiting = new Map<number, PromiseWithResolvers<readonly BulkResult[]>>();
  const send = (message: ToWorker) => worker.postMessage(toWire(message));
  let [isReady, open, next] = [false, 0, 0];
  let lost: unknown;
  const opened = Promise.withResolvers<void>();
  const lose = (why: unknown) => {
    isReady = false;
    lost ??= why;
    for (const result of waiting.values()) result.reject(lost);
    waiting.clear();
    opened.resolve();
  };
  const end = (why: string) => lose(lostThread(start.folder, why));
  const answer = (question: number, line: string) => {
    ask!(line).then(
      (line) => send({ kind: "answer", question, line }),
      (error) => send({ kind: "answer", question, error: packError(error) }),
    );
  };
  const hear = (message: FromWorker) => {
    open = 0;
    if (message.kind === "pong") return;
    if (message.kind === "ask") return answer(message.question, message.line);
    if (message.kind === "unfit") return lose(unpackError(message.error));
    if (message.kind === "ready") {
      isReady = true;
      return opened.resolve();
    }
    const result = waiting.get(message.call);
    waiting.delete(message.call);
    if (message.kind === "made") result?.resolve(JSON.parse(message.results));
    else result?.reject(unpackError(message.error));
  };
  const ping = () => {
    const hasNothingToDo = isReady && waiting.size === 0;
    if (hasNothingToDo || lost !== undefined) return;
    if (open === MOST_OPEN) return end("it does not answer; its memory may be full");
    open++;
    send({ kind: "ping" });
  };
  worker.on("message", (wire) => hear(fromWire<FromWorker>(wire)));
  // It ended by itself: with an error, or without one.
  worker.on("error", (error) => end(reasonOf(error)));
  worker.on("exit", () => end("without an error"));
  send(start);
  const timer = setInterval(ping, pingMs);
  return {
    opened: opened.promise,
    get isReady() {
      return isReady;
    },
    get underWay() {
      return waiting.size;
    },
    get lost() {
      return lost;
    },
    make: (jobs) => {
      const result = Promise.withResolvers<readonly BulkResult[]>();
      const call = next++;
      if (waiting.size === 0) open = 0;
      waiting.set(call, result);
      send({ kind: "make", call, jobs });
      return result.promise;
    },
    end: () => {
      clearInterval(timer);
      worker.terminate();
    },
  };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message.split("\n")[0]!.replace(/^Error: /, "");
}

function lostThread(folder: string, why: string): CliError {
  const hint = "run bulk again with the same flags: it continues where it stopped";
  return fileError("ERR_IO", folder, `a thread that makes devices ended: ${why}`, hint);
}
