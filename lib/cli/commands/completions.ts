import type { Command, Flag, NamedCommand } from "../command.ts";
import { COMMON_FLAGS, DATA, ENTRY_TYPES, JSON_FLAG } from "../flags.ts";

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

/** What a word of a command line may be. */
type Kind = "file" | "folder" | "entry" | "other" | readonly string[];

/** What the value of a flag may be; undefined for a flag without one. */
function kindOfFlag({ value, choices }: Flag): Kind | undefined {
  if (value === undefined || choices !== undefined) return choices;
  if (value === DATA.value) return "entry";
  return kindOfName(value);
}

/** What the positionals of a command may be. */
function kindOfPositionals({ positionals = [] }: NamedCommand): Kind {
  const last = positionals.at(-1);
  if (last === undefined) return "other";
  return last.choices ?? (last.name === "DIR" ? "folder" : "file");
}

function kindOfName(name: string): Kind {
  if (/^(FILE|IMAGE)/.test(name)) return "file";
  return name === "DIR" ? "folder" : "other";
}

/** What follows the type of an entry. */
const FORMS = ["string:", "hex:", "base64:", "file:"];

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

/** The spellings of a flag, with their dashes. */
function spellings({ name, short }: Flag): string[] {
  return [`--${name}`, ...short === undefined ? [] : [`-${short}`]];
}

function bash(commands: readonly NamedCommand[]): string {
  const words = firstWords(commands);
  const pairs = pairsOf(commands).map(({ name }) => `"${name}"`).join("|");
  const seconds = words.filter(({ seconds }) => seconds.length > 0).map(({ word, seconds }) =>
    `      ${word}) seconds="${seconds.join(" ")}";;`
  );
  const cases = commands.flatMap((command) => {
    const flags = flagsOf(command);
    const values = flags.flatMap((flag) => {
      const kind = kindOfFlag(flag);
      return kind === undefined
        ? []
        : [`        ${spellings(flag).join("|")}) kind="${kindWord(kind)}";;`];
    });
    return [
      `    "${command.name}")`,
      `      flags="${flags.map(({ name }) => `--${name}`).join(" ")}"`,
      `      positional="${kindWord(kindOfPositionals(command))}"`,
      '      case "$flag" in',
      ...values,
      "      esac;;",
    ];
  });
  return `# Readline may break words at = and : as well; they are joined again.
_esp_secure_cert_words() {
  local line="\${COMP_LINE:0:COMP_POINT}" rest word i
  words=() count=0
  for ((i = 0; i <= COMP_CWORD; i++)); do
    rest="\${line#"\${line%%[![:space:]]*}"}"
    word="\${COMP_WORDS[i]}"
    ((i == COMP_CWORD)) && word="$rest"
    if ((count > 0)) && [[ "$rest" == "$line" ]]; then
      words[count-1]+="$word"
    else
      words[count++]="$word"
    fi
    line="\${rest#"$word"}"
  done
}

# Adds the words that begin with what is typed, after what precedes it.
_esp_secure_cert_add() {
  local before="$1" typed="$2" each; shift 2
  for each in "$@"; do
    [[ "$each" == "$typed"* ]] && replies+=("$before$each")
  done
}

_esp_secure_cert_paths() {
  local before="$1" typed="$2" option="$3" each
  typed="\${typed#[\\"\\']}" typed="\${typed//\\\\/}"
  compopt -o filenames 2>/dev/null
  while IFS= read -r each; do replies+=("$before$each"); done < <(compgen "$option" -- "$typed")
}

_esp_secure_cert_value() {
  local kind="$1" before="$2" typed="$3"
  case "$kind" in
    file) _esp_secure_cert_paths "$before" "$typed" -f;;
    folder) _esp_secure_cert_paths "$before" "$typed" -d;;
    other) ;;
    entry)
      compopt -o nospace 2>/dev/null
      case "$typed" in
        *=file:*) _esp_secure_cert_paths "$before\${typed%%file:*}file:" "\${typed#*=file:}" -f;;
        *=*) _esp_secure_cert_add "$before\${typed%%=*}=" "\${typed#*=}" ${FORMS.join(" ")};;
        *) _esp_secure_cert_add "$before" "$typed" ${
    ENTRY_TYPES.map((word) => `${word}=`).join(" ")
  };;
      esac;;
    *) _esp_secure_cert_add "$before" "$typed" $kind;;
  esac
}

_esp_secure_cert() {
  local IFS=$' \\t\\n' cur flag="" flags="" kind="" positional="other" seconds="" count each
  local -a words=() replies=()
  COMPREPLY=()
  _esp_secure_cert_words
  cur="\${words[count-1]}"
  local command="\${words[1]}"
  if ((count == 2)); then
    _esp_secure_cert_add "" "$cur" ${words.map(({ word }) => word).join(" ")} help --help --version
  else
    case "$command \${words[2]}" in ${pairs}) ((count > 3)) && command="$command \${words[2]}";; esac
    case "$cur" in
      --*=*) flag="\${cur%%=*}";;
      *) flag="\${words[count-2]}";;
    esac
    case "$command" in
${cases.join("\n")}
    esac
    case "$cur" in
      --*=*) _esp_secure_cert_value "\${kind:-other}" "$flag=" "\${cur#*=}";;
      *)
        if [[ -n "$kind" ]]; then
          _esp_secure_cert_value "$kind" "" "$cur"
        elif [[ "$cur" == -* || "$positional" == other ]]; then
          _esp_secure_cert_add "" "$cur" $flags
        else
          _esp_secure_cert_value "$positional" "" "$cur"
        fi
        if ((count == 3)); then
          case "$command" in
${seconds.join("\n")}
          esac
          _esp_secure_cert_add "" "$cur" $seconds
        fi;;
    esac
  fi
  # Readline replaces only what follows the last character at which it breaks words.
  local replaced="\${COMP_WORDS[COMP_CWORD]}"
  case "$replaced" in =|:) replaced="";; esac
  local kept="\${cur%"$replaced"}"
  for each in "\${replies[@]}"; do COMPREPLY+=("\${each#"$kept"}"); done
}
complete -F _esp_secure_cert ${PROGRAM}`;
}

