import type { Io } from "../io.ts";

/** What ends a run early. */
export interface StopSignal {
  /** In good order, with what is under way. */
  readonly signal: AbortSignal;
  /** At once. */
  readonly kill: AbortSignal;
  close(): void;
}

/** What is said of work that leaves nothing when it is cut off. */
export const STOPPING = "stopping; interrupt again to stop at once";
const FINISHING = "finishing the devices under way; interrupt again to stop at once";

/**
 * Ctrl-C finishes what is under way; a second one ends at once.
 *
 * @param text What is said at the first one.
 */
export function openSignal(io: Io, text = FINISHING): StopSignal {
  const stop = new AbortController();
  const kill = new AbortController();
  const onStop = () => {
    if (stop.signal.aborted) {
      kill.abort();
      Deno.exit(1);
    }
    io.note(text);
    stop.abort();
  };
  return { signal: stop.signal, kill: kill.signal, close: stopSignals(onStop) };
}

/** Listens to the signals that ask the process to end; gives what ends the listening. */
function stopSignals(onStop: () => void): () => void {
  const signals: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT"]
    : ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, onStop);
  return () => signals.forEach((signal) => Deno.removeSignalListener(signal, onStop));
}
