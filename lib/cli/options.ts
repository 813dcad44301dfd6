import type { CommandSpec } from "./flags.ts";
import { BATCH_COMMANDS } from "./options_bulk.ts";
import { BULK_COMMANDS } from "./options_bulk_run.ts";
import { CREDENTIAL_COMMANDS } from "./options_credentials.ts";
import { EDIT_COMMANDS } from "./options_edit.ts";
import { IMAGE_COMMANDS } from "./options_images.ts";
import { PORT_COMMANDS } from "./options_port.ts";
import { SHELL_COMMANDS } from "./options_shell.ts";

/** Every command with its flags: what is parsed, what --help prints and what completions offer. */
export const COMMANDS = {
  ...CREDENTIAL_COMMANDS,
  ...IMAGE_COMMANDS,
  ...EDIT_COMMANDS,
  ...PORT_COMMANDS,
  ...BULK_COMMANDS,
  ...BATCH_COMMANDS,
  ...SHELL_COMMANDS,
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
