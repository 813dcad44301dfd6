import { SecureCertError } from "../bytes/errors.ts";
import {
  type CommandName,
  isCommandName,
  loadCommand,
  loadCommands,
  SUMMARIES,
} from "./commands.ts";
import { CliError, usageError } from "./errors.ts";
import { formatCommandHelp, formatHelp } from "./help.ts";
import type { Io } from "./io.ts";
import { parseArguments } from "./parse.ts";
import { setColorEnabled, terminalText } from "./render/colors.ts";
import { VERSION } from "./version.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/**
 * Runs a command line: the result on stdout, everything for people on stderr.
 *
 * @param argv The words after the script's name.
 * @param io The world.
 * @returns The exit code: 0 done, 1 failed or a bad verdict, 2 a wrong command line.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const world = printing(io);
  try {
    return await runLine(argv, world);
  } catch (error) {
    return report(knownError(error), argv, world);
  }
}

/** The same world, where no text that is printed can move a cursor, wherever it came from. */
function printing(io: Io): Io {
  const { drawLine } = io;
  return {
    ...io,
    print: (text) => io.print(terminalText(text)),
    note: (text) => io.note(terminalText(text)),
    ...drawLine && { drawLine: (text) => drawLine(terminalText(text)) },
  };
}

async function runLine(argv: readonly string[], io: Io): Promise<number> {
  const [first, second] = argv;
  if (first === "--version" || first === "-V") return print(VERSION, io);
  const isHelp = first === "help";
  if (first === undefined || first === "--help" || first === "-h" || isHelp && !second) {
    return print(formatHelp(SUMMARIES), io);
  }
  const { name, rest } = readCommandName(isHelp ? argv.slice(1) : argv);
  const command = await loadCommand(name);
  const args = isHelp ? undefined : parseArguments(command, rest);
  if (args === undefined) return print(formatCommandHelp(command), io);
  setColorEnabled(wantsColor(args.get("color"), io));
  return await command.run(args, io, loadCommands);
}

/** A command's name is one word or two, such as `bulk status`; two words are tried first. */
function readCommandName(words: readonly string[]): { name: CommandName; rest: readonly string[] } {
  const [first = "", second] = words;
  const both = `${first} ${second}`;
  if (isCommandName(both)) return { name: both, rest: words.slice(2) };
  if (isCommandName(first)) return { name: first, rest: words.slice(1) };
  throw usageError(`unknown command "${first}"`, undefined, "run --help for the list of commands");
}

function print(text: string, io: Io): number {
  io.print(text);
  return 0;
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
  io.note(`error: ${message}`);
  const hint = error instanceof CliError ? error.hint : hintOf(error, argv[0]);
  if (hint !== undefined) io.note(`hint: ${hint}`);
  return code === "ERR_USAGE" ? EXIT_USAGE : EXIT_FAILED;
}

/** What is wrong with a list of devices, one by one. */
function problemsOf(error: SecureCertError | CliError): { problems?: readonly unknown[] } {
  if (!(error instanceof SecureCertError)) return {};
  if (error.problems.length > 0) return { problems: error.problems };
  return Array.isArray(error.cause) ? { problems: error.cause } : {};
}

/** A hint for the option of the library that would help, or else for the code. */
function hintOf({ code, place }: SecureCertError, command: string | undefined): string | undefined {
  if (command === "configure" && code === "ERR_PASSWORD") return "give the password with --pwd";
  return HINTS[place.field ?? ""] ?? HINTS[code];
}

/** A number that no function takes is a mistake in the command line; anything else is a bug. */
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
  ERR_VERIFY: "fix what is wrong, or write the image all the same with --no-verify",
};

function wantsColor(when: string | undefined, io: Io): boolean {
  if (when === "always" || when === "never") return when === "always";
  return io.isStdoutTerminal && !io.noColor;
}
