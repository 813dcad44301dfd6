import {
  CHIP,
  type CommandSpec,
  DAYS,
  FORMATS,
  JSON_OPTION,
  KEY_MODE_OPTIONS,
  KEY_OPTIONS,
  OUT_DIR,
  PASSWORD_FILE,
  SAN,
  SUBJECT,
  USAGE,
} from "./flags.ts";

const KEY_PLACE = KEY_MODE_OPTIONS.filter(({ name }) =>
  ["key-mode", "efuse-key-id"].includes(name)
);

/** The command that makes a batch. */
export const BULK_COMMANDS = {
  bulk: {
    summary: "many devices from a list: images, keys, certificates, manifests",
    arguments: [],
    options: [
      {
        name: "devices",
        value: "FILE",
        help:
          "device list, CSV with a header or NDJSON; - is stdin. Column id is\nneeded; subject, sans, chip, keyMode, efuseKeyId, user1 to user5,\ncertificate and privateKey (files) are used, all others kept",
      },
      { name: "count", value: "N", help: "or: how many devices" },
      { name: "id-template", value: "TEXT", help: "their names", default: "dev-{n:06}" },
      {
        name: "profile",
        value: "FILE",
        help: "what all share, JSON (bulk-profile.schema.json); keys that\nsign the images, too",
      },
      {
        name: "ca",
        value: "DIR",
        help: "folder with ca.pem and ca.key.pem; a development CA is made there\nwhen it is empty",
        default: "ca",
      },
      CHIP,
      ...KEY_PLACE,
      ...KEY_OPTIONS,
      { ...SUBJECT, help: "subject, with {column} for a column's value", default: "CN={id}" },
      { ...SAN, help: `${SAN.help}; with {column} too` },
      DAYS,
      USAGE,
      {
        name: "format",
        value: "FORMAT",
        choices: FORMATS,
        help: "layout of the images",
        default: "tlv",
      },
      {
        name: "labels",
        help: "a QR code of name and serial number for each device, labels/ID.svg",
      },
      { name: "workers", value: "N", help: "threads", default: "one a processor" },
      {
        name: "shard",
        value: "i/n",
        help: "make part i of n: every nth device, from the ith on",
      },
      { name: "csr", help: "stop when keys and signing requests are made" },
      { name: "certificates", value: "DIR", help: "go on with the certificates that were issued" },
      { name: "keys", value: "DIR", help: "take ready keys, each for one device" },
      {
        name: "key-command",
        value: "LINE",
        help: "run a program for each key, which prints it as PEM; {id} is the\ndevice's name",
      },
      { name: "retry-failed", help: "try the devices again that failed before" },
      PASSWORD_FILE,
      OUT_DIR,
      { ...JSON_OPTION, help: "a JSON line a second, and a summary at the end, on stdout" },
    ],
    exit1: "a device failed, or not all is done; the same command goes on",
    examples: [{
      permissions: "--allow-read=ca,batch --allow-write=ca,batch",
      line: "bulk --count 3 --chip esp32c3 -o batch",
    }],
  },
} as const satisfies Readonly<Record<string, CommandSpec>>;
