import { CHIP, type CommandSpec, FORCE, JSON_OPTION, type OptionSpec, OUT_DIR } from "./flags.ts";

const FOLDER = { name: "DIR", help: "folder that bulk has made" } as const;
const ISSUER = { name: "ca", value: "FILE" } as const;

/** The flags that say which devices a batch should have. */
const EXPECTED_OPTIONS: readonly OptionSpec[] = [
  { name: "devices", value: "FILE", help: "the device list, to find those that are missing" },
  { name: "count", value: "N", help: "or: how many devices there should be" },
  { name: "id-template", value: "TEXT", help: "their names", default: "dev-{n:06}" },
];

/** What is done with the folder of a batch. */
export const BATCH_COMMANDS = {
  "bulk status": {
    summary: "how far a batch is",
    arguments: [FOLDER],
    options: [JSON_OPTION],
    exit1: "the folder is none of a batch, or cannot be read",
    examples: [{ permissions: "--allow-read=batch", line: "bulk status batch" }],
  },
  "bulk verify": {
    summary: "read every file of a batch back and judge it",
    arguments: [FOLDER],
    options: [
      { ...ISSUER, help: "CA that should have issued the device certificates" },
      { ...CHIP, help: "the chip that the images are for" },
      ...EXPECTED_OPTIONS,
      { name: "allow-weak", help: "do not judge RSA keys of 1024 bits an error" },
      JSON_OPTION,
    ],
    exit1: "something is wrong; it is listed, with --json all of it",
    examples: [{ permissions: "--allow-read=batch,ca", line: "bulk verify batch --ca ca/ca.pem" }],
  },
  "bulk merge": {
    summary: "join the folders of the shards of a batch",
    arguments: [{ name: "DIR", help: "folder of a shard", repeats: true }],
    options: [
      ...EXPECTED_OPTIONS,
      { name: "keep-failed", help: "take failed devices over as such, instead of refusing" },
      { name: "copy", help: "copy the files; they are hard links where the disk can" },
      OUT_DIR,
      FORCE,
      JSON_OPTION,
    ],
    exit1:
      "a device is missing, failed or there twice, or --out is in use; nothing is written then",
    examples: [{
      permissions: "--allow-read=batch,whole --allow-write=batch,whole",
      line: "bulk merge batch -o whole",
    }],
  },
  "bulk export": {
    summary: "a batch's certificates as a cloud service takes them",
    arguments: [FOLDER],
    options: [
      {
        name: "to",
        value: "SERVICE",
        choices: ["aws", "azure", "rainmaker", "csv"],
        help: "AWS IoT, Azure DPS, ESP RainMaker, or plain CSV",
      },
      { ...ISSUER, help: "aws, azure: CA that issued the device certificates" },
      { name: "policy", value: "NAME", help: "aws: policy to attach to every certificate" },
      {
        name: "group",
        value: "NAME",
        help: "azure: name of the enrolment group",
        default: "devices",
      },
      { name: "partial", help: "export what is done of a batch that is not" },
      OUT_DIR,
      FORCE,
      JSON_OPTION,
    ],
    exit1:
      "it failed, the batch is not done, or a device is not fit for it; nothing is written then",
    examples: [{
      permissions: "--allow-read=batch,ca,aws --allow-write=aws",
      line: "bulk export batch --to aws --ca ca/ca.pem -o aws",
    }],
  },
} as const satisfies Readonly<Record<string, CommandSpec>>;
