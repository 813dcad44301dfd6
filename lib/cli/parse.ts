import { mayBeSecret, printableLine, shownValue } from "../bytes/text.ts";
import { type Arguments, argumentsOf } from "./arguments.ts";
import type { Flag, NamedCommand } from "./command.ts";
import { parseArgs } from "./deps.ts";
import { usageError, valueError } from "./errors.ts";
import { COMMON_FLAGS } from "./flags.ts";

/**
 * Parses the words after a command's name.
 *
 * @returns The arguments, or undefined when `--help` is among them.
 * @throws {CliError} `ERR_USAGE` for an unknown flag, a missing or wrong value, a flag given twice, or
 * a wrong number of arguments.
 */
export function parseArguments(
  command: NamedCommand,
  words: readonly string[],
): Arguments | undefined {
  const { name } = command;
  if (command.raw) {
    const wantsHelp = words.includes("--help") || words.includes("-h");
    return wantsHelp ? undefined : argumentsOf(name, words, {});
  }
  const flags = [...command.flags, ...COMMON_FLAGS];
  const joined = joinValues(name, words, flags);
  return joined.includes("--help") ? undefined : check(command, joined, flags);
}

/**
 * Makes every flag one word, `--name=value`, because parseArgs takes a lone `-` after a flag for a
 * positional and keeps only the last of two flags.
 */
function joinValues(
  command: string,
  words: readonly string[],
  flags: readonly Flag[],
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
    const { flag, value } = splitFlag(command, word, flags);
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
  command: string,
  word: string,
  flags: readonly Flag[],
): { flag: Flag; value: string | undefined } {
  const [, long, short, attached] = /^(?:--([^=]+)|-([^-]))=?(.*)$/s.exec(word) ?? [];
  const flag = flags.find((each) =>
    each.name === long || each.short !== undefined && each.short === short
  );
  if (flag === undefined) {
    const given = shownFlag(word);
    throw usageError(`${command} knows no ${given}`, given, `run ${command} --help for its flags`);
  }
  const hasValue = long === undefined ? attached !== "" : word.includes("=");
  return { flag, value: hasValue ? attached : undefined };
}

/** An unknown flag as a message may show it, without what may be its value. */
export function shownFlag(word: string): string {
  const [name] = word.split("=") as [string];
  return mayBeSecret(name) ? "such flag" : printableLine(name);
}

function checkValue(
  { name, value, choices }: Flag,
  taken: string | undefined,
  isNextWord: boolean,
): string {
  if (taken === undefined || taken === "" || isNextWord && /^--?[a-z]/.test(taken)) {
    throw usageError(`--${name} needs a value: ${value}`, name);
  }
  if (choices !== undefined && !choices.includes(taken)) {
    throw valueError(`--${name} is ${choices.join(", ")}`, taken, name);
  }
  return taken;
}

function check(command: NamedCommand, words: readonly string[], flags: readonly Flag[]): Arguments {
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
    throw usageError(`${name} does not take ${shownValue(given[expected.length]!)}`);
  }
  return argumentsOf(name, given, parsed);
}