/** A kind as the scripts name it: choices are their words. */
function kindWord(kind: Kind): string {
  return typeof kind === "string" ? kind : kind.join(" ");
}

function zsh(commands: readonly NamedCommand[]): string {
  const words = firstWords(commands);
  const pairs = pairsOf(commands).map(({ name }) => `"${name}"`).join("|");
  const cases = commands.map((command) => {
    const name = command.positionals?.at(-1)?.name;
    const action = zshAction(kindOfPositionals(command));
    // Two colons without a name between would mean something else.
    const specs = [
      ...flagsOf(command).flatMap(zshFlag),
      ...name === undefined ? [] : [`'*:${plain(name)}:${action}'`],
    ];
    return `    "${command.name}") _arguments -S ${specs.join(" ")};;`;
  });
  const described = words.map(({ word, summary }) => `'${word}:${summary}'`).join(" ");
  const seconds = words.filter(({ seconds }) => seconds.length > 0).map(({ word, seconds }) =>
    `      ${word}) compadd -- ${seconds.join(" ")};;`
  );
  return `#compdef ${PROGRAM}
_esp_secure_cert_entry() {
  if compset -P '*=file:'; then _files
  elif compset -P '*='; then compadd -S '' -- ${FORMS.join(" ")}
  else compadd -S '=' -- ${ENTRY_TYPES.join(" ")}
  fi
}
_esp_secure_cert() {
  local curcontext="$curcontext" command=$words[2]
  if (( CURRENT == 2 )); then
    local -a commands=(${described} 'help:the help of a command')
    _describe command commands
    return
  fi
  shift words; (( CURRENT-- ))
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    case $command in
${seconds.join("\n")}
    esac
  fi
  if (( CURRENT > 2 )); then
    case "$command $words[2]" in
      ${pairs}) command="$command $words[2]"; shift words; (( CURRENT-- ));;
    esac
  fi
  case $command in
${cases.join("\n")}
  esac
}
if [[ "$funcstack[1]" == _esp_secure_cert ]]; then
  _esp_secure_cert "$@"
else
  compdef _esp_secure_cert ${PROGRAM}
fi`;
}

