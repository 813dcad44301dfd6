import type { Command } from "../command.ts";
import {
  ANSWER_TIMEOUT,
  BATCH_FOLDER,
  CA_CERT,
  CA_COMMAND,
  CA_DIR,
  CHIP,
  DAYS,
  EFUSE_KEY_ID,
  EXPECTED_DEVICES,
  FORCE,
  FORCE_KEY,
  FORMAT,
  ID_TEMPLATE,
  ISSUED_BY,
  JSON_FLAG,
  KEY_FLAGS,
  KEY_MODE,
  OUT_DIR,
  PASSWORD_FILE,
  SAN,
  SUBJECT,
  USAGE,
} from "../flags.ts";

/** Makes the devices of a list, in a folder that any later run continues. */
export const make: Command = {
  flags: [
    {
      name: "devices",
      value: "FILE",
      help:
        "device list, CSV with a header or NDJSON; - is stdin. Column id is\nneeded; subject, sans, chip, keyMode, efuseKeyId, user1 to user5,\ncertificate and privateKey (files) are used, all others kept",
    },
    { name: "count", value: "N", help: "or: how many devices, at most 10000000" },
    ID_TEMPLATE,
    {
      name: "profile",
      value: "FILE",
      help: "what all share, JSON (lib/batch/profile.schema.json); keys that\nsign the images, too",
    },
    CA_DIR,
    CA_CERT,
    CHIP,
    KEY_MODE,
    EFUSE_KEY_ID,
    ...KEY_FLAGS,
    { ...SUBJECT, help: "subject, with {column} for a column's value", default: "CN={id}" },
    { ...SAN, help: `${SAN.help}; with {column} too` },
    DAYS,
    USAGE,
    { ...FORMAT, help: "layout of the images" },
    {
      name: "labels",
      help: "a QR code of name and serial number for each device, labels/ID.svg",
    },
    { name: "workers", value: "N", help: "threads", default: "one a processor; 1 for few devices" },
    { name: "shard", value: "i/n", help: "make part i of n: every nth device, from the ith on" },
    { name: "csr", help: "stop when keys and signing requests are made" },
    { name: "certificates", value: "DIR", help: "continue with the certificates that were issued" },
    {
      name: "keys",
      value: "DIR",
      help:
        "take ready keys: ID.pem is for the device ID, the others for those\nwithout one, in the order of their names",
    },
    {
      name: "key-command",
      value: "LINE",
      help: "run a program for each key, which prints it as PEM; {id} is the\ndevice's name",
    },
    {
      name: "key-server",
      value: "LINE",
      help:
        'or: a program for each thread that gets "ec P-256" or "rsa 2048" on\na line, and answers with a PKCS#8 key in base64',
    },
    CA_COMMAND,
    ANSWER_TIMEOUT,
    { name: "retry-failed", help: "try the devices again that failed before" },
    PASSWORD_FILE,
    OUT_DIR,
    { ...JSON_FLAG, help: "a JSON line a second, and a summary at the end, on stdout" },
  ],
  exit1: "a device failed, or not all is done; the same command continues",
  examples: [{
    permissions: "--allow-read=ca,batch --allow-write=ca,batch",
    line: "bulk --count 3 --chip esp32c3 -o batch",
  }],
  async run(args, io) {
    const { runBulk } = await import("../batch/run/bulk.ts");
    return await runBulk(args, io);
  },
};

/** Says how far a batch is. */
export const status: Command = {
  positionals: [BATCH_FOLDER],
  flags: [JSON_FLAG],
  exit1: "the folder or its journal is missing, damaged or cannot be read",
  examples: [{ permissions: "--allow-read=batch", line: "bulk status batch" }],
  async run(args, io) {
    const { bulkStatus } = await import("../batch/check/status.ts");
    return await bulkStatus(args, io);
  },
};

/** Reads every file of a batch back and checks it: exit code 1 when something is wrong. */
export const verify: Command = {
  positionals: [BATCH_FOLDER],
  flags: [
    { ...ISSUED_BY, help: "CA that should have issued the device certificates" },
    { ...CHIP, help: "the chip that the images are for" },
    ...EXPECTED_DEVICES,
    { name: "allow-weak", help: "accept RSA keys of 1024 bits" },
    JSON_FLAG,
  ],
  exit1: "something is wrong; it is listed, with --json all of it",
  examples: [{ permissions: "--allow-read=batch,ca", line: "bulk verify batch --ca ca/ca.pem" }],
  async run(args, io) {
    const { bulkVerify } = await import("../batch/check/verify.ts");
    return await bulkVerify(args, io);
  },
};

/** Joins the folders of shards: checks all of them first, and writes nothing when one is wrong. */
export const merge: Command = {
  positionals: [{ name: "DIR", help: "folder of a shard", repeats: true }],
  flags: [
    ...EXPECTED_DEVICES,
    { name: "keep-failed", help: "take failed devices over as such, instead of refusing" },
    { name: "copy", help: "copy the files; they are hard links where the disk can" },
    OUT_DIR,
    FORCE,
    FORCE_KEY,
    JSON_FLAG,
  ],
  exit1: "a device is missing, failed or there twice, or --out is in use; nothing is written then",
  examples: [{
    permissions: "--allow-read=batch,whole --allow-write=batch,whole",
    line: "bulk merge batch -o whole",
  }],
  async run(args, io) {
    const { bulkMerge } = await import("../batch/merge/merge.ts");
    return await bulkMerge(args, io);
  },
};
