export { DatabaseSync, type StatementSync } from "node:sqlite";
