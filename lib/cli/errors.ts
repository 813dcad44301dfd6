/** Codes of the errors that the process adds to those of the library. */
export type CliErrorCode =
  | "ERR_USAGE"
  | "ERR_FILE_NOT_FOUND"
  | "ERR_FILE_EXISTS"
  | "ERR_PERMISSION"
  | "ERR_IO";

/** Something that goes wrong between the process and its user or its files. */
export interface CliError {
  readonly cliError: true;
  readonly code: CliErrorCode;
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  /** The file or flag. */
  readonly place?: { readonly file?: string; readonly flag?: string };
}

/** An error of the command line: exit code 2. */
export function usageError(message: string, flag?: string, hint?: string): CliError {
  return {
    cliError: true,
    code: "ERR_USAGE",
    message,
    ...flag === undefined ? {} : { place: { flag } },
    ...hint === undefined ? {} : { hint },
  };
}

/** An error of a file: exit code 1. */
export function fileError(
  code: CliErrorCode,
  file: string,
  message: string,
  hint?: string,
): CliError {
  return { cliError: true, code, message, place: { file }, ...hint === undefined ? {} : { hint } };
}

/** Whether something thrown is a {@linkcode CliError}. */
export function isCliError(error: unknown): error is CliError {
  return typeof error === "object" && error !== null && "cliError" in error;
}
