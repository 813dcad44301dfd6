import { mayBeSecret, printableLine, shownName, shownValue } from "../bytes/text.ts";
import { SecureCertError } from "../bytes/errors.ts";
import {
  type CommandName,
  isCommandName,
  loadCommand,
  loadCommands,
  SUMMARIES,
} from "./commands.ts";
import type { NamedCommand } from "./command.ts";
import { CliError, nearestHint, usageError } from "./errors.ts";
import type { HelpLayout } from "./help.ts";
import { secretFilesOf, withSecretFiles } from "./input/secret_files.ts";
import { type Io, USUAL_COLUMNS } from "./io.ts";
import { parseArguments } from "./parse.ts";
import { setColorEnabled, terminalText } from "./render/text.ts";

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
  const world = printing(io, argv);
  let command: NamedCommand | undefined;
  try {
    const line = readLine(argv);
    if (line.kind === "version") return print((await import("./help.ts")).VERSION, world);
    if (line.kind === "help") {
      const { formatHelp } = await import("./help.ts");
      return print(formatHelp(SUMMARIES, layoutOf(world)), world);
    }
    command = await loadCommand(line.name);
    const args = line.kind === "command"
      ? await parseArguments(command, line.rest, loadCommands)
      : undefined;
    if (args === undefined) {
      const { formatCommandHelp } = await import("./help.ts");
      return print(formatCommandHelp(command, layoutOf(world)), world);
    }
    setColorEnabled(wantsColor(args.get("color"), world));
    const io = withSecretFiles(world, secretFilesOf(command.flags, args));
    return await command.run(args, io, loadCommands);
  } catch (error) {
    return report(knownError(error), { command, argv }, world);
  }
}

/** What a command line asks for. */
type Line =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | {
    readonly kind: "command" | "command help";
    readonly name: CommandName;
    readonly rest: readonly string[];
  };

function readLine(argv: readonly string[]): Line {
  const [first, second] = argv;
  if (first === "--version" || first === "-V") return { kind: "version" };
  if (first === undefined || first === "--help" || first === "-h") return { kind: "help" };
  if (first !== "help") return { kind: "command", ...readCommandName(argv) };
  if (second === undefined) return { kind: "help" };
  return { kind: "command help", ...readCommandName(argv.slice(1)) };
}

/** A command's name is one word or two, such as `bulk status`; two words are tried first. */
function readCommandName(words: readonly string[]): { name: CommandName; rest: readonly string[] } {
  const [first = "", second = ""] = words;
  const both = `${first} ${second}`;
  if (isCommandName(both)) return { name: both, rest: words.slice(2) };
  if (isCommandName(first)) return { name: first, rest: words.slice(1) };
  const names = SUMMARIES.map(({ name }) => name);
  const hint = nearestHint(both.trim(), names) ?? nearestHint(first, names) ??
    "run --help for the list of commands";
  throw usageError(`unknown command ${shownValue(first)}`, undefined, hint);
}

/** The same world, where no text that is printed can move a cursor, wherever it came from. */
function printing(io: Io, argv: readonly string[]): Io {
  const { drawLine, promptSecret } = io;
  const onOneLine = joiningLines(argv);
  const shown = (text: string) => terminalText(onOneLine(text));
  return {
    ...io,
    print: (text) => io.print(shown(text)),
    note: (text) => io.note(shown(text)),
    ...drawLine && { drawLine: (text) => drawLine(shown(text)) },
    ...promptSecret && { promptSecret: (question) => promptSecret(shown(question)) },
  };
}

/** Escapes line breaks in what was typed, such as a file's name, wherever a text repeats it. */
function joiningLines(argv: readonly string[]): (text: string) => string {
  const broken = argv.flatMap((word) => [word, word.slice(word.indexOf("=") + 1)])
    .map((word) => word.trim()).filter((word) => word.includes("\n"));
  return (text) =>
    broken.reduce((joined, word) => joined.replaceAll(word, printableLine(word)), text);
}

/** Where the help goes; a pipe or a file gets lines of the usual terminal. */
function layoutOf({ isStdoutTerminal, columns, program }: Io): HelpLayout {
  return { columns: isStdoutTerminal ? columns : USUAL_COLUMNS, program };
}

function print(text: string, io: Io): number {
  io.print(text);
  return 0;
}

/** Where an error is reported from. */
interface Context {
  /** The command, when it is known. */
  readonly command: NamedCommand | undefined;
  /** The command line. */
  readonly argv: readonly string[];
}

