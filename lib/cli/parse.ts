import { spelledName } from "../bytes/nearest.ts";
import { mayBeSecret, printableLine, shownValue } from "../bytes/text.ts";
import { type Arguments, argumentsOf, type Flag, type NamedCommand } from "./command.ts";
import { parseArgs } from "./deps.ts";
import { type CliError, nearestHint, usageError, valueError } from "./errors.ts";
import { COMMON_FLAGS } from "./flags.ts";

/** Loads every command. */
export type LoadCommands = () => Promise<readonly NamedCommand[]>;

/**
 * Parses the words after a command's name.
 *
 * @param others Loads every command, to say which one has a flag that this one lacks.
 * @returns The arguments, or undefined when `--help` is among them.
 * @throws {CliError} `ERR_USAGE` for an unknown flag, a missing or wrong value, a flag given twice, or
 * a wrong number of arguments.
 */
export async function parseArguments(
  command: NamedCommand,
  words: readonly string[],
  others: LoadCommands,
): Promise<Arguments | undefined> {
  const { name } = command;
  if (command.raw) {
    const wantsHelp = words.includes("--help") || words.includes("-h");
    return wantsHelp ? undefined : argumentsOf(name, words, {});
  }
  const flags = [...command.flags, ...COMMON_FLAGS];
  const unknown = (word: string) => unknownFlag(command, word, others);
  const joined = await joinValues(words, flags, unknown);
  return joined.includes("--help") ? undefined : await check(command, joined, flags, others);
}

/**
 * Makes every flag one word, `--name=value`, because parseArgs takes a lone `-` after a flag for a
 * positional and keeps only the last of two flags.
 */
async function joinValues(
  words: readonly string[],
  flags: readonly Flag[],
  unknown: (word: string) => Promise<CliError>,
): Promise<string[]> {
  const joined: string[] = [];
  const seen = new Set<string>();
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === "--") return [...joined, ...words.slice(at)];
    if (!/^-./.test(word)) {
      joined.push(word);
      continue;
    }
    const { flag, value } = splitFlag(word, flags);
    if (flag === undefined) throw await unknown(word);
    if (seen.has(flag.name) && !flag.repeats) {
      throw usageError(`--${flag.name} is given twice`, flag.name);
    }
    seen.add(flag.name);
    if (flag.value === undefined) {
      if (value !== undefined) throw usageError(`--${flag.name} takes no value`, flag.name);
      joined.push(`--${flag.name}`);
      continue;
    }
    const taken = value ?? words[++at];
    joined.push(`--${flag.name}=${checkValue(flag, taken, value === undefined)}`);
  }
  return joined;
}

function splitFlag(
  word: string,
  flags: readonly Flag[],
): { flag: Flag | undefined; value: string | undefined } {
  const [, long, short, attached] = /^(?:--([^=]+)|-([^-]))=?(.*)$/s.exec(word) ?? [];
  const flag = flags.find((each) =>
    each.name === long || each.short !== undefined && each.short === short
  );
  const hasValue = long === undefined ? attached !== "" : word.includes("=");
  return { flag, value: hasValue ? attached : undefined };
}

/** The error of a flag that a command lacks: one of its own may be meant, or another command has it. */
async function unknownFlag(
  { name: command, flags }: NamedCommand,
  word: string,
  others: LoadCommands,
): Promise<CliError> {
  const given = shownFlag(word);
  const [name] = word.replace(/^--?/, "").split("=") as [string];
  const own = [...flags, ...COMMON_FLAGS].map(({ name }) => name);
  const hint = endingHint(name, own) ?? nearestHint(name, own)?.replace("mean ", "mean --") ??
    otherHint(name, await others()) ?? `run ${command} --help for its flags`;
  return usageError(`${command} knows no ${given}`, given, hint);
}

/** Whether a word is --out with its value, as words are joined. */
function isOut(word: string): boolean {
  return word.startsWith("--out=");
}

