import { SecureCertError } from "../bytes/errors.ts";
import { parseCommandLine } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { setColorEnabled } from "./render/colors.ts";
import { CliError, usageError } from "./errors.ts";
import { formatCommandHelp, formatHelp } from "./help.ts";
import type { Io } from "./io.ts";
import type { CommandName } from "./options.ts";
import { VERSION } from "./version.ts";

/** Runs a command; gives its exit code. */
export type Command = (args: Arguments, io: Io) => Promise<number>;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/**
 * Runs a command line: the result on stdout, everything for people on stderr.
 *
 * @param argv The words behind the script's name.
 * @param io The world.
 * @returns The exit code: 0 done, 1 failed or a bad verdict, 2 a wrong command line.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  try {
    const parsed = parseCommandLine(argv);
    switch (parsed.kind) {
      case "help":
        io.print(parsed.command === undefined ? formatHelp() : formatCommandHelp(parsed.command));
        return 0;
      case "version":
        io.print(VERSION);
        return 0;
      case "run": {
        setColorEnabled(wantsColor(parsed.args.get("color"), io));
        const command = await load(parsed.command);
        return await command(parsed.args, io);
      }
      default:
        return parsed satisfies never;
    }
  } catch (error) {
    return report(knownError(error), argv, io);
  }
}

/** Commands are loaded when they are wanted, so that --help need not wait for pkijs. */
async function load(name: CommandName): Promise<Command> {
  switch (name) {
    case "keygen":
      return (await import("./commands/keygen.ts")).keygen;
    case "ca":
      return (await import("./commands/ca.ts")).ca;
    case "csr":
      return (await import("./commands/csr.ts")).csr;
    case "issue":
      return (await import("./commands/issue.ts")).issue;
    case "provision":
      return (await import("./commands/provision.ts")).provisionCommand;
    case "build":
      return (await import("./commands/build.ts")).buildCommand;
    case "convert":
      return (await import("./commands/convert.ts")).convertCommand;
    case "chips":
      return (await import("./commands/chips.ts")).chips;
    case "inspect":
      return (await import("./commands/inspect.ts")).inspectCommand;
    case "verify":
      return (await import("./commands/verify.ts")).verifyCommand;
    case "sign":
      return (await import("./commands/sign.ts")).sign;
    case "append":
      return (await import("./commands/append.ts")).appendCommand;
    case "diff":
      return (await import("./commands/diff.ts")).diffCommand;
    case "extract":
      return (await import("./commands/extract.ts")).extractCommand;
    case "configure":
      return (await import("./commands/configure.ts")).configureCommand;
    case "bulk":
      return (await import("./commands/bulk.ts")).bulkCommand;
    case "bulk status":
      return (await import("./commands/bulk_status.ts")).bulkStatus;
    case "bulk verify":
      return (await import("./commands/bulk_verify.ts")).bulkVerify;
    case "bulk merge":
      return (await import("./commands/bulk_merge.ts")).bulkMerge;
    case "bulk export":
      return (await import("./commands/bulk_export.ts")).bulkExport;
    case "completions":
      return (await import("./commands/completions.ts")).completions;
    default:
      return name satisfies never;
  }
}

function report(error: SecureCertError | CliError, argv: readonly string[], io: Io): number {
  const { code, message, place } = error;
  if (argv.includes("--json")) {
    try {
      io.print(JSON.stringify({ error: { code, message, place, ...problemsOf(error) } }));
    } catch {
      // It may be stdout itself that fails; the line for people follows.
    }
  }
  // A file's name may hold what moves a terminal's cursor.
  io.note(`error: ${message.replace(/[^\P{Cc}\n]/gu, "?")}`);
  const hint = error instanceof CliError ? error.hint : hintOf(error, argv[0]);
  if (hint !== undefined) io.note(`hint: ${hint}`);
  return code === "ERR_USAGE" ? EXIT_USAGE : EXIT_FAILED;
}

/** What a list of devices has wrong, one by one. */
function problemsOf(error: SecureCertError | CliError): { problems?: readonly unknown[] } {
  if (!(error instanceof SecureCertError)) return {};
  if (error.problems.length > 0) return { problems: error.problems };
  return Array.isArray(error.cause) ? { problems: error.cause } : {};
}

/** By the option of the library that would help, or else by the code. */
function hintOf({ code, place }: SecureCertError, command: string | undefined): string | undefined {
  if (command === "configure" && code === "ERR_PASSWORD") return "give the password with --pwd";
  return HINTS[place.field ?? ""] ?? HINTS[code];
}

/** A number that no function takes is a mistake in the command line; anything else is ours. */
function knownError(error: unknown): SecureCertError | CliError {
  if (error instanceof SecureCertError || error instanceof CliError) return error;
  if (error instanceof RangeError && !error.message.includes("call stack")) {
    return usageError(error.message);
  }
  throw error;
}

const HINTS: Readonly<Partial<Record<string, string>>> = {
  ERR_PASSWORD: "give the password with --password-file",
  ERR_TOO_LARGE: "give a larger --size, and the same size in the partition table",
  dropSignatures: "append --drop-signatures leaves the signatures out; sign the image again then",
  signature: "sign what --digest prints, with the private half of --public-key",
  replace: "--replace puts it in the place of the one that is there",
  ERR_VERIFY: "mend what is wrong, or insist with --no-verify",
};

function wantsColor(when: string | undefined, io: Io): boolean {
  if (when === "always" || when === "never") return when === "always";
  return io.isStdoutTerminal && !io.noColor;
}