function report(error: SecureCertError | CliError, { command, argv }: Context, io: Io): number {
  const { code, place } = error;
  const hide = hiding(argv);
  const message = hide(error.message);
  // With --json, stdout is for one JSON document.
  if (argv.includes("--json")) {
    try {
      const json = { error: { code, message, place, ...problemsOf(error) } };
      io.print(JSON.stringify(json, (_, value) => typeof value === "string" ? hide(value) : value));
    } catch {
      // It may be stdout itself that fails; the line for people follows.
    }
  }
  io.note(`error: ${message}`);
  const hint = error instanceof CliError ? error.hint : hintOf(error, command);
  if (hint !== undefined) io.note(`hint: ${hide(hint)}`);
  return code === "ERR_USAGE" ? EXIT_USAGE : EXIT_FAILED;
}

/** Takes out of a text what was typed that may be a key: an error may call it a file. */
function hiding(argv: readonly string[]): (text: string) => string {
  const secrets = argv.flatMap((word) => {
    const value = word.slice(word.indexOf("=") + 1);
    return [word, value, value.replace(/^\w+:/, "")];
  }).filter(mayBeSecret);
  return (text) =>
    secrets.reduce((hidden, secret) => hidden.replaceAll(secret, shownName(secret)), text);
}

/** What is wrong with a list of devices, one by one. */
function problemsOf(error: SecureCertError | CliError): { problems?: readonly unknown[] } {
  if (!(error instanceof SecureCertError)) return {};
  if (error.problems.length > 0) return { problems: error.problems };
  return Array.isArray(error.cause) ? { problems: error.cause } : {};
}

/** What to do about an error of the library. */
interface Hint {
  /** The option of the library that would help, or the code of the error. */
  readonly about: string;
  /** The flag that it names; a command without that flag does not give the hint. */
  readonly flag?: string;
  readonly text: string;
}

/** The first that fits is given. */
const HINTS: readonly Hint[] = [
  {
    about: "dropSignatures",
    text: "append --drop-signatures leaves the signatures out; sign the image again then",
  },
  {
    about: "signature",
    flag: "digest",
    text: "sign what --digest prints, with the private half of --public-key",
  },
  {
    about: "replace",
    flag: "replace",
    text: "--replace replaces the one that is there",
  },
  {
    about: "allowWeak",
    flag: "allow-weak",
    text: "ask for a request with a longer key, or certify this one with --allow-weak",
  },
  {
    about: "ERR_PASSWORD",
    flag: "password-file",
    text: "give the password with --password-file",
  },
  {
    about: "hmacKey",
    flag: "hmac-key",
    text: "give the eFuse key of this device with --hmac-key",
  },
  {
    about: "ERR_DECRYPT",
    flag: "hmac-key",
    text: "give the eFuse key of this device with --hmac-key",
  },
  {
    about: "privateKey",
    flag: "private-key",
    text: "give the key that is in the eFuse with --private-key",
  },
  { about: "ERR_PASSWORD", flag: "pwd", text: "give the password with --pwd" },
  {
    about: "ERR_TOO_LARGE",
    flag: "size",
    text: "give a larger --size, and the same size in the partition table",
  },
  {
    about: "verify",
    flag: "no-verify",
    text: "fix what is wrong, or store it anyway with --no-verify",
  },
  {
    about: "ERR_VERIFY",
    flag: "no-verify",
    text: "fix what is wrong, or write the image anyway with --no-verify",
  },
];

function hintOf(
  { code, place, problems }: SecureCertError,
  command: NamedCommand | undefined,
): string | undefined {
  const has = (flag: string) => command?.flags.some(({ name }) => name === flag) ?? false;
  return HINTS.find(({ about, flag }) =>
    (about === place.field || about === code || isAllAbout(about, problems)) &&
    (flag === undefined || has(flag))
  )?.text;
}

/** Whether one option would help with every problem. */
function isAllAbout(option: string, problems: SecureCertError["problems"]): boolean {
  return problems.length > 0 && problems.every(({ field }) => field === option);
}

/** A number that no function takes is a mistake in the command line; anything else is a bug. */
function knownError(error: unknown): SecureCertError | CliError {
  if (error instanceof SecureCertError || error instanceof CliError) return error;
  if (error instanceof RangeError && !error.message.includes("call stack")) {
    return usageError(error.message);
  }
  throw error;
}

function wantsColor(when: string | undefined, io: Io): boolean {
  if (when === "always" || when === "never") return when === "always";
  return io.isStdoutTerminal && !io.noColor;
}
