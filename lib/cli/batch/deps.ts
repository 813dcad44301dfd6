export { DatabaseSync, type StatementSync } from "node:sqlite";
export {
  MessageChannel,
  type MessagePort,
  parentPort,
  Worker,
  workerData,
} from "node:worker_threads";
