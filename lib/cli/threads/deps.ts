// Threads whose heap has limits.

export { parentPort, Worker } from "node:worker_threads";
