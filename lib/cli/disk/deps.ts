// What Deno's own functions need permission to read for.

export { closeSync, constants, fstatSync, lutimesSync, openSync } from "node:fs";
