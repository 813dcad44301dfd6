export { DatabaseSync, type StatementSync } from "node:sqlite";
export { parentPort, Worker, workerData } from "node:worker_threads";
