import {
  type CommandSpec,
  FORCE,
  HMAC_KEY,
  JSON_OPTION,
  OUT_FILE,
  PASSWORD_FILE,
} from "./flags.ts";
import { TABLE_OFFSET } from "./options_images.ts";

const IMAGE = { name: "IMAGE", help: "TLV image; - is stdin" };

const SIZE = {
  name: "size",
  value: "N",
  help: "size of the partition in bytes, decimal or 0x",
  default: "0x2000, or the image's",
};

/** The commands that change images and compare them. */
export const EDIT_COMMANDS = {
  sign: {
    summary: "sign an image for the firmware's secure verification",
    arguments: [IMAGE],
    options: [
      {
        name: "key",
        value: "FILE",
        repeats: true,
        help: "private key: RSA-3072, P-192, P-256 or P-384; one to three of a kind",
      },
      PASSWORD_FILE,
      {
        name: "digest",
        help: "print what an external signer must sign, and how;\n-o takes the hash",
      },
      {
        name: "signature",
        value: "FILE",
        repeats: true,
        help: "put in what an external signer made; ECDSA in DER or r and s",
      },
      {
        name: "public-key",
        value: "FILE",
        repeats: true,
        help: "public key of the external signer; one for each --signature",
      },
      SIZE,
      OUT_FILE,
      FORCE,
      JSON_OPTION,
    ],
    examples: [
      {
        permissions: "--allow-read=esp_secure_cert.bin,signing.key.pem --allow-write=signed.bin",
        line: "sign esp_secure_cert.bin --key signing.key.pem -o signed.bin",
      },
      {
        permissions: "--allow-read=esp_secure_cert.bin",
        line: "sign esp_secure_cert.bin --digest",
      },
    ],
  },
  append: {
    summary: "add entries to an image, or put others in their place",
    arguments: [IMAGE],
    options: [
      {
        name: "data",
        value: "TYPE[.SUBTYPE]=…",
        repeats: true,
        help: "a new entry: =string:…, =hex:…, =base64:… or =file:…",
      },
      {
        name: "replace",
        value: "TYPE[.SUBTYPE]=…",
        repeats: true,
        help: "what to put in the place of an entry, written likewise",
      },
      { name: "integrity", help: "end with an integrity entry (SHA-256)" },
      { name: "drop-signatures", help: "leave the signatures out, to sign the image again" },
      PASSWORD_FILE,
      SIZE,
      { name: "no-verify", help: "write the image even if verify finds a new error in it" },
      OUT_FILE,
      FORCE,
      JSON_OPTION,
    ],
    exit1: "it failed, or the image was judged worse than before and is not written",
    examples: [
      {
        permissions: "--allow-read=esp_secure_cert.bin --allow-write=with_serial.bin",
        line: "append esp_secure_cert.bin --data user1=string:SN-0001 -o with_serial.bin",
      },
      {
        permissions: "--allow-read=esp_secure_cert.bin,device.pem --allow-write=renewed.bin",
        line: "append esp_secure_cert.bin --replace dev=file:device.pem -o renewed.bin",
      },
    ],
  },
  diff: {
    summary: "compare two images entry by entry",
    arguments: [
      { name: "A", help: "image, dump of flash, or erased flash; - is stdin" },
      { name: "B", help: "the other one" },
    ],
    options: [
      { ...HMAC_KEY, help: "eFuse key that opens DS data and HMAC-encrypted entries" },
      TABLE_OFFSET,
      JSON_OPTION,
    ],
    exit1: "they differ, or one of them is no image",
    examples: [{
      permissions: "--allow-read=esp_secure_cert.bin,dump.bin",
      line: "diff esp_secure_cert.bin dump.bin",
    }],
  },
} as const satisfies Readonly<Record<string, CommandSpec>>;
