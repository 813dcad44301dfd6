import type { Io } from "../io.ts";

/** What ends a run early and in good order. */
export interface StopSignal {
  readonly signal: AbortSignal;
  close(): void;
}

/** Ctrl-C finishes what is under way; a second one ends at once. */
export function openSignal(io: Io): StopSignal {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) Deno.exit(1);
    io.note("finishing the devices under way; once more to end at once");
    controller.abort();
  };
  const signals: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT"]
    : ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, stop);
  return {
    signal: controller.signal,
    close: () => signals.forEach((signal) => Deno.removeSignalListener(signal, stop)),
  };
}
