/** A flag of a command. */
export interface OptionSpec {
  /** Name without dashes. */
  readonly name: string;
  /** One-letter form. */
  readonly short?: string;
  /** What stands for the value in the help; a flag without it takes none. */
  readonly value?: string;
  /** The only values taken. */
  readonly choices?: readonly string[];
  /** Whether it may be given several times. */
  readonly repeats?: boolean;
  /** One line, or lines. */
  readonly help: string;
  /** What holds when it is not given, in words. */
  readonly default?: string;
}

/** A command. */
export interface CommandSpec {
  /** One line. */
  readonly summary: string;
  /** What stands behind the command's name, in order. */
  readonly arguments: readonly { readonly name: string; readonly help: string }[];
  readonly options: readonly OptionSpec[];
  /** What each exit code means, when it is not the usual. */
  readonly exit1?: string;
  /** Command lines that work, with the permissions they need before the script's name. */
  readonly examples: readonly { readonly permissions: string; readonly line: string }[];
}

const JSON_OPTION: OptionSpec = { name: "json", help: "one JSON document on stdout" };
const FORCE: OptionSpec = { name: "force", help: "replace an existing output" };
const OUT_FILE: OptionSpec = {
  name: "out",
  short: "o",
  value: "FILE",
  help: "where to write; - is stdout",
};
const OUT_DIR: OptionSpec = { name: "out", short: "o", value: "DIR", help: "folder to write to" };
const PASSWORD_FILE: OptionSpec = {
  name: "password-file",
  value: "FILE",
  help: "file whose first line is the password of the private key",
};

/** Flags that every command takes. */
export const COMMON_OPTIONS: readonly OptionSpec[] = [
  {
    name: "color",
    value: "WHEN",
    choices: ["auto", "always", "never"],
    help: "colours",
    default: "auto",
  },
  { name: "help", short: "h", help: "show this help" },
];

const KEY_OPTIONS: readonly OptionSpec[] = [
  { name: "type", value: "TYPE", choices: ["ec", "rsa"], help: "kind of key", default: "ec" },
  {
    name: "curve",
    value: "CURVE",
    choices: ["P-256", "P-384", "P-192"],
    help: "curve of an EC key",
    default: "P-256",
  },
  {
    name: "bits",
    value: "N",
    choices: ["2048", "3072", "4096"],
    help: "length of an RSA key in bits",
    default: "2048",
  },
];

const DAYS: OptionSpec = {
  name: "days",
  value: "N",
  help: "validity in days, or `forever` for no expiry (99991231235959Z)",
  default: "3650",
};

const SUBJECT: OptionSpec = {
  name: "subject",
  value: "NAME",
  help: 'subject, such as "CN=device 1,O=Example\\, Inc."',
};

const SAN: OptionSpec = {
  name: "san",
  value: "NAMES",
  repeats: true,
  help: "subject alternative names: dns:…,ip:…,uri:…,email:…",
};

const USAGE: OptionSpec = {
  name: "usage",
  value: "USE",
  choices: ["client", "server"],
  repeats: true,
  help: "what the certificate is for; both when given twice",
  default: "client",
};

const IMAGE_OPTIONS: readonly OptionSpec[] = [
  {
    name: "data",
    value: "TYPE[.SUBTYPE]=…",
    repeats: true,
    help:
      "a further entry: =string:…, =hex:…, =base64:… or =file:…;\nTYPE is user1 to user5, ca, dev, a firmware name or a number",
  },
  {
    name: "key-mode",
    value: "MODE",
    choices: ["plaintext"],
    help: "how the private key reaches the device",
    default: "plaintext",
  },
  {
    name: "format",
    value: "FORMAT",
    choices: ["tlv"],
    help: "layout of the image",
    default: "tlv",
  },
  {
    name: "size",
    value: "N",
    help: "size of the partition in bytes, decimal or 0x",
    default: "0x2000",
  },
  { name: "fill", help: "fill the image with 0xFF to the partition's size" },
  { name: "no-integrity", help: "leave out the integrity entry (SHA-256) at the end" },
  { name: "no-verify", help: "write the image even if verify finds an error in it" },
];

const CHIPS =
  "esp32 esp32s2 esp32s3 esp32c2 esp32c3 esp32c5 esp32c6 esp32c61 esp32h2 esp32h21 esp32p4 esp32s31"
    .split(" ");

const CHIP: OptionSpec = {
  name: "chip",
  value: "NAME",
  choices: CHIPS,
  help: "the chip that the image is for",
};

/** Every command with its flags: what is parsed, what --help prints and what completions offer. */
export const COMMANDS = {
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
    summary: "build an image from files",
    arguments: [],
    options: [
      { name: "device-cert", value: "FILE", help: "device certificate, PEM (a bundle too) or DER" },
      { name: "ca-cert", value: "FILE", help: "CA certificate, PEM (a bundle too) or DER" },
      { name: "private-key", value: "FILE", help: "private key in any encoding" },
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
  inspect: {
    summary: "show what an image holds, whatever it is",
    arguments: [{ name: "IMAGE", help: "file to look at; - is stdin" }],
    options: [
      {
        name: "offset",
        value: "N",
        help: "where in the file the image starts, decimal or 0x",
        default: "0",
      },
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
    arguments: [{ name: "IMAGE", help: "file to judge; - is stdin" }],
    options: [
      { name: "ca", value: "FILE", help: "CA that should have issued the device certificate" },
      CHIP,
      {
        name: "now",
        value: "DATE",
        help: "judge at this time, such as 2030-01-31",
        default: "the clock",
      },
      JSON_OPTION,
    ],
    exit1: "the image is bad, or cannot be read",
    examples: [{
      permissions: "--allow-read=esp_secure_cert.bin,ca",
      line: "verify esp_secure_cert.bin --ca ca/ca.pem",
    }],
  },
  completions: {
    summary: "print a completion script for a shell",
    arguments: [{ name: "SHELL", help: "bash, zsh or fish" }],
    options: [],
    examples: [{
      permissions: "",
      line: "completions bash > ~/.local/share/bash-completion/completions/esp-secure-cert",
    }],
  },
} as const satisfies Readonly<Record<string, CommandSpec>>;

/** Name of a command. */
export type CommandName = keyof typeof COMMANDS;

/** The table's row of a command. */
export function commandSpec(name: CommandName): CommandSpec {
  return COMMANDS[name];
}

/** Whether a word is a command. */
export function isCommand(word: string): word is CommandName {
  return Object.hasOwn(COMMANDS, word);
}
