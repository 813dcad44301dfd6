import { parentPort } from "./deps.ts";
import { fromWire, missingPermission, startThread, toWire, type Wire } from "./threads.ts";

/** Does some of the work; the same everywhere. */
export type Doer<Work, Answer> = (work: Work) => Promise<Answer>;

/** Work that another thread does; undefined when that has ended, by itself only when it is broken. */
export type Helper<Work, Answer> = (work: Work) => Promise<Answer | undefined>;

/** Other threads that do the same work. */
export interface Helpers<Work, Answer> {
  /** Each as soon as it works; undefined for one that never does. */
  readonly each: readonly Promise<Helper<Work, Answer> | undefined>[];
  end(): void;
}

/** What goes to a thread: what it needs once, and then work. */
type ToHelper<Start, Work> = { readonly start: Start } | { readonly work: Work };
const READY = "ready";

/**
 * Starts a thread for each further core; none where Deno may not read the modules of one.
 *
 * @param module Calls {@linkcode help}.
 * @param start What each thread needs once.
 */
export async function startHelpers<Start, Work, Answer>(
  module: URL,
  start: Start,
): Promise<Helpers<Work, Answer>> {
  const isForbidden = await missingPermission() !== undefined;
  const count = isForbidden ? 0 : navigator.hardwareConcurrency - 1;
  const workers = Array.from({ length: count }, (_, at) => startThread(module, `check ${at}`));
  const send = (worker: typeof workers[number], message: ToHelper<Start, Work>) =>
    worker.postMessage(toWire(message));
  const each = workers.map((worker) => {
    let answer = Promise.withResolvers<Answer | typeof READY | undefined>();
    let isLost = false;
    worker.on("message", (message: Answer | typeof READY) => answer.resolve(message));
    for (const event of ["error", "exit"] as const) {
      worker.on(event, () => {
        isLost = true;
        answer.resolve(undefined);
      });
    }
    const ready = answer.promise;
    send(worker, { start });
    return ready.then((word) =>
      word === undefined ? undefined : async (work: Work) => {
        if (isLost) return undefined;
        answer = Promise.withResolvers();
        send(worker, { work });
        return await answer.promise as Answer | undefined;
      }
    );
  });
  return { each, end: () => workers.forEach((worker) => void worker.terminate()) };
}

/**
 * Makes the thread that this is called in a helper, which an error ends.
 *
 * @param open Gets ready with what was sent once.
 */
export function help<Start, Work, Answer>(
  open: (start: Start) => Doer<Work, Answer> | Promise<Doer<Work, Answer>>,
): void {
  let doer: Doer<Work, Answer> | undefined;
  parentPort?.on("message", async (wire: Wire<ToHelper<Start, Work>>) => {
    const message = fromWire<ToHelper<Start, Work>>(wire);
    if ("start" in message) {
      doer = await open(message.start);
      parentPort?.postMessage(READY);
    } else parentPort?.postMessage(await doer!(message.work));
  });
}

/** Who does the work. */
interface Doers<Work, Answer> {
  /** Does it in this thread, where nothing else can, and what a thread has not done that has ended. */
  readonly here: Doer<Work, Answer>;
  /** @default none */
  readonly helpers?: Helpers<Work, Answer>;
  /** Whether only this thread can do it. @default never */
  readonly isOwn?: (work: Work) => boolean;
}

/** For each that works, so much more may be done than was taken. */
const AHEAD = 2;

/**
 * Does work in this thread and others at a time.
 *
 * @returns Each piece of work with its answer, in the order of the work; few are kept.
 * @throws what `here` throws, when nothing is under way any more.
 */
export async function* shareWork<Work, Answer>(
  all: Iterable<Work> | AsyncIterable<Work>,
  { here, helpers, isOwn = () => false }: Doers<Work, Answer>,
): AsyncGenerator<readonly [Work, Answer]> {
  const idle: Doer<Work, Answer>[] = [here];
  const underWay: Promise<readonly [Work, Answer]>[] = [];
  let doers = 1;
  let wake = () => {};
  const free = (doer: Doer<Work, Answer>) => {
    idle.push(doer);
    wake();
  };
  for (const each of helpers?.each ?? []) {
    each.then((helper) => {
      if (helper === undefined) return;
      doers++;
      free(async (work) => await helper(work) ?? await here(work));
    });
  }
  const doerFor = async (work: Work): Promise<Doer<Work, Answer>> => {
    while (true) {
      const at = isOwn(work) ? idle.indexOf(here) : idle.length - 1;
      if (at >= 0) return idle.splice(at, 1)[0]!;
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      await promise;
    }
  };
  try {
    for await (const work of all) {
      const doer = await doerFor(work);
      const done = doer(work).then((answer) => [work, answer] as const);
      // What fails is thrown when it is its turn.
      done.catch(() => {}).finally(() => free(doer));
      underWay.push(done);
      while (underWay.length > AHEAD * doers) yield await underWay.shift()!;
    }
    while (underWay.length > 0) yield await underWay.shift()!;
  } finally {
    await Promise.allSettled(underWay);
    helpers?.end();
  }
}

/** Items of a sequence, some at a time. */
export async function* inGroups<T>(
  items: Iterable<T> | AsyncIterable<T>,
  size: number,
): AsyncGenerator<T[]> {
  let group: T[] = [];
  for await (const item of items) {
    group.push(item);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}
