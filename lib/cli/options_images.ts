import {
  CHIP,
  type CommandSpec,
  DAYS,
  FORCE,
  FORMATS,
  HMAC_KEY,
  IMAGE_OPTIONS,
  JSON_OPTION,
  KEY_OPTIONS,
  type OptionSpec,
  OUT_DIR,
  OUT_FILE,
  PASSWORD_FILE,
  SAN,
  SIZE,
  SUBJECT,
  USAGE,
} from "./flags.ts";
import { CSV } from "./options_port.ts";

/** `--table-offset`. */
export const TABLE_OFFSET: OptionSpec = {
  name: "table-offset",
  value: "N",
  help: "where the partition table of a flash dump stands, decimal or 0x",
  default: "0x8000",
};

/** `--signing-key`. */
const SIGNING_KEY: OptionSpec = {
  name: "signing-key",
  value: "FILE",
  repeats: true,
  help: "public key that should have signed the image; one of several is enough",
};

/** The commands that make and read images. */
export const IMAGE_COMMANDS = {
  provision: {
    summary: "one device end to end: key, certificate, image, verified",
    arguments: [],
    options: [
      { name: "id", value: "NAME", help: "the device's name; its subject is CN=NAME" },
      { ...SUBJECT, default: "CN=NAME" },
      {
        name: "ca",
        value: "DIR",
        help: "folder with ca.pem and ca.key.pem; a development CA is made there\nwhen it is empty",
        default: "ca",
      },
      CHIP,
      ...KEY_OPTIONS,
      DAYS,
      SAN,
      USAGE,
      ...IMAGE_OPTIONS,
      PASSWORD_FILE,
      OUT_DIR,
      FORCE,
      JSON_OPTION,
    ],
    exit1: "it failed, or the image was judged bad and is not written",
    examples: [
      {
        permissions: "--allow-read=ca,device-1 --allow-write=ca,device-1",
        line: "provision --id device-1 --chip esp32c3 -o device-1",
      },
    ],
  },
  build: {
    summary: "build an image from files, or from a CSV",
    arguments: [],
    options: [
      CSV,
      { name: "device-cert", value: "FILE", help: "device certificate, PEM (a bundle too) or DER" },
      { name: "ca-cert", value: "FILE", help: "CA certificate, PEM (a bundle too) or DER" },
      { name: "private-key", value: "FILE", help: "private key in any encoding" },
      {
        name: "salt",
        value: "FILE",
        help: "hmac-derived: salt with which the certificate's key was derived,\nraw or as hex",
      },
      {
        name: "ca",
        value: "FILE",
        help: "CA that issued the device certificate, when it is not --ca-cert",
      },
      CHIP,
      ...IMAGE_OPTIONS,
      PASSWORD_FILE,
      OUT_FILE,
      FORCE,
      JSON_OPTION,
    ],
    exit1: "it failed, or the image was judged bad and is not written",
    examples: [
      {
        permissions:
          "--allow-read=device.pem,ca.pem,device.key.pem --allow-write=esp_secure_cert.bin",
        line:
          "build --device-cert device.pem --ca-cert ca.pem --private-key device.key.pem -o esp_secure_cert.bin",
      },
    ],
  },
  convert: {
    summary: "write an image in another layout",
    arguments: [{ name: "IMAGE", help: "file to convert; - is stdin" }],
    options: [
      { name: "to", value: "FORMAT", choices: FORMATS, help: "layout wanted" },
      { ...HMAC_KEY, help: "opens an HMAC-encrypted private key" },
      SIZE,
      { name: "fill", help: "fill a tlv image with 0xFF to the partition's size" },
      { name: "no-integrity", help: "leave out the integrity entry (SHA-256) at the end" },
      { name: "no-verify", help: "write the image even if verify finds an error in it" },
      OUT_FILE,
      FORCE,
      JSON_OPTION,
    ],
    exit1: "it failed, or the layout cannot carry all that the image holds",
    examples: [{
      permissions: "--allow-read=esp_secure_cert.bin --allow-write=nvs.bin",
      line: "convert esp_secure_cert.bin --to nvs -o nvs.bin",
    }],
  },
  inspect: {
    summary: "show what an image holds, whatever it is",
    arguments: [{
      name: "IMAGE",
      help: "image, dump of flash or partition table; - is stdin",
    }],
    options: [
      {
        name: "offset",
        value: "N",
        help: "where in the file the image starts, decimal or 0x",
        default: "0",
      },
      HMAC_KEY,
      TABLE_OFFSET,
      { name: "show-secrets", help: "print private keys too" },
      JSON_OPTION,
    ],
    exit1: "the file cannot be read, or is no image",
    examples: [{
      permissions: "--allow-read=esp_secure_cert.bin",
      line: "inspect esp_secure_cert.bin",
    }],
  },
  verify: {
    summary: "judge an image",
    arguments: [{ name: "IMAGE", help: "image or dump of flash; - is stdin" }],
    options: [
      { name: "ca", value: "FILE", help: "CA that should have issued the device certificate" },
      SIGNING_KEY,
      CHIP,
      { ...HMAC_KEY, help: "eFuse key that opens DS data and HMAC-encrypted entries" },
      { name: "allow-weak", help: "do not judge RSA keys of 1024 bits an error" },
      {
        name: "now",
        value: "DATE",
        help: "judge at this time, such as 2030-01-31",
        default: "the clock",
      },
      TABLE_OFFSET,
      JSON_OPTION,
    ],
    exit1: "the image is bad, or cannot be read",
    examples: [{
      permissions: "--allow-read=esp_secure_cert.bin,ca",
      line: "verify esp_secure_cert.bin --ca ca/ca.pem",
    }],
  },
} as const satisfies Readonly<Record<string, CommandSpec>>;
