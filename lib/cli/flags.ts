/** Flags that several commands take. A flag of one command is in that command's file. */
import { CHIPS } from "../format/chips/chips.ts";
import { CURVE_SYNONYMS, KEY_MODES, TLV_TYPE_WORDS } from "../format/names.ts";
import type { Flag, Positional } from "./command.ts";

/** Flags that every command takes. */
export const COMMON_FLAGS: readonly Flag[] = [
  {
    name: "color",
    value: "WHEN",
    choices: ["auto", "always", "never"],
    help: "colours",
    default: "auto",
  },
  { name: "help", short: "h", help: "show this help" },
];

/** `--json`. */
export const JSON_FLAG: Flag = { name: "json", help: "one JSON document on stdout" };

/** `--force`. */
export const FORCE: Flag = {
  name: "force",
  help: "replace existing outputs, but no file that holds a key",
};

/** `--force-key`, of commands that write keys. */
export const FORCE_KEY: Flag = {
  name: "force-key",
  help:
    "replace existing outputs, files with a private or eFuse key too:\nthe keys that are in them are lost",
};

/** `--out` for one file. */
export const OUT_FILE: Flag = {
  name: "out",
  short: "o",
  value: "FILE",
  help: "where to write; - is stdout",
};

/** `--out` for a folder. */
export const OUT_DIR: Flag = {
  name: "out",
  short: "o",
  value: "DIR",
  help: "folder to write to",
};

/** `--password-file`. */
export const PASSWORD_FILE: Flag = {
  name: "password-file",
  value: "FILE",
  help: "file whose first line is the password of the private key",
};

