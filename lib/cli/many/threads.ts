import { missingPermission, startThread, toWire } from "../batch/threads/threads.ts";
import type { ImageReport, ManyTask } from "./check.ts";
import type { ToThread } from "./worker.ts";

/**
 * Checks images in another thread, in the order of the paths; undefined when the thread has ended, which
 * it does by itself only when something is wrong with it.
 */
export type ThreadChecker = (
  paths: readonly string[],
) => Promise<readonly ImageReport[] | undefined>;

/** Other threads that check images. */
export interface CheckThreads {
  /** Each as soon as it works; undefined for one that never does. */
  readonly checkers: readonly Promise<ThreadChecker | undefined>[];
  end(): void;
}

const MODULE = new URL("./worker.ts", import.meta.url);

/** Starts a thread for each further core; none where Deno may not read the modules of one. */
export async function startCheckThreads(task: ManyTask): Promise<CheckThreads> {
  const isForbidden = await missingPermission() !== undefined;
  const count = isForbidden ? 0 : navigator.hardwareConcurrency - 1;
  const workers = Array.from({ length: count }, (_, at) => startThread(MODULE, `check ${at}`));
  const send = (worker: typeof workers[number], message: ToThread) =>
    worker.postMessage(toWire(message));
  const checkers = workers.map((worker) => {
    let answer = Promise.withResolvers<readonly ImageReport[] | "ready" | undefined>();
    let isLost = false;
    worker.on("message", (message: readonly ImageReport[] | "ready") => answer.resolve(message));
    for (const event of ["error", "exit"] as const) {
      worker.on(event, () => {
        isLost = true;
        answer.resolve(undefined);
      });
    }
    const ready = answer.promise;
    send(worker, { task });
    return ready.then((word) =>
      word === undefined ? undefined : async (paths: readonly string[]) => {
        if (isLost) return undefined;
        answer = Promise.withResolvers();
        send(worker, { paths });
        return await answer.promise as readonly ImageReport[] | undefined;
      }
    );
  });
  return { checkers, end: () => workers.forEach((worker) => void worker.terminate()) };
}
