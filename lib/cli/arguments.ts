import { shownValue } from "../bytes/text.ts";
import { usageError } from "./errors.ts";

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
