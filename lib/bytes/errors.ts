/**
 * What went wrong, for programs. Codes are stable; messages are for people and may be reworded.
 *
 * | code | raised when |
 * |---|---|
 * | `ERR_TRUNCATED` | the input ends before the value does |
 * | `ERR_MAGIC` | the bytes do not begin with the magic number of the format |
 * | `ERR_LENGTH` | a length field or a value's length is outside what the format allows |
 * | `ERR_CHECKSUM` | a stored checksum differs from the computed one |
 * | `ERR_STRAY_BYTES` | bytes that belong to nothing follow the last entry |
 * | `ERR_TOO_LARGE` | the content does not fit the partition |
 * | `ERR_INTEGRITY` | the stored SHA-256 differs from the computed one |
 * | `ERR_TEXT` | hex or base64 text is malformed |
 * | `ERR_CSV` | a row of a CSV text is malformed, or its values cannot be written as one |
 * | `ERR_PEM` | a PEM block is malformed, or there is none |
 * | `ERR_DER` | an ASN.1 structure is malformed |
 * | `ERR_KEY` | a private or public key is malformed, inconsistent or of an unsupported kind |
 * | `ERR_PASSWORD` | a password is missing or wrong |
 * | `ERR_DECRYPT` | an encrypted value does not match its tag: another key, or changed data |
 * | `ERR_CERTIFICATE` | a certificate or signing request is malformed or unfit for its use |
 * | `ERR_NAME` | a subject or a subject alternative name is malformed |
 * | `ERR_NOT_FOUND` | the image holds no such entry |
 * | `ERR_UNSUPPORTED` | the input is well-formed and this version cannot handle it |
 * | `ERR_PLAN` | what was asked to be built cannot be built; the message lists why |
 * | `ERR_VERIFY` | the finished image did not pass its check and is withheld |
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

  /**
   * An error that says what went wrong and where.
   *
   * @param message One line for people; names the place, holds no secret.
   * @param options `cause`: the error that led to this one; the rest as the members of these names.
   */
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
