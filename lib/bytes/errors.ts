/**
 * What went wrong, for programs. Codes are stable; messages are for people and may be reworded.
 *
 * - `ERR_TRUNCATED`: the input ends before the value does; `ERR_MAGIC`: it does not begin as the format
 *   does
 * - `ERR_LENGTH`: a length that the format does not allow; `ERR_STRAY_BYTES`: bytes that belong to
 *   nothing
 * - `ERR_CHECKSUM`, `ERR_INTEGRITY`: a stored checksum or SHA-256 differs from the computed one
 * - `ERR_TEXT`, `ERR_CSV`, `ERR_PEM`, `ERR_DER`, `ERR_NAME`: malformed hex, base64 or UTF-8; rows; PEM,
 *   or none; ASN.1; subject or SAN
 * - `ERR_KEY`, `ERR_CERTIFICATE`: a key, or a certificate or request, is malformed or unfit for its use
 * - `ERR_PASSWORD`: missing or wrong; `ERR_DECRYPT`: the tag does not match, from another key or changed
 *   data
 * - `ERR_TOO_LARGE`: the content does not fit; `ERR_NOT_FOUND`: there is no such entry
 * - `ERR_UNSUPPORTED`: well-formed input that this version cannot handle
 * - `ERR_PLAN`: what was asked for cannot be built, with all `problems`
 * - `ERR_VERIFY`: the finished image did not pass its check and is withheld, with its `verdict`
 *
 * @category Errors and text
 */
export type ErrorCode =
  | "ERR_TRUNCATED"
  | "ERR_MAGIC"
  | "ERR_LENGTH"
  | "ERR_CHECKSUM"
  | "ERR_STRAY_BYTES"
  | "ERR_TOO_LARGE"
  | "ERR_INTEGRITY"
  | "ERR_TEXT"
  | "ERR_CSV"
  | "ERR_PEM"
  | "ERR_DER"
  | "ERR_KEY"
  | "ERR_PASSWORD"
  | "ERR_DECRYPT"
  | "ERR_CERTIFICATE"
  | "ERR_NAME"
  | "ERR_NOT_FOUND"
  | "ERR_UNSUPPORTED"
  | "ERR_PLAN"
  | "ERR_VERIFY";

/** Where in the input something is. */
export type Place = SecureCertError["place"];

/** One of several things that are wrong with an input. */
export type Problem = SecureCertError["problems"][number];

/**
 * Bad input. Misuse of the library throws `TypeError` or `RangeError` instead.
 *
 * @category Errors and text
 */
export class SecureCertError extends Error {
  /** The class name, as `Error.name` gives it. */
  override readonly name = "SecureCertError";
  /** Everything that is wrong, where it was several things at once; otherwise empty. */
  readonly problems: readonly {
    /** What is wrong; never holds key material. */
    readonly message: string;
    /** Bytes from the start of the input. */
    readonly offset?: number;
    /** Index of the entry, from 0. */
    readonly entry?: number;
    /** Name of the field or option. */
    readonly field?: string;
    /** Name of the file, where a file's name is known. */
    readonly file?: string;
    /** Line of a text input, from 1. */
    readonly line?: number;
    /** Character of the line, from 1. */
    readonly column?: number;
  }[];
  /** Where in the input it is; only the members that are known are present. */
  readonly place: {
    /** Bytes from the start of the input. */
    readonly offset?: number;
    /** Index of the entry, from 0. */
    readonly entry?: number;
    /** Name of the field or option. */
    readonly field?: string;
    /** Name of the file, where a file's name is known. */
    readonly file?: string;
    /** Line of a text input, from 1. */
    readonly line?: number;
  };
  /** What was found in the image that is withheld; present with `ERR_VERIFY`. */
  readonly verdict?: {
    /** Errors and warnings, in the order of the image. */
    readonly findings: readonly {
      readonly severity: "error" | "warning";
      /** Stable identifier of the finding. */
      readonly code: string;
      readonly message: string;
      readonly place: { readonly entry?: number; readonly offset?: number };
    }[];
  };

  /** An error with a message of one line for people, which names the place and holds no secret. */
  constructor(
    readonly code: ErrorCode,
    message: string,
    place: SecureCertError["place"] = {},
    options: {
      readonly cause?: unknown;
      readonly problems?: SecureCertError["problems"];
      readonly verdict?: SecureCertError["verdict"];
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.place = place;
    this.problems = options.problems ?? [];
    if (options.verdict !== undefined) this.verdict = options.verdict;
  }
}

/**
 * A number of things: `1 device`, `2 devices`.
 *
 * @param many What several are called, with the verb where one follows. @default the first with an s
 */
export function countOf(count: number, one: string, many: string = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
