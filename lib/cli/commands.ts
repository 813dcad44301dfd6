import type { Command, NamedCommand } from "./command.ts";

/** A command that has a file of its own. */
interface Listed {
  /** One line. */
  readonly summary: string;
  readonly load: () => Promise<{ readonly command: Command }>;
}

/**
 * Every command, in the order of the help. Its file is loaded when it is wanted: `--help` loads none,
 * which would be a third of its time, and an image is inspected without the code that issues
 * certificates.
 */
const COMMANDS = {
  "keygen": { summary: "make a private key", load: () => import("./commands/keygen.ts") },
  "ca": {
    summary: "make a self-signed or intermediate CA",
    load: () => import("./commands/ca.ts"),
  },
  "csr": { summary: "make a certificate signing request", load: () => import("./commands/csr.ts") },
  "issue": { summary: "issue a device certificate", load: () => import("./commands/issue.ts") },
  "provision": {
    summary: "one device end to end: key, certificate, image, verified",
    load: () => import("./commands/provision.ts"),
  },
  "build": {
    summary: "build an image from files, or from a CSV",
    load: () => import("./commands/build.ts"),
  },
  "convert": {
    summary: "write an image in another layout",
    load: () => import("./commands/convert.ts"),
  },
  "inspect": {
    summary: "show what an image, a dump or a partition table holds",
    load: () => import("./commands/inspect.ts"),
  },
  "verify": {
    summary: "check an image as the device would read it",
    load: () => import("./commands/verify.ts"),
  },
  "connect": {
    summary: "prove an image by a TLS handshake, as the device would make it",
    load: () => import("./commands/connect.ts"),
  },
  "serve": {
    summary: "a TLS server that requires device certificates, for testing firmware",
    load: () => import("./commands/serve.ts"),
  },
  "sign": {
    summary: "sign an image for the firmware's secure verification",
    load: () => import("./commands/sign.ts"),
  },
  "append": {
    summary: "add entries to an image, or replace some",
    load: () => import("./commands/append.ts"),
  },
  "diff": {
    summary: "compare two images entry by entry",
    load: () => import("./commands/diff.ts"),
  },
  "extract": {
    summary: "take an image apart into a CSV that builds the same image again",
    load: () => import("./commands/extract.ts"),
  },
  "encrypt": {
    summary: "encrypt an image as it is in encrypted flash",
    load: () => import("./commands/encrypt.ts"),
  },
  "decrypt": {
    summary: "decrypt what was read from encrypted flash",
    load: () => import("./commands/decrypt.ts"),
  },
  "configure": {
    summary: "the flags of Espressif's configure_esp_secure_cert.py 2.6.1",
    load: () => import("./commands/configure.ts"),
  },
  "bulk": {
    summary: "many devices from a list: images, keys, certificates, manifests",
    load: async () => ({ command: (await import("./commands/bulk.ts")).make }),
  },
  "bulk status": {
    summary: "show the progress of a batch",
    load: async () => ({ command: (await import("./commands/bulk.ts")).status }),
  },
  "bulk verify": {
    summary: "read every file of a batch back and check it",
    load: async () => ({ command: (await import("./commands/bulk.ts")).verify }),
  },
  "bulk merge": {
    summary: "join the folders of the shards of a batch",
    load: async () => ({ command: (await import("./commands/bulk.ts")).merge }),
  },
  "bulk export": {
    summary: "export the certificates of a batch for a cloud service",
    load: () => import("./commands/bulk_export.ts"),
  },
  "chips": { summary: "what each chip can do", load: () => import("./commands/chips.ts") },
  "completions": {
    summary: "print a completion script for a shell",
    load: () => import("./commands/completions.ts"),
  },
} as const satisfies Readonly<Record<string, Listed>>;

/** Name of a command: one word, or two such as `bulk status`. */
export type CommandName = keyof typeof COMMANDS;

/** The names of the commands and what each does in one line, in the order of the help. */
export const SUMMARIES: readonly { readonly name: CommandName; readonly summary: string }[] = Object
  .entries(COMMANDS).map(([name, { summary }]) => ({ name: name as CommandName, summary }));

/** Whether text is the name of a command. */
export function isCommandName(text: string): text is CommandName {
  return Object.hasOwn(COMMANDS, text);
}

/** A command. */
export async function loadCommand(name: CommandName): Promise<NamedCommand> {
  const { summary, load } = COMMANDS[name];
  return { name, summary, ...(await load()).command };
}

/** Every command, in the order of the help. */
export async function loadCommands(): Promise<readonly NamedCommand[]> {
  return await Promise.all(SUMMARIES.map(({ name }) => loadCommand(name)));
}
