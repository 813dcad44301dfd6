// What Deno's own functions need permission to read for; it takes 40 ms to load, so only where it is needed.

export { closeSync, constants, fstatSync, lutimesSync, openSync } from "node:fs";
