// By itself, for it is CommonJS: loading it costs every command some milliseconds, and old
// password-protected keys alone need it.

// @ts-types="./des.d.ts"
export { default as des } from "npm:des.js@1.1.0";
