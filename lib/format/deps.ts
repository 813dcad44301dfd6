export { md5 } from "npm:@noble/hashes@2.4.0/legacy.js";
export { sha256 } from "npm:@noble/hashes@2.4.0/sha2.js";
