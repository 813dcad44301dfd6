/** The thread that runs `bulk`. */
import { denoIo } from "../../io.ts";
import { run } from "../../run.ts";
import { parentPort, workerData } from "../deps.ts";
import type { FromEngine } from "./messages.ts";
import { keepSignals } from "../run/signal.ts";

if (parentPort !== null) {
  keepSignals();
  const ended: FromEngine = { kind: "ended", code: await run(workerData, denoIo()) };
  parentPort.postMessage(ended);
}
