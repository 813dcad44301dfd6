export { md5, sha1 } from "npm:@noble/hashes@2.4.0/legacy.js";
export { sha224, sha256, sha384, sha512 } from "npm:@noble/hashes@2.4.0/sha2.js";
