import {
  type CommandSpec,
  DAYS,
  FORCE,
  JSON_OPTION,
  KEY_OPTIONS,
  OUT_DIR,
  OUT_FILE,
  PASSWORD_FILE,
  SAN,
  SUBJECT,
  USAGE,
} from "./flags.ts";

/** The commands that make keys and certificates. */
export const CREDENTIAL_COMMANDS = {
  keygen: {
    summary: "make a private key",
    arguments: [],
    options: [
      ...KEY_OPTIONS,
      {
        name: "encoding",
        value: "ENCODING",
        choices: ["pkcs8", "traditional"],
        help: "PKCS#8, or PKCS#1 and SEC1",
        default: "pkcs8",
      },
      {
        name: "form",
        value: "FORM",
        choices: ["pem", "der"],
        help: "PEM text or DER",
        default: "pem",
      },
      { name: "public", value: "FILE", help: "write the public key there too, as PEM" },
      OUT_FILE,
      FORCE,
      JSON_OPTION,
    ],
    examples: [
      { permissions: "--allow-write=device.key.pem", line: "keygen -o device.key.pem" },
      {
        permissions: "--allow-write=rsa.key.pem",
        line: "keygen --type rsa --bits 2048 -o rsa.key.pem",
      },
    ],
  },
  ca: {
    summary: "make a self-signed or intermediate CA",
    arguments: [],
    options: [
      SUBJECT,
      DAYS,
      ...KEY_OPTIONS,
      { name: "key", value: "FILE", help: "use this private key instead of making one" },
      { name: "issuer", value: "FILE", help: "certificate of the CA above" },
      { name: "issuer-key", value: "FILE", help: "its private key" },
      {
        name: "path-length",
        value: "N",
        help: "how many CAs may follow below",
        default: "0 under an issuer, no limit for a root",
      },
      PASSWORD_FILE,
      OUT_DIR,
      FORCE,
      JSON_OPTION,
    ],
    examples: [
      {
        permissions: "--allow-read=ca --allow-write=ca",
        line: 'ca --subject "CN=Example Root CA,O=Example" -o ca',
      },
    ],
  },
  csr: {
    summary: "make a certificate signing request",
    arguments: [],
    options: [
      { name: "key", value: "FILE", help: "private key to be certified" },
      SUBJECT,
      SAN,
      PASSWORD_FILE,
      OUT_FILE,
      FORCE,
      JSON_OPTION,
    ],
    examples: [
      {
        permissions: "--allow-read=device.key.pem --allow-write=device.csr",
        line: 'csr --key device.key.pem --subject "CN=device-1" -o device.csr',
      },
    ],
  },
  issue: {
    summary: "issue a device certificate",
    arguments: [],
    options: [
      { name: "csr", value: "FILE", help: "signing request to answer" },
      { name: "key", value: "FILE", help: "or: the device's private key" },
      SUBJECT,
      { name: "ca", value: "FILE", help: "certificate of the CA" },
      { name: "ca-key", value: "FILE", help: "private key of the CA" },
      DAYS,
      SAN,
      USAGE,
      PASSWORD_FILE,
      OUT_FILE,
      FORCE,
      JSON_OPTION,
    ],
    examples: [
      {
        permissions: "--allow-read=device.csr,ca --allow-write=device.pem",
        line:
          "issue --csr device.csr --ca ca/ca.pem --ca-key ca/ca.key.pem --days 365 -o device.pem",
      },
    ],
  },
} as const satisfies Readonly<Record<string, CommandSpec>>;
