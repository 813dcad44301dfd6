// The npm package deno-std carries the Deno standard library without types; std.d.ts gives them.

// @ts-types="./std.d.ts"
export { decodeHex, encodeHex } from "npm:deno-std@1.4.0/encoding/hex.js";
// @ts-types="./std.d.ts"
export { decodeBase64, encodeBase64 } from "npm:deno-std@1.4.0/encoding/base64.js";
