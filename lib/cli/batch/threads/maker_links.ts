import { type MessagePort, parentPort } from "../deps.ts";
import {
  type FromEngine,
  type FromWorker,
  type ToEngine,
  type ToWorker,
  unpackError,
} from "./messages.ts";
import { onLost, startMaker } from "./threads.ts";
import { fromWire, toWire, type Wire } from "./wire.ts";

/** What is heard of threads that make devices, each with its number from 0. */
export interface MakerEvents {
  /** It was started, and takes messages. */
  readonly started: (number: number, send: (message: ToWorker) => void) => void;
  readonly told: (number: number, message: FromWorker) => void;
  /** It died. */
  readonly lost: (number: number, error: unknown) => void;
}

/**
 * Has threads started that make devices: by the process itself, when this is a thread of it.
 *
 * @returns What lets go of them.
 */
export function linkMakers(count: number, events: MakerEvents): () => void {
  return parentPort === null ? startMakers(count, events) : askForMakers(parentPort, count, events);
}

function startMakers(count: number, events: MakerEvents): () => void {
  const threads = Array.from({ length: count }, (_, number) => {
    const thread = startMaker(number);
    link(number, thread.port, events);
    onLost(thread.worker, (error) => events.lost(number, error));
    return thread;
  });
  return () => {
    for (const { worker, port } of threads) {
      port.close();
      void worker.terminate();
    }
  };
}

function askForMakers(
  process: NonNullable<typeof parentPort>,
  count: number,
  events: MakerEvents,
): () => void {
  const ports: MessagePort[] = [];
  const onMessage = (message: ToEngine) => {
    if (message.kind === "maker") {
      ports.push(message.port);
      link(message.number, message.port, events);
    } else if (message.kind === "lost") events.lost(message.number, unpackError(message.error));
  };
  process.on("message", onMessage);
  const wanted: FromEngine = { kind: "makers", count };
  process.postMessage(wanted);
  return () => {
    process.off("message", onMessage);
    for (const port of ports) port.close();
  };
}

function link(number: number, port: MessagePort, events: MakerEvents): void {
  port.on("message", (wire: Wire<FromWorker>) => events.told(number, fromWire<FromWorker>(wire)));
  events.started(number, (message) => port.postMessage(toWire(message)));
}