/** Kind of a private key to make. */
export const KEY_FLAGS: readonly Flag[] = [
  { name: "type", value: "TYPE", choices: ["ec", "rsa"], help: "kind of key", default: "ec" },
  {
    name: "curve",
    value: "CURVE",
    choices: ["P-256", "P-384", "P-192"],
    synonyms: CURVE_SYNONYMS,
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

/** `--subject`. */
export const SUBJECT: Flag = {
  name: "subject",
  value: "NAME",
  help: 'subject, such as "CN=device 1,O=Example\\, Inc."',
};

/** `--san`. */
export const SAN: Flag = {
  name: "san",
  value: "NAMES",
  repeats: true,
  help: "subject alternative names: dns:…,ip:…,uri:…,email:…",
};

/** `--days`. */
export const DAYS: Flag = {
  name: "days",
  value: "N",
  help: "validity in days, or `forever` for no expiry (99991231235959Z)",
  default: "3650, or until the CA ends",
};

/** `--usage`. */
export const USAGE: Flag = {
  name: "usage",
  value: "USE",
  choices: ["client", "server"],
  repeats: true,
  help: "what the certificate is for; both when given twice",
  default: "client",
};

/** `--ca` for a folder. */
export const CA_DIR: Flag = {
  name: "ca",
  value: "DIR",
  help: "folder with ca.pem and ca.key.pem; a development CA is made there\nwhen it is empty",
  default: "ca",
};

/** `--ca-cert` where the CA that issues the device certificate is another flag. */
export const CA_CERT: Flag = {
  name: "ca-cert",
  value: "FILE",
  help:
    "CA that the device stores and trusts, PEM (a bundle too) or DER,\nsuch as a cloud's AmazonRootCA1.pem",
  default: "the CA that issues its certificate",
};

/** `--ca-command` */
export const CA_COMMAND: Flag = {
  name: "ca-command",
  value: "LINE",
  help:
    'a program signs for the CA: it gets "ecdsa-sha256 BASE64" on a line,\nand answers with the signature in base64; ca.key.pem is not needed',
};

/** `--answer-timeout` */
export const ANSWER_TIMEOUT: Flag = {
  name: "answer-timeout",
  value: "SECONDS",
  help: "how long such a program may take for an answer",
  default: "60",
};

/** `--ca` for the certificate that should have issued others. */
export const ISSUED_BY: Flag = {
  name: "ca",
  value: "FILE",
  help: "CA that should have issued the device certificate",
};

/** `--chip`. */
export const CHIP: Flag = {
  name: "chip",
  value: "NAME",
  choices: Object.keys(CHIPS),
  help: "the chip that the image is for",
};

/** `--table`, of commands that print how to flash an image. */
export const TABLE: Flag = {
  name: "table",
  value: "FILE",
  help: "partition table, binary or CSV: where the printed lines flash the image,\n" +
    "and whether encrypted",
};

/** `--hmac-key`. */
export const HMAC_KEY: Flag = {
  name: "hmac-key",
  value: "FILE",
  help: "the 32 bytes of the eFuse key, raw or as hex",
};

/** `--hmac-key` where an image is read. */
export const OPENING_KEY: Flag = {
  ...HMAC_KEY,
  help: "eFuse key that opens DS data and HMAC-encrypted entries",
};

/** `--key-mode`. */
export const KEY_MODE: Flag = {
  name: "key-mode",
  value: "MODE",
  choices: KEY_MODES,
  help: "how the private key reaches the device; all but plaintext need --chip",
  default: "plaintext",
};

/** `--efuse-key-id`. */
export const EFUSE_KEY_ID: Flag = {
  name: "efuse-key-id",
  value: "N",
  help: "the n of the KEYn that holds the eFuse key",
  default: "1",
};

/** `--format`. */
export const FORMAT: Flag = {
  name: "format",
  value: "FORMAT",
  choices: ["tlv", "cust_flash", "cust_flash_legacy", "nvs", "nvs_legacy"],
  help: "layout of the image",
  default: "tlv",
};

/** `--size` where an image is changed. */
export const NEW_SIZE: Flag = {
  name: "size",
  value: "N",
  help: "size of the partition in bytes, decimal or 0x",
  default: "0x2000, or the image's",
};

/** How an image is written, and whether it is checked first. */
export const WRITING_FLAGS: readonly Flag[] = [
  {
    name: "size",
    value: "N",
    help:
      "size of the partition in bytes, decimal or 0x; without it\n0x2000 for tlv, 0x3000 for nvs, 0x6000 for cust_flash",
  },
  { name: "fill", help: "fill a tlv image with 0xFF to the partition's size" },
  { name: "no-integrity", help: "leave out the integrity entry (SHA-256) at the end" },
  { name: "no-verify", help: "write the image even if verify finds an error in it" },
];

/** `--data`. */
export const DATA: Flag = {
  name: "data",
  value: "TYPE[.SUBTYPE]=…",
  repeats: true,
  help:
    "a further entry: =string:…, =hex:…, =base64:… or =file:…;\nTYPE is user1 to user5, ca, dev, a firmware name or a number",
};

/** The words for TYPE that are offered. */
export const ENTRY_TYPES: readonly string[] = TLV_TYPE_WORDS;

/** What a new image holds beside the certificates, how its key is kept, and its layout. */
export const IMAGE_FLAGS: readonly Flag[] = [
  DATA,
  KEY_MODE,
  EFUSE_KEY_ID,
  { ...HMAC_KEY, default: "made, and written beside the image" },
  { name: "allow-weak", help: "accept RSA keys of 1024 bits" },
  FORMAT,
  ...WRITING_FLAGS,
];

/** `--table-offset`. */
const TABLE_OFFSET: Flag = {
  name: "table-offset",
  value: "N",
  help: "where in a flash dump its partition table is, decimal or 0x",
  default: "0x8000",
};

/** `--offset`. */
const OFFSET: Flag = {
  name: "offset",
  value: "N",
  help: "where in the file the image begins, decimal or 0x; in Intel HEX\nand UF2 its address",
  default: "where it is found",
};

/** Where in a file an image is. */
export const PLACE_FLAGS: readonly Flag[] = [OFFSET, TABLE_OFFSET];

/** What flash encryption needs beside the key. */
const ADDRESS: Flag = {
  name: "address",
  value: "N",
  help: "where in flash the file's first byte is, decimal or 0x",
};

const CONFIG: Flag = {
  name: "config",
  value: "N",
  help: "FLASH_CRYPT_CONFIG of an esp32, 0 to 15",
  default: "15",
};

/** Flash encryption on the host. */
export const FLASH_ENCRYPTION_FLAGS: readonly Flag[] = [CHIP, ADDRESS, CONFIG];

/** What reads a dump of encrypted flash. */
export const FLASH_KEY_FLAGS: readonly Flag[] = [
  {
    name: "flash-key",
    value: "FILE",
    help: "flash encryption key that the file is read with; needs --chip and\n--address",
  },
  ADDRESS,
  CONFIG,
];

/** An image that is changed. */
export const TLV_IMAGE: Positional = {
  name: "IMAGE",
  help: "TLV image, or dump of flash that holds one; - is stdin",
};

/** The folder of a batch. */
export const BATCH_FOLDER: Positional = { name: "DIR", help: "folder that bulk made" };

/** `--id-template`. */
export const ID_TEMPLATE: Flag = {
  name: "id-template",
  value: "TEXT",
  help: "their names",
  default: "dev-{n:06}",
};

/** The devices that a batch should have. */
export const EXPECTED_DEVICES: readonly Flag[] = [
  { name: "devices", value: "FILE", help: "the device list, to find those that are missing" },
  { name: "count", value: "N", help: "or: how many devices there should be" },
  ID_TEMPLATE,
];
