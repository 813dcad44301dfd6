export { existsSync } from "node:fs";
export { DatabaseSync } from "node:sqlite";
