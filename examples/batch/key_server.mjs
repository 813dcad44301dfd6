// npx --yes node@26 examples/batch/key_server.mjs
//
// Makes private keys for `bulk --key-server "npx --yes node@26 examples/batch/key_server.mjs"`. OpenSSL,
// which Node has, finds an RSA key several times as quickly as the WebCrypto of Deno. A request is a
// line such as `rsa 2048` or `ec P-256`, and the answer is a line with the key, PKCS#8 in base64.

import { generateKeyPairSync } from "node:crypto";
import { createInterface } from "node:readline";

const encodings = {
  privateKeyEncoding: { type: "pkcs8", format: "der" },
  publicKeyEncoding: { type: "spki", format: "der" },
};

for await (const request of createInterface({ input: process.stdin })) {
  const [type, kind] = request.split(" ");
  try {
    const options = type === "rsa" ? { modulusLength: Number(kind) } : { namedCurve: kind };
    const { privateKey } = generateKeyPairSync(type, { ...options, ...encodings });
    process.stdout.write(`${privateKey.toString("base64")}\n`);
  } catch (error) {
    // For a person who runs this by hand.
    process.stdout.write(`error ${error.message.replace(/\s/g, " ")}\n`);
  }
}
