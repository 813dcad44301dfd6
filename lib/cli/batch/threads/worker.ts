/** A thread of `bulk`: makes devices and writes their files. */
import type { BulkMaker } from "../../../batch/ports.ts";
import { parentPort } from "../deps.ts";
import { openMaker } from "./maker.ts";
import { type FromWorker, packError, type ToWorker } from "./messages.ts";
import { fromWire, toWire, type Wire } from "./wire.ts";

let maker: Promise<BulkMaker> | undefined;

function tell(message: FromWorker): void {
  parentPort?.postMessage(toWire(message));
}

parentPort?.on("message", async (wire: Wire<ToWorker>) => {
  const message = fromWire<ToWorker>(wire);
  if (message.kind === "start") {
    maker = openMaker(message);
    // One that cannot begin is never given work.
    maker.then(() => tell({ kind: "ready" }), () => {});
    return;
  }
  const { call, jobs } = message;
  try {
    tell({ kind: "made", call, results: await (await maker!)(jobs) });
  } catch (error) {
    tell({ kind: "failed", call, error: packError(error) });
  }
});
