import { SecureCertError } from "../bytes/errors.ts";
import { nearestName } from "../bytes/nearest.ts";
import { shownValue } from "../bytes/text.ts";

/** Codes of the errors that the process adds to those of the library. */
export type CliErrorCode =
  | "ERR_USAGE"
  | "ERR_FILE_NOT_FOUND"
  | "ERR_FILE_EXISTS"
  | "ERR_PERMISSION"
  | "ERR_IO";

/** Something that goes wrong between the process and its user or its files. */
export class CliError extends Error {
  /** The class name, as `Error.name` gives it. */
  override readonly name = "CliError";
  /** What to do about it. */
  readonly hint?: string;
  /** The file or flag. */
  readonly place: { readonly file?: string; readonly flag?: string };

  /**
   * An error that says what went wrong, where, and what to do.
   *
   * @param code Stable identifier of the problem.
   * @param message One line for people; names the file or flag, holds no secret.
   * @param about The file or flag, and a hint.
   */
  constructor(
    readonly code: CliErrorCode,
    message: string,
    about: { readonly file?: string; readonly flag?: string; readonly hint?: string } = {},
  ) {
    super(message);
    const { hint, ...place } = about;
    this.hint = hint;
    this.place = place;
  }
}

/** An error of the command line: exit code 2. */
export function usageError(message: string, flag?: string, hint?: string): CliError {
  return new CliError("ERR_USAGE", message, { flag, hint });
}

/**
 * An error of the command line about a value that is wrong: exit code 2.
 *
 * @param rule What it should be, such as `--shard is i/n`.
 * @param value What it is; not shown when it may be a secret.
 * @param names The values that there are, of which one may be meant. @default none
 */
export function valueError(
  rule: string,
  value: string,
  flag?: string,
  names: readonly string[] = [],
): CliError {
  return usageError(`${rule}; not ${shownValue(value)}`, flag, nearestHint(value, names));
}

/** A hint at the name that a word may stand for; undefined when none is near. */
export function nearestHint(word: string, names: readonly string[]): string | undefined {
  const nearest = nearestName(word, names);
  return nearest && `did you mean ${nearest}?`;
}

/** An error of a file: exit code 1. */
export function fileError(
  code: CliErrorCode,
  file: string,
  message: string,
  hint?: string,
): CliError {
  return new CliError(code, message, { file, hint });
}

/**
 * Whether the operating system or SQLite raised an error: Deno gives it the name of the system's
 * error code then, such as `ENOSPC`, and SQLite's errors have `ERR_SQLITE_ERROR`.
 */
export function isSystemError(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && !(error instanceof SecureCertError) &&
    !(error instanceof CliError) && "code" in error && typeof error.code === "string";
}
