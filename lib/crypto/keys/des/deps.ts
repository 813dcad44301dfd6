// By itself, because it is CommonJS: loading it takes some milliseconds, and only old
// password-protected keys need it.

// @ts-types="./des.d.ts"
export { default as des } from "npm:des.js@1.1.0";
