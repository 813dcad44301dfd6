import { type CommandSpec, JSON_OPTION } from "./flags.ts";

/** The commands for the shell itself. */
export const SHELL_COMMANDS = {
  chips: {
    summary: "what each chip can do",
    arguments: [],
    options: [JSON_OPTION],
    examples: [{ permissions: "", line: "chips" }],
  },
  completions: {
    summary: "print a completion script for a shell",
    arguments: [{ name: "SHELL", help: "bash, zsh or fish" }],
    options: [JSON_OPTION],
    examples: [{
      permissions: "",
      line: "completions bash > ~/.local/share/bash-completion/completions/esp-secure-cert",
    }],
  },
} as const satisfies Readonly<Record<string, CommandSpec>>;
