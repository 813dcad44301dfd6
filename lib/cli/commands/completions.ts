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
  const script = SHELLS[shell as keyof typeof SHELLS]();
  io.print(args.has("json") ? JSON.stringify({ shell, script }) : script);
  return Promise.resolve(0);
};

const SHELLS = { bash, zsh, fish };

const NAMES = Object.keys(COMMANDS) as CommandName[];
/** First words of the commands, such as `bulk` of `bulk status`. */
const FIRST_WORDS = [...new Set(NAMES.map((name) => name.split(" ")[0]!))];
const PAIRS = NAMES.filter((name) => name.includes(" "));

/** What may follow a first word: the second words of two-word commands. */
function secondWords(first: string): string[] {
  return PAIRS.filter((name) => name.startsWith(`${first} `)).map((name) => name.split(" ")[1]!);
}

/** One line for a first word: what its command does, or which commands begin with it. */
function summaryOf(first: string): string {
  const isCommand = (NAMES as readonly string[]).includes(first);
  if (isCommand) return plain(commandSpec(first as CommandName).summary);
  return secondWords(first).join(", ");
}

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
      `    "${name}")`,
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
    `    COMPREPLY=($(compgen -W "${FIRST_WORDS.join(" ")} --help --version" -- "$cur")); return`,
    "  fi",
    '  local command="${COMP_WORDS[1]}"',
    `  case "$command \${COMP_WORDS[2]}" in ${
      PAIRS.map((name) => `"${name}"`).join("|")
    }) command="$command \${COMP_WORDS[2]}";; esac`,
    '  if [ "$COMP_CWORD" -eq 2 ] && [[ "$cur" != -* ]]; then',
    '    case "$command" in',
    ...pairWords((first, words) =>
      `      ${first}) COMPREPLY=($(compgen -W "${words.join(" ")}" -- "$cur")); return;;`
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

function zsh(): string {
  const cases = NAMES.map((name) => {
    const flags = optionsOf(name).map((option) => {
      const value = option.value === undefined
        ? ""
        : `:${option.value}:${option.choices ? `(${option.choices.join(" ")})` : "_files"}`;
      return `'${option.repeats ? "*" : ""}--${option.name}[${plain(option.help)}]${value}'`;
    });
    return `    "${name}") _arguments ${flags.join(" ")} '*:file:_files';;`;
  });
  const commands = FIRST_WORDS.map((first) => `'${first}:${summaryOf(first)}'`).join(" ");
  return [
    `#compdef ${PROGRAM}`,
    `_esp_secure_cert() {`,
    "  if (( CURRENT == 2 )); then",
    `    local -a commands=(${commands}); _describe command commands; return`,
    "  fi",
    "  local command=$words[2]; shift words; (( CURRENT-- ))",
    "  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then",
    "    case $command in",
    ...pairWords((first, words) => `      ${first}) compadd -- ${words.join(" ")}; return;;`),
    "    esac",
    "  fi",
    `  case "$command $words[2]" in ${
      PAIRS.map((name) => `"${name}"`).join("|")
    }) command="$command $words[2]"; shift words; (( CURRENT-- ));; esac`,
    "  case $command in",
    ...cases,
    "  esac",
    "}",
    '_esp_secure_cert "$@"',
  ].join("\n");
}

function fish(): string {
  const condition = (name: CommandName) => {
    const [first, second] = name.split(" ");
    const seen = (word: string) => `__fish_seen_subcommand_from ${word}`;
    if (second !== undefined) return `${seen(first!)}; and ${seen(second)}`;
    const others = PAIRS.filter((pair) => pair.endsWith(` ${name}`)).map((pair) =>
      pair.split(" ")[0]!
    );
    return [seen(name), ...others.map((other) => `not ${seen(other)}`)].join("; and ");
  };
  const commands = FIRST_WORDS.map((first) =>
    `complete -c ${PROGRAM} -n __fish_use_subcommand -a ${first} -d '${summaryOf(first)}'`
  );
  const pairs = PAIRS.map((name) => {
    const [first, second] = name.split(" ");
    const summary = plain(commandSpec(name).summary);
    const isOpen = `__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${
      secondWords(first!).join(" ")
    }`;
    return `complete -c ${PROGRAM} -n '${isOpen}' -a ${second} -d '${summary}'`;
  });
  const flags = NAMES.flatMap((name) =>
    optionsOf(name).map((option) => {
      const value = option.value === undefined
        ? ""
        : option.choices === undefined
        ? " -r"
        : ` -x -a '${option.choices.join(" ")}'`;
      const when = `-n '${condition(name)}'`;
      return `complete -c ${PROGRAM} ${when} -l ${option.name}${value} -d '${plain(option.help)}'`;
    })
  );
  return [...commands, ...pairs, ...flags].join("\n");
}

/** A line for each word that begins two-word commands. */
function pairWords(line: (first: string, words: readonly string[]) => string): string[] {
  return FIRST_WORDS.filter((first) => secondWords(first).length > 0).map((first) =>
    line(first, secondWords(first))
  );
}

function optionsOf(name: CommandName): readonly OptionSpec[] {
  return [...commandSpec(name).options, ...COMMON_OPTIONS];
}

/** Help text without what a shell would read as its own. */
function plain(text: string): string {
  return text.split("\n")[0]!.replace(/['[\]:\\$`"]/g, " ").trim();
}
