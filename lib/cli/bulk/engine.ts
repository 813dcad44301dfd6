import { stopSignals } from "./signal.ts";
import { missingPermission, startThread } from "./threads.ts";

/** From the thread of {@linkcode runInThread}. */
export interface Ended {
  readonly code: number;
}

/** Long enough for the thread to end the programs that it started. */
const GRACE_MS = 300;

/**
 * Runs the command line of the process in a thread, to which signals are passed on.
 *
 * @returns The exit code; undefined where Deno may not read the module of the thread.
 */
export async function runInThread(argv: readonly string[]): Promise<number | undefined> {
  const module = new URL("./engine_thread.ts", import.meta.url);
  if (await missingPermission() !== undefined) return undefined;
  const thread = startThread(module, "bulk", argv);
  let stops = 0;
  const stop = () => {
    thread.postMessage("stop");
    if (++stops > 1) setTimeout(() => Deno.exit(1), GRACE_MS);
  };
  const close = stopSignals(stop);
  try {
    return await new Promise<number>((resolve, reject) => {
      thread.on("message", ({ code }: Ended) => resolve(code));
      thread.on("error", reject);
      thread.on("exit", () => resolve(1));
    });
  } finally {
    close();
    void thread.terminate();
  }
}
