// What Deno's own functions need permission to read for. It takes 40 ms to load: import it only where needed.

export { closeSync, constants, fstatSync, lutimesSync, openSync } from "node:fs";
