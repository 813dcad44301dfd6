import type { Command, Flag, NamedCommand } from "../command.ts";
import { COMMON_FLAGS, JSON_FLAG } from "../flags.ts";

const PROGRAM = "esp-secure-cert";
const SHELLS = { bash, zsh, fish };

/** Prints a completion script for a shell. */
export const command: Command = {
  positionals: [{ name: "SHELL", choices: ["bash", "zsh", "fish"], help: "bash, zsh or fish" }],
  flags: [JSON_FLAG],
  examples: [{
    permissions: "",
    line: "completions bash > ~/.local/share/bash-completion/completions/esp-secure-cert",
  }],
  async run(args, io, loadCommands) {
    const shell = args.positionals[0] as keyof typeof SHELLS;
    const script = SHELLS[shell](await loadCommands());
    io.print(args.has("json") ? JSON.stringify({ shell, script }) : script);
    return 0;
  },
};

/** A first word of command lines: a command, or what two-word commands begin with. */
interface FirstWord {
  readonly word: string;
  /** What its command does, or which commands begin with it. */
  readonly summary: string;
  /** The second words of two-word commands. */
  readonly seconds: readonly string[];
}

function firstWords(commands: readonly NamedCommand[]): FirstWord[] {
  const words = new Set(commands.map(({ name }) => name.split(" ")[0]!));
  return [...words].map((word) => {
    const seconds = commands.filter(({ name }) => name.startsWith(`${word} `))
      .map(({ name }) => name.slice(word.length + 1));
    const summary = commands.find(({ name }) => name === word)?.summary ?? seconds.join(", ");
    return { word, summary: plain(summary), seconds };
  });
}

function pairsOf(commands: readonly NamedCommand[]): NamedCommand[] {
  return commands.filter(({ name }) => name.includes(" "));
}

function bash(commands: readonly NamedCommand[]): string {
  const words = firstWords(commands);
  const pairs = pairsOf(commands).map(({ name }) => `"${name}"`).join("|");
  const cases = commands.map((command) => {
    const flags = flagsOf(command);
    const choices = flags.filter((flag) => flag.choices !== undefined).map((flag) => {
      const reply = `COMPREPLY=($(compgen -W "${flag.choices!.join(" ")}" -- "$cur"))`;
      return `      --${flag.name}) ${reply}; return;;`;
    });
    return [
      `    "${command.name}")`,
      '      case "$prev" in',
      ...choices,
      "      esac",
      `      flags="${flags.map(({ name }) => `--${name}`).join(" ")}";;`,
    ].join("\n");
  });
  const first = words.map(({ word }) => word).join(" ");
  return [
    "_esp_secure_cert() {",
    '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" flags=""',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W "${first} --help --version" -- "$cur")); return`,
    "  fi",
    '  local command="${COMP_WORDS[1]}"',
    `  case "$command \${COMP_WORDS[2]}" in ${pairs}) command="$command \${COMP_WORDS[2]}";; esac`,
    '  if [ "$COMP_CWORD" -eq 2 ] && [[ "$cur" != -* ]]; then',
    '    case "$command" in',
    ...secondWords(
      words,
      (word, seconds) =>
        `      ${word}) COMPREPLY=($(compgen -W "${seconds}" -- "$cur")); return;;`,
    ),
    "    esac",
    "  fi",
    '  case "$command" in',
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

function zsh(commands: readonly NamedCommand[]): string {
  const words = firstWords(commands);
  const pairs = pairsOf(commands).map(({ name }) => `"${name}"`).join("|");
  const cases = commands.map((command) => {
    const flags = flagsOf(command).map(({ name, value, choices, repeats, help }) => {
      const values = choices === undefined ? "_files" : `(${choices.join(" ")})`;
      const taken = value === undefined ? "" : `:${value}:${values}`;
      return `'${repeats ? "*" : ""}--${name}[${plain(help)}]${taken}'`;
    });
    return `    "${command.name}") _arguments ${flags.join(" ")} '*:file:_files';;`;
  });
  const described = words.map(({ word, summary }) => `'${word}:${summary}'`).join(" ");
  return [
    `#compdef ${PROGRAM}`,
    `_esp_secure_cert() {`,
    "  if (( CURRENT == 2 )); then",
    `    local -a commands=(${described}); _describe command commands; return`,
    "  fi",
    "  local command=$words[2]; shift words; (( CURRENT-- ))",
    "  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then",
    "    case $command in",
    ...secondWords(words, (word, seconds) => `      ${word}) compadd -- ${seconds}; return;;`),
    "    esac",
    "  fi",
    `  case "$command $words[2]" in ${pairs}) command="$command $words[2]"; shift words; (( CURRENT-- ));; esac`,
    "  case $command in",
    ...cases,
    "  esac",
    "}",
    '_esp_secure_cert "$@"',
  ].join("\n");
}

function fish(commands: readonly NamedCommand[]): string {
  const words = firstWords(commands);
  const pairs = pairsOf(commands);
  const complete = (condition: string, rest: string) =>
    `complete -c ${PROGRAM} -n ${condition} ${rest}`;
  return [
    ...words.map(({ word, summary }) =>
      complete("__fish_use_subcommand", `-a ${word} -d '${summary}'`)
    ),
    ...pairs.map(({ name, summary }) => {
      const [first, second] = name.split(" ") as [string, string];
      const { seconds } = words.find(({ word }) => word === first)!;
      const condition = `'${seen(first)}; and not ${seen(seconds.join(" "))}'`;
      return complete(condition, `-a ${second} -d '${plain(summary)}'`);
    }),
    ...commands.flatMap((command) => {
      const condition = `'${conditionOf(command.name, pairs)}'`;
      return flagsOf(command).map(({ name, value, choices, help }) => {
        const values = choices === undefined ? " -r" : ` -x -a '${choices.join(" ")}'`;
        const taken = value === undefined ? "" : values;
        return complete(condition, `-l ${name}${taken} -d '${plain(help)}'`);
      });
    }),
  ].join("\n");
}

function seen(word: string): string {
  return `__fish_seen_subcommand_from ${word}`;
}

/** When fish takes a line for one of a command: `verify` is not that of `bulk verify`. */
function conditionOf(name: string, pairs: readonly NamedCommand[]): string {
  const [first, second] = name.split(" ") as [string, string | undefined];
  if (second !== undefined) return `${seen(first)}; and ${seen(second)}`;
  const others = pairs.filter((pair) => pair.name.endsWith(` ${name}`))
    .map((pair) => pair.name.split(" ")[0]!);
  return [seen(name), ...others.map((other) => `not ${seen(other)}`)].join("; and ");
}

/** A line for each word that begins two-word commands. */
function secondWords(
  words: readonly FirstWord[],
  line: (word: string, seconds: string) => string,
): string[] {
  return words.filter(({ seconds }) => seconds.length > 0)
    .map(({ word, seconds }) => line(word, seconds.join(" ")));
}

function flagsOf({ flags }: NamedCommand): readonly Flag[] {
  return [...flags, ...COMMON_FLAGS];
}

/** The first line of help text, without what a shell would take as its own. */
function plain(text: string): string {
  return text.split("\n")[0]!.replace(/['[\]:\\$`"]/g, " ").trim();
}