/** Flags that replace what is there: a word that is only like one never means it. */
const FORCING = /^force/;

/** The flags that a word is the end of, such as `--private-key` of `--key`. */
function endingHint(word: string, flags: readonly string[]): string | undefined {
  const longer = flags.filter((flag) => flag.endsWith(`-${word}`) && !FORCING.test(flag))
    .map((flag) => `--${flag}`);
  return longer.length === 0 ? undefined : `did you mean ${inWords(longer, "or")}?`;
}

/** Which commands have a flag. */
function otherHint(flag: string, commands: readonly NamedCommand[]): string | undefined {
  const having = commands.filter(({ flags }) => flags.some(({ name }) => name === flag))
    .map(({ name }) => name);
  return having.length === 0 ? undefined : `--${flag} is a flag of ${inWords(having, "and")}`;
}

/** Names one after another, the last after a word. */
function inWords(names: readonly string[], before: "and" | "or"): string {
  const [last = "", ...others] = names.toReversed();
  return others.length === 0 ? last : `${others.toReversed().join(", ")} ${before} ${last}`;
}

/** An unknown flag as a message may show it, without what may be its value. */
export function shownFlag(word: string): string {
  const [name] = word.split("=") as [string];
  return mayBeSecret(name) ? "such flag" : printableLine(name);
}

function checkValue(
  { name, value, choices, synonyms }: Flag,
  taken: string | undefined,
  isNextWord: boolean,
): string {
  if (taken === undefined || taken === "" || isNextWord && /^--?[a-z]/.test(taken)) {
    throw usageError(`--${name} needs a value: ${value}`, name);
  }
  return choices === undefined ? taken : chosen(`--${name} is`, taken, { name, choices, synonyms });
}

/**
 * The choice that a word means.
 *
 * @param is What is said before the choices when the word is not one of them.
 * @throws {CliError} `ERR_USAGE` then, with the nearest of them.
 */
function chosen(
  is: string,
  word: string,
  { name, choices = [], synonyms }: Pick<Flag, "choices" | "synonyms"> & { name?: string },
): string {
  const choice = spelledName(word, choices, synonyms);
  if (choice !== undefined) return choice;
  throw valueError(`${is} ${choices.join(", ")}`, word, name, choices);
}

async function check(
  command: NamedCommand,
  words: readonly string[],
  flags: readonly Flag[],
  others: LoadCommands,
): Promise<Arguments> {
  const { name, positionals: expected = [] } = command;
  const namesOf = (takesValue: boolean) =>
    flags.filter(({ value }) => (value !== undefined) === takesValue).map(({ name }) => name);
  const parsed = parseArgs(words, {
    string: ["_", ...namesOf(true)],
    boolean: namesOf(false),
    collect: namesOf(true),
    alias: {},
    "--": true,
    unknown: () => true,
  });
  const given = [...parsed._, ...parsed["--"]];
  if (given.length < expected.length) {
    const missing = expected[given.length]!.name;
    throw usageError(`${name} needs ${missing}`, undefined, `run ${name} --help`);
  }
  if (given.length > expected.length && !expected.at(-1)?.repeats) {
    const extra = given[expected.length]!;
    const twoWords = (await others()).map((each) => each.name)
      .filter((each) => each.startsWith(`${name} `));
    const mayBeOut = flags.some((flag) => flag.name === "out") && !words.some(isOut) &&
      /[./\\]/.test(extra) && !mayBeSecret(extra);
    const hint = nearestHint(`${name} ${extra}`, twoWords) ??
      (mayBeOut ? `did you mean -o ${printableLine(extra)}?` : `run ${name} --help`);
    throw usageError(`${name} does not take ${shownValue(extra)}`, undefined, hint);
  }
  const positionals = given.map((word, at) => {
    const { name, choices } = expected[at] ?? expected.at(-1)!;
    return choices === undefined ? word : chosen(`${name} is`, word, { choices });
  });
  return argumentsOf(name, positionals, parsed);
}
