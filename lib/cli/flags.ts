import { CHIPS } from "../format/chips/chips.ts";
import { KEY_MODES } from "../format/names.ts";

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

/** What stands behind a command's name. */
export interface ArgumentSpec {
  readonly name: string;
  readonly help: string;
  /** Whether more of it may follow. */
  readonly repeats?: boolean;
}

/** A command. */
export interface CommandSpec {
  /** One line. */
  readonly summary: string;
  /** What stands behind the command's name, in order; the last may repeat. */
  readonly arguments: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  /** The command parses its own words; the table is for help and completions. */
  readonly raw?: true;
  /** What each exit code means, when it is not the usual. */
  readonly exit1?: string;
  /** Command lines that work, with the permissions they need before the script's name. */
  readonly examples: readonly { readonly permissions: string; readonly line: string }[];
}

/** `--json`. */
export const JSON_OPTION: OptionSpec = { name: "json", help: "one JSON document on stdout" };
/** `--force`. */
export const FORCE: OptionSpec = { name: "force", help: "replace an existing output" };
/** `--out` for one file. */
export const OUT_FILE: OptionSpec = {
  name: "out",
  short: "o",
  value: "FILE",
  help: "where to write; - is stdout",
};
/** `--out` for a folder. */
export const OUT_DIR: OptionSpec = {
  name: "out",
  short: "o",
  value: "DIR",
  help: "folder to write to",
};
/** `--password-file`. */
export const PASSWORD_FILE: OptionSpec = {
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

/** Kind of a private key to make. */
export const KEY_OPTIONS: readonly OptionSpec[] = [
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

/** `--days`. */
export const DAYS: OptionSpec = {
  name: "days",
  value: "N",
  help: "validity in days, or `forever` for no expiry (99991231235959Z)",
  default: "3650",
};

/** `--subject`. */
export const SUBJECT: OptionSpec = {
  name: "subject",
  value: "NAME",
  help: 'subject, such as "CN=device 1,O=Example\\, Inc."',
};

/** `--san`. */
export const SAN: OptionSpec = {
  name: "san",
  value: "NAMES",
  repeats: true,
  help: "subject alternative names: dns:…,ip:…,uri:…,email:…",
};

/** `--usage`. */
export const USAGE: OptionSpec = {
  name: "usage",
  value: "USE",
  choices: ["client", "server"],
  repeats: true,
  help: "what the certificate is for; both when given twice",
  default: "client",
};

/** Every layout that the firmware reads. */
export const FORMATS: readonly string[] = [
  "tlv",
  "cust_flash",
  "cust_flash_legacy",
  "nvs",
  "nvs_legacy",
];

/** `--size`. */
export const SIZE: OptionSpec = {
  name: "size",
  value: "N",
  help:
    "size of the partition in bytes, decimal or 0x; without it\n0x2000 for tlv, 0x3000 for nvs, 0x6000 for cust_flash",
};

/** `--hmac-key`. */
export const HMAC_KEY: OptionSpec = {
  name: "hmac-key",
  value: "FILE",
  help: "the 32 bytes of the eFuse key, raw or as hex",
};

/** How the private key reaches the device. */
export const KEY_MODE_OPTIONS: readonly OptionSpec[] = [
  {
    name: "key-mode",
    value: "MODE",
    choices: KEY_MODES,
    help: "how the private key reaches the device; all but plaintext need --chip",
    default: "plaintext",
  },
  {
    name: "efuse-key-id",
    value: "N",
    help: "the n of the KEYn that holds the eFuse key",
    default: "1",
  },
  { ...HMAC_KEY, default: "made, and written beside the image" },
  { name: "allow-weak", help: "accept RSA keys of 1024 bits" },
];

/** What an image holds beside the credentials, and its layout. */
export const IMAGE_OPTIONS: readonly OptionSpec[] = [
  {
    name: "data",
    value: "TYPE[.SUBTYPE]=…",
    repeats: true,
    help:
      "a further entry: =string:…, =hex:…, =base64:… or =file:…;\nTYPE is user1 to user5, ca, dev, a firmware name or a number",
  },
  ...KEY_MODE_OPTIONS,
  {
    name: "format",
    value: "FORMAT",
    choices: FORMATS,
    help: "layout of the image",
    default: "tlv",
  },
  SIZE,
  { name: "fill", help: "fill a tlv image with 0xFF to the partition's size" },
  { name: "no-integrity", help: "leave out the integrity entry (SHA-256) at the end" },
  { name: "no-verify", help: "write the image even if verify finds an error in it" },
];

/** `--chip`. */
export const CHIP: OptionSpec = {
  name: "chip",
  value: "NAME",
  choices: Object.keys(CHIPS),
  help: "the chip that the image is for",
};
