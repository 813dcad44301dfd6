/** The thread that runs `bulk`. */
import { denoIo } from "../io.ts";
import { run } from "../run.ts";
import { parentPort, workerData } from "./deps.ts";
import type { Ended } from "./engine.ts";
import { keepSignals } from "./signal.ts";

if (parentPort !== null) {
  keepSignals();
  const ended: Ended = { code: await run(workerData, denoIo()) };
  parentPort.postMessage(ended);
}
