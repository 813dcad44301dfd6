export { ecb, unsafe } from "npm:@noble/ciphers@2.4.0/aes.js";
