// The npm package deno-std carries the Deno standard library without types; std.d.ts gives them.

// @ts-types="./std.d.ts"
export { promptSecret } from "npm:deno-std@1.4.0/cli/prompt_secret.js";
