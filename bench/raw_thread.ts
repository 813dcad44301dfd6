/** A thread that does nothing but WebCrypto; see raw.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { lanesPerSecond, RAW, type RawKind } from "./raw.ts";

const { kind, ms } = workerData as { kind: RawKind; ms: number };
parentPort?.postMessage(await lanesPerSecond(await RAW[kind](), 2, ms));
