/** A thread of `bulk`: makes devices and writes their files. */
import type { BulkMaker } from "../../provision/bulk_ports.ts";
import { openMaker } from "./maker.ts";
import { type FromWorker, packError, type ToWorker } from "./messages.ts";

/** The thread's own end of its port, as far as it is used. */
interface Port {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker): void;
}

function listen(port: Port): void {
  let maker: Promise<BulkMaker> | undefined;
  port.onmessage = async ({ data }) => {
    if (data.kind === "start") {
      maker = openMaker(data);
      maker.catch(() => {});
      return;
    }
    try {
      const results = await (await maker!)(data.jobs);
      port.postMessage({ kind: "made", call: data.call, results });
    } catch (error) {
      port.postMessage({ kind: "failed", call: data.call, error: packError(error) });
    }
  };
}

listen(globalThis as unknown as Port);
