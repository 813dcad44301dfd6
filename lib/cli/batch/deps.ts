export { existsSync } from "node:fs";
export { DatabaseSync } from "node:sqlite";
export { parentPort, Worker } from "node:worker_threads";
