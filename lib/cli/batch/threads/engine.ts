import type { Worker } from "../deps.ts";
import { type FromEngine, packError, type ToEngine } from "./messages.ts";
import { stopSignals } from "../run/signal.ts";
import { missingPermission, onLost, startMaker, startThread } from "./threads.ts";

/** Long enough for the thread to end the programs that it started. */
const GRACE_MS = 300;

/**
 * Runs the command line of the process in a thread, to which signals are passed on, and starts the
 * threads that it asks for.
 *
 * @returns The exit code; undefined where Deno may not read the module of the thread.
 */
export async function runInThread(argv: readonly string[]): Promise<number | undefined> {
  const module = new URL("./engine_thread.ts", import.meta.url);
  if (await missingPermission() !== undefined) return undefined;
  const engine = startThread(module, "bulk", argv);
  const makers: Worker[] = [];
  let stops = 0;
  const stop = () => {
    tell(engine, { kind: "stop" });
    if (++stops > 1) setTimeout(() => Deno.exit(1), GRACE_MS);
  };
  const close = stopSignals(stop);
  try {
    return await new Promise<number>((resolve, reject) => {
      engine.on("message", (message: FromEngine) => {
        if (message.kind === "ended") resolve(message.code);
        else makers.push(...openMakers(engine, message.count));
      });
      engine.on("error", reject);
      engine.on("exit", () => resolve(1));
    });
  } finally {
    close();
    for (const thread of [engine, ...makers]) void thread.terminate();
  }
}

function openMakers(engine: Worker, count: number): Worker[] {
  return Array.from({ length: count }, (_, number) => {
    const { worker, port } = startMaker(number);
    tell(engine, { kind: "maker", number, port });
    onLost(worker, (error) => tell(engine, { kind: "lost", number, error: packError(error) }));
    return worker;
  });
}

function tell(engine: Worker, message: ToEngine): void {
  engine.postMessage(message, message.kind === "maker" ? [message.port] : []);
}