/** The specifications of a flag for `_arguments`, one for each spelling. */
function zshFlag(flag: Flag): string[] {
  const { name, short, value, repeats, help } = flag;
  const kind = kindOfFlag(flag);
  const taken = kind === undefined ? "" : `:${plain(value ?? "")}:${zshAction(kind)}`;
  const both = spellings(flag);
  const once = repeats ? "*" : `(${both.join(" ")})`;
  const spell = (spelling: string) => `'${once}${spelling}[${plain(help)}]${taken}'`;
  const long = spell(kind === undefined ? `--${name}` : `--${name}=`);
  return short === undefined ? [long] : [long, spell(`-${short}`)];
}

function zshAction(kind: Kind): string {
  if (typeof kind !== "string") return `(${kind.join(" ")})`;
  return { file: "_files", folder: "_files -/", entry: "_esp_secure_cert_entry", other: "" }[kind];
}

function fish(commands: readonly NamedCommand[]): string {
  const words = firstWords(commands);
  const complete = (command: string, rest: string) =>
    `complete -c ${PROGRAM} -n '__esp_secure_cert_is "${command}"' ${rest}`;
  const pairs = pairsOf(commands);
  return [
    `function __esp_secure_cert_is
  set -l words (commandline -opc)
  set -l command "$words[2]"
  contains -- "$words[2] $words[3]" ${pairs.map(({ name }) => `'${name}'`).join(" ")}
  and set command "$words[2] $words[3]"
  test "$command" = "$argv[1]"
end
function __esp_secure_cert_entry
  set -l typed (commandline -ct | string replace -r -- '^--[a-z-]+=' '')
  if string match -q -- '*=file:*' $typed
    set -l parts (string split -m 1 -- '=file:' $typed)
    for path in (__fish_complete_path $parts[2])
      echo "$parts[1]=file:$path"
    end
  else
    for type in ${ENTRY_TYPES.join(" ")}
      printf '%s\\n' $type=${FORMS.join(" $type=")}
    end
  end
end
complete -c ${PROGRAM} -e
complete -c ${PROGRAM} -f`,
    ...words.map(({ word, summary }) => complete("", `-a ${word} -d '${summary}'`)),
    ...pairs.map(({ name, summary }) => {
      const [first, second] = name.split(" ") as [string, string];
      return complete(first, `-a ${second} -d '${plain(summary)}'`);
    }),
    ...commands.flatMap((command) => [
      ...fishPositionals(command).map((rest) => complete(command.name, rest)),
      ...flagsOf(command).map((flag) => complete(command.name, fishFlag(flag))),
    ]),
  ].join("\n");
}

function fishPositionals(command: NamedCommand): string[] {
  const kind = kindOfPositionals(command);
  if (typeof kind !== "string") return [`-a '${kind.join(" ")}'`];
  if (kind === "folder") return ["-a '(__fish_complete_directories)'"];
  return kind === "file" ? ["-F"] : [];
}

function fishFlag(flag: Flag): string {
  const { name, short, help } = flag;
  const kind = kindOfFlag(flag);
  const spelled = `-l ${name}${short === undefined ? "" : ` -s ${short}`}`;
  return `${spelled}${kind === undefined ? "" : fishValue(kind)} -d '${plain(help)}'`;
}

function fishValue(kind: Kind): string {
  if (typeof kind !== "string") return ` -x -a '${kind.join(" ")}'`;
  return {
    file: " -r -F",
    folder: " -x -a '(__fish_complete_directories)'",
    entry: " -x -a '(__esp_secure_cert_entry)'",
    other: " -x",
  }[kind];
}

function flagsOf({ flags }: NamedCommand): readonly Flag[] {
  return [...flags, ...COMMON_FLAGS];
}

/** Help text on one line, without what a shell would take as its own. */
function plain(text: string): string {
  return text.replace(/['[\]:\\$`"\n]/g, " ").replace(/ +/g, " ").trim();
}
