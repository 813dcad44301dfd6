// By themselves: only keys on curves that WebCrypto lacks need them.

export { ecdsa, weierstrass } from "npm:@noble/curves@2.4.0/abstract/weierstrass.js";
export { sha256 } from "npm:@noble/hashes@2.4.0/sha2.js";
