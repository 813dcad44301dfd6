import { usageError } from "../errors.ts";
import { COMMON_OPTIONS, type OptionSpec } from "../flags.ts";
import { type CommandName, COMMANDS, commandSpec } from "../options.ts";
import type { Command } from "../run.ts";

const PROGRAM = "esp-secure-cert";

/** Prints a completion script for a shell. */
export const completions: Command = (args, io) => {
  const shell = args.positionals[0]!;
  if (!Object.hasOwn(SHELLS, shell)) {
    throw usageError(`completions are for bash, zsh and fish, not "${shell}"`);
  }
  io.print(SHELLS[shell as keyof typeof SHELLS]());
  return Promise.resolve(0);
};

const SHELLS = { bash, zsh, fish };

const NAMES = Object.keys(COMMANDS) as CommandName[];

function bash(): string {
  const cases = NAMES.map((name) => {
    const choices = optionsOf(name).filter((option) => option.choices !== undefined)
      .map((option) =>
        `      --${option.name}) COMPREPLY=($(compgen -W "${
          option.choices!.join(" ")
        }" -- "$cur")); return;;`
      );
    const flags = optionsOf(name).map((option) => `--${option.name}`).join(" ");
    return [
      `    ${name})`,
      '      case "$prev" in',
      ...choices,
      "      esac",
      `      flags="${flags}";;`,
    ].join("\n");
  });
  return [
    "_esp_secure_cert() {",
    '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" flags=""',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W "${NAMES.join(" ")} --help --version" -- "$cur")); return`,
    "  fi",
    '  case "${COMP_WORDS[1]}" in',
    ...cases,
    "  esac",
    '  case "$cur" in',
    '    -*) COMPREPLY=($(compgen -W "$flags" -- "$cur"));;',
    '    *) COMPREPLY=($(compgen -f -- "$cur"));;',
    "  esac",
    "}",
    `complete -o filenames -F _esp_secure_cert ${PROGRAM}`,
  ].join("\n");
}

function zsh(): string {
  const cases = NAMES.map((name) => {
    const flags = optionsOf(name).map((option) => {
      const value = option.value === undefined
        ? ""
        : `:${option.value}:${option.choices ? `(${option.choices.join(" ")})` : "_files"}`;
      return `'${option.repeats ? "*" : ""}--${option.name}[${plain(option.help)}]${value}'`;
    });
    return `    ${name}) _arguments ${flags.join(" ")} '*:file:_files';;`;
  });
  const commands = NAMES.map((name) => `'${name}:${plain(commandSpec(name).summary)}'`).join(" ");
  return [
    `#compdef ${PROGRAM}`,
    `_esp_secure_cert() {`,
    "  if (( CURRENT == 2 )); then",
    `    local -a commands=(${commands}); _describe command commands; return`,
    "  fi",
    "  local command=$words[2]; shift words; (( CURRENT-- ))",
    "  case $command in",
    ...cases,
    "  esac",
    "}",
    '_esp_secure_cert "$@"',
  ].join("\n");
}

function fish(): string {
  return NAMES.flatMap((name) => [
    `complete -c ${PROGRAM} -n __fish_use_subcommand -a ${name} -d '${
      plain(commandSpec(name).summary)
    }'`,
    ...optionsOf(name).map((option) => {
      const value = option.value === undefined
        ? ""
        : option.choices === undefined
        ? " -r"
        : ` -x -a '${option.choices.join(" ")}'`;
      return `complete -c ${PROGRAM} -n '__fish_seen_subcommand_from ${name}' -l ${option.name}${value} -d '${
        plain(option.help)
      }'`;
    }),
  ]).join("\n");
}

function optionsOf(name: CommandName): readonly OptionSpec[] {
  return [...commandSpec(name).options, ...COMMON_OPTIONS];
}

/** Help text without what a shell would read as its own. */
function plain(text: string): string {
  return text.split("\n")[0]!.replace(/['[\]:\\$`"]/g, " ").trim();
}
