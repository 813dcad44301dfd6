import type { Synonyms } from "../bytes/nearest.ts";
import { shownValue } from "../bytes/text.ts";
import { usageError } from "./errors.ts";
import type { Io } from "./io.ts";

/** A flag of a command. */
export interface Flag {
  /** Name without dashes. */
  readonly name: string;
  /** One-letter form. */
  readonly short?: string;
  /** What the help shows for the value; a flag without it takes none. */
  readonly value?: string;
  /** The only values taken, in any case, and with or without dashes and underscores. */
  readonly choices?: readonly string[];
  /** Other words for its choices. */
  readonly synonyms?: Synonyms;
  /** Whether it may be given several times. @default false */
  readonly repeats?: boolean;
  /** One line, or lines. */
  readonly help: string;
  /** What holds when it is not given, in words. */
  readonly default?: string;
}

/** An argument after a command's name that is not a flag. */
export interface Positional {
  readonly name: string;
  readonly help: string;
  /** The only words taken, as those of a flag. */
  readonly choices?: readonly string[];
  /** Whether more of it may follow. @default false */
  readonly repeats?: boolean;
}

/** A command line that works. */
export interface Example {
  /** The permissions that Deno needs, as they are given before the script's name. */
  readonly permissions: string;
  /** The rest of the line, from the command's name on. */
  readonly line: string;
}

/**
 * What the file of a command says of it: what is parsed, what its help prints, what completions
 * offer, and what runs.
 *
 * These files load nothing heavy before `run` is called, so that help, completions and errors of
 * usage are quick: what a body needs of the library it imports itself.
 */
export interface Command {
  /** What follows the command's name, in order; the last may repeat. @default none */
  readonly positionals?: readonly Positional[];
  readonly flags: readonly Flag[];
  /** The command parses its own words; its flags are for help and completions. @default false */
  readonly raw?: boolean;
  /** What exit code 1 means. @default "it failed" */
  readonly exit1?: string;
  readonly examples: readonly Example[];
  /**
   * Runs it.
   *
   * @param args The command line.
   * @param io The world.
   * @param commands Loads every command, for completions.
   * @returns The exit code.
   */
  run(args: Arguments, io: Io, commands: () => Promise<readonly NamedCommand[]>): Promise<number>;
}

/** A command with its line of commands.ts. */
export interface NamedCommand extends Command {
  /** One word, or two such as `bulk status`. */
  readonly name: string;
  /** One line. */
  readonly summary: string;
}

/** The arguments of a command, checked against its flags. */
export interface Arguments {
  /** What follows the command's name and is not a flag. */
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
 * The arguments of a command, read by name.
 *
 * @param command Name of the command, for messages.
 * @param positionals What is not a flag.
 * @param values The flags: `true`, or the values of one that takes them.
 */
export function argumentsOf(
  command: string,
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
      throw usageError(`--${name} is not a number, decimal or 0x: ${shownValue(value)}`, name);
    },
  };
}

/**
 * Refuses flags that would have no effect beside others.
 *
 * @param idle The flags.
 * @param why What follows the flag in the message, such as `goes with --new-key`.
 * @param hint What to do instead. @default to leave the flag out
 * @throws {CliError} `ERR_USAGE` for the first that is given.
 */
export function refuseIdle(
  args: Arguments,
  idle: readonly string[],
  why: string,
  hint?: string,
): void {
  const flag = idle.find((name) => args.has(name));
  if (flag === undefined) return;
  throw usageError(`--${flag} ${why}`, flag, hint ?? `leave --${flag} out`);
}
