// By itself: only keys whose password goes through scrypt need it.

export { scrypt } from "npm:@noble/hashes@2.4.0/scrypt.js";
