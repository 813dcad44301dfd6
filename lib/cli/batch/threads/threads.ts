import { MessageChannel, type MessagePort, Worker } from "../deps.ts";

/** Megabytes of a thread's heap: with little room for what is new its garbage is collected sooner. */
const HEAP = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 1024 };

/** A thread that makes devices, and the port that leads to it. */
export interface MakerThread {
  readonly worker: Worker;
  readonly port: MessagePort;
}

/** Starts a thread whose heap has limits. */
export function startThread(module: URL, name: string, data?: unknown): Worker {
  return new Worker(moduleOf(module), { name, workerData: data, resourceLimits: HEAP });
}

/**
 * Starts a thread that makes devices. The process itself should do so: a thread that starts another
 * waits half a second for it in Deno 2.9.
 */
export function startMaker(number: number): MakerThread {
  const { port1, port2 } = new MessageChannel();
  const worker = startThread(new URL("./worker.ts", import.meta.url), `bulk ${number}`);
  worker.postMessage(port2, [port2]);
  return { worker, port: port1 };
}

/** Hears of a thread that ends before it is told to: with an error, or without a word. */
export function onLost(worker: Worker, lost: (error: unknown) => void): void {
  worker.on("error", lost);
  worker.on("exit", () => lost(new Error("without a word")));
}

/** What a thread runs; Node's workers, which have limits, take no URL of the network by itself. */
function moduleOf(url: URL): URL {
  if (url.protocol === "file:") return url;
  return new URL(
    `data:text/javascript,${encodeURIComponent(`import ${JSON.stringify(url.href)}`)}`,
  );
}

/** All modules of the toolkit, of which a thread loads most. */
const MODULES = new URL("../../../", import.meta.url);

/** The permission to read, or to import, that Deno wants for the modules of a thread and has not. */
export async function missingPermission(): Promise<string | undefined> {
  const isFile = MODULES.protocol === "file:";
  const wanted = isFile
    ? { name: "read", path: MODULES } as const
    : { name: "import", host: MODULES.host } as const;
  if ((await Deno.permissions.query(wanted)).state === "granted") return undefined;
  return isFile ? `--allow-read=${decodeURI(MODULES.pathname)}` : `--allow-import=${MODULES.host}`;
}
