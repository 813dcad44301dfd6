import { parseArgs } from "./deps.ts";
import { usageError } from "./errors.ts";
import { COMMON_OPTIONS, type OptionSpec } from "./flags.ts";
import { type CommandName, commandSpec, isCommand } from "./options.ts";

/** What a command line asks for. */
export type Parsed =
  | { readonly kind: "help"; readonly command?: CommandName }
  | { readonly kind: "version" }
  | { readonly kind: "run"; readonly command: CommandName; readonly args: Arguments };

/** The arguments of a command, checked against its table. */
export interface Arguments {
  /** What stands behind the command's name, one for each argument of the table. */
  readonly positionals: readonly string[];
  /** Whether a flag was given. */
  has(name: string): boolean;
  /** The value of a flag, or undefined when it was not given. */
  get(name: string): string | undefined;
  /** All values of a flag that repeats. */
  all(name: string): readonly string[];
  /** The value of a flag that must be given. */
  need(name: string): string;
  /** The value of a flag as a whole number from 0, decimal or 0x. */
  number(name: string): number | undefined;
}

/**
 * Parses a command line.
 *
 * @param argv The words behind the script's name.
 * @throws {CliError} `ERR_USAGE` for whatever the table does not know.
 */
export function parseCommandLine(argv: readonly string[]): Parsed {
  const [first, ...rest] = argv;
  if (first === undefined || first === "--help" || first === "-h") return { kind: "help" };
  if (first === "--version" || first === "-V") return { kind: "version" };
  if (first === "help" && rest[0] === undefined) return { kind: "help" };
  const { word, rest: words } = readCommand(first === "help" ? rest : argv);
  if (first === "help") return { kind: "help", command: word };
  if (commandSpec(word).raw === true) return rawCommand(word, words);
  const options = [...commandSpec(word).options, ...COMMON_OPTIONS];
  const joined = joinValues(word, words, options);
  if (joined.includes("--help")) return { kind: "help", command: word };
  return { kind: "run", command: word, args: checked(word, joined, options) };
}

/** A command's name is one word or two, such as `bulk status`; two that are a name go before one. */
function readCommand(words: readonly string[]): { word: CommandName; rest: readonly string[] } {
  const [first = "", second] = words;
  const both = `${first} ${second}`;
  if (isCommand(both)) return { word: both, rest: words.slice(2) };
  if (isCommand(first)) return { word: first, rest: words.slice(1) };
  throw usageError(`unknown command "${first}"`, undefined, "run --help for the list of commands");
}

/** A command that parses its own words, which are its positionals. */
function rawCommand(command: CommandName, words: readonly string[]): Parsed {
  if (words.includes("--help") || words.includes("-h")) return { kind: "help", command };
  return { kind: "run", command, args: argumentsOf(command, words, {}) };
}

/**
 * Makes every flag one word, `--name=value`, for parseArgs takes a lone `-` behind a flag for a
 * positional and the last of two flags without a word.
 */
function joinValues(
  command: CommandName,
  words: readonly string[],
  options: readonly OptionSpec[],
): string[] {
  const joined: string[] = [];
  const seen = new Set<string>();
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === "--") return [...joined, ...words.slice(at)];
    if (!/^-./.test(word)) {
      joined.push(word);
      continue;
    }
    const { option, value } = splitFlag(command, word, options);
    if (seen.has(option.name) && option.repeats !== true) {
      throw usageError(`--${option.name} is given twice`, option.name);
    }
    seen.add(option.name);
    if (option.value === undefined) {
      if (value !== undefined) throw usageError(`--${option.name} takes no value`, option.name);
      joined.push(`--${option.name}`);
      continue;
    }
    const taken = value ?? words[++at];
    joined.push(`--${option.name}=${checkValue(option, taken, value === undefined)}`);
  }
  return joined;
}

function splitFlag(
  command: CommandName,
  word: string,
  options: readonly OptionSpec[],
): { option: OptionSpec; value: string | undefined } {
  const [, long, short, attached] = /^(?:--([^=]+)|-([^-]))=?(.*)$/s.exec(word) ?? [];
  const option = options.find(({ name, short: letter }) =>
    name === long || letter === short && short !== undefined
  );
  if (option === undefined) {
    const flag = word.split("=")[0]!;
    throw usageError(`${command} knows no ${flag}`, flag, `run ${command} --help for its flags`);
  }
  const hasValue = long === undefined ? attached !== "" : word.includes("=");
  return { option, value: hasValue ? attached : undefined };
}

function checkValue(
  { name, value, choices }: OptionSpec,
  taken: string | undefined,
  isNextWord: boolean,
): string {
  if (taken === undefined || taken === "" || isNextWord && /^--?[a-z]/.test(taken)) {
    throw usageError(`--${name} needs a value: ${value}`, name);
  }
  if (choices !== undefined && !choices.includes(taken)) {
    throw usageError(`--${name} is ${choices.join(", ")}; not "${taken}"`, name);
  }
  return taken;
}

function checked(
  command: CommandName,
  words: readonly string[],
  options: readonly OptionSpec[],
): Arguments {
  const valued = options.filter(({ value }) => value !== undefined).map(({ name }) => name);
  const flags = options.filter(({ value }) => value === undefined).map(({ name }) => name);
  const parsed = parseArgs(words, {
    string: ["_", ...valued],
    boolean: flags,
    collect: valued,
    alias: {},
    "--": true,
    unknown: () => true,
  });
  const positionals = [...parsed._, ...parsed["--"]];
  const expected = commandSpec(command).arguments;
  if (positionals.length < expected.length) {
    throw usageError(
      `${command} needs ${expected[positionals.length]!.name}`,
      undefined,
      `run ${command} --help`,
    );
  }
  if (positionals.length > expected.length && expected.at(-1)?.repeats !== true) {
    throw usageError(`${command} does not take "${positionals[expected.length]}"`);
  }
  return argumentsOf(command, positionals, parsed);
}

function argumentsOf(
  command: CommandName,
  positionals: readonly string[],
  values: Readonly<Record<string, unknown>>,
): Arguments {
  const all = (name: string) => (values[name] ?? []) as readonly string[];
  const get = (name: string) => all(name)[0];
  return {
    positionals,
    all,
    get,
    has: (name) => values[name] === true || all(name).length > 0,
    need: (name) => {
      const value = get(name);
      if (value === undefined) {
        throw usageError(`${command} needs --${name}`, name, `run ${command} --help`);
      }
      return value;
    },
    number: (name) => {
      const value = get(name);
      if (value === undefined) return undefined;
      const number = /^(0x[0-9a-f]+|[0-9]+)$/i.test(value) ? Number(value) : NaN;
      if (Number.isSafeInteger(number)) return number;
      throw usageError(`--${name} is not a number, decimal or 0x: "${value}"`, name);
    },
  };
}
