import { SecureCertError } from "../bytes/errors.ts";
import { parseCommandLine } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { setColorEnabled } from "./colors.ts";
import { type CliError, isCliError } from "./errors.ts";
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
    if (!(error instanceof SecureCertError) && !isCliError(error)) throw error;
    return report(error, argv.includes("--json"), io);
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

function report(error: SecureCertError | CliError, asJson: boolean, io: Io): number {
  const { code, message, place = {} } = error;
  if (asJson) io.print(JSON.stringify({ error: { code, message, place } }));
  io.note(`error: ${message}`);
  const hint = isCliError(error) ? error.hint : HINTS[error.code];
  if (hint !== undefined) io.note(`hint: ${hint}`);
  return code === "ERR_USAGE" ? EXIT_USAGE : EXIT_FAILED;
}

const HINTS: Readonly<Partial<Record<string, string>>> = {
  ERR_PASSWORD: "give the password with --password-file",
  ERR_TOO_LARGE: "give a larger --size, and the same size in the partition table",
  ERR_VERIFY: "mend what is wrong, or insist with --no-verify",
};

function wantsColor(when: string | undefined, io: Io): boolean {
  if (when === "always" || when === "never") return when === "always";
  return io.isStdoutTerminal && !io.noColor;
}
