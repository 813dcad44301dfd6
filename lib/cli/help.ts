import type { Command, Example, Flag, NamedCommand } from "./command.ts";
import { COMMON_FLAGS } from "./flags.ts";
import type { Script } from "./io.ts";
import { wrap } from "./render/text.ts";

/** How the help is laid out. */
export interface HelpLayout {
  /** Characters in a line. */
  readonly columns: number;
  /** How the command line is begun when the command is installed; absent for a script of Deno's. */
  readonly program?: string;
  /** How Deno runs the script. @default deno run … cli.ts */
  readonly script?: Script;
}

const ABOUT = "keys, certificates and images for the esp_secure_cert partition";
/** Column of the terminal in which the texts of flags begin, from 0, where there is room for it. */
const COLUMN = 28;
/** Narrower terminals get lines of this length, which they break themselves. */
const LEAST_COLUMNS = 60;
/** Lines do not become longer than is easy to read. */
const MOST_COLUMNS = 100;

/** What `--help` prints. */
export function formatHelp(
  commands: readonly Pick<NamedCommand, "name" | "summary">[],
  layout: HelpLayout,
): string {
  const width = Math.max(...commands.map(({ name }) => name.length)) + 4;
  const columns = widthOf(layout);
  return [
    ...indented(wrap(`esp-secure-cert ${VERSION}: ${ABOUT}`, columns - 2), 2),
    "",
    `Usage: ${startOf(layout)} COMMAND [arguments]`,
    "",
    "Commands:",
    ...commands.flatMap(({ name, summary }) => row(`  ${name}`, [summary], columns, width)),
    "",
    "  COMMAND --help  arguments, flags, exit codes and examples",
    "  --version       the version",
    ...layout.program === undefined ? ["", "Start here: deno task demo"] : [],
  ].join("\n");
}

/** What `COMMAND --help` prints. */
export function formatCommandHelp(command: NamedCommand, layout: HelpLayout): string {
  const { name, summary, positionals = [], flags, examples } = command;
  const columns = widthOf(layout);
  const words = positionals.map(({ name, repeats }) => ` ${name}${repeats ? "…" : ""}`).join("");
  const arguments_ = positionals.flatMap(({ name, help }) => row(`  ${name}`, [help], columns));
  return [
    ...indented(wrap(`esp-secure-cert ${name}: ${summary}`, columns - 2), 2),
    "",
    ...indented(wrap(`Usage: ${startOf(layout)} ${name}${words} [flags]`, columns - 9), 9),
    ...section("Arguments", arguments_),
    ...section("Flags", [...flags, ...COMMON_FLAGS].flatMap((flag) => formatFlag(flag, columns))),
    ...section("Exit codes", exitCodes(command, columns)),
    ...section(
      examples.length > 1 ? "Examples" : "Example",
      examples.flatMap((example) => formatExample(example, layout)),
    ),
  ].join("\n");
}

function widthOf({ columns }: HelpLayout): number {
  return Math.min(MOST_COLUMNS, Math.max(LEAST_COLUMNS, columns));
}

function startOf({ program }: HelpLayout): string {
  return program ?? "deno run [permissions] cli.ts";
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", `${title}:`, ...lines];
}

function formatFlag(flag: Flag, columns: number): string[] {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  const value = flag.value === undefined ? "" : ` ${flag.value}`;
  const choices = flag.choices === undefined ? [] : [flag.choices.join(" | ")];
  const repeats = flag.repeats ? " (repeats)" : "";
  const standard = flag.default === undefined ? "" : ` [${flag.default}]`;
  const text = flag.help + repeats + standard;
  return row(`  ${short}--${flag.name}${value}`, [text, ...choices], columns);
}

/** A word and its texts, each on lines of its own, in a column beside it. */
function row(
  left: string,
  texts: readonly string[],
  columns: number,
  indent: number = COLUMN,
): string[] {
  const lines = texts.flatMap((text) => wrap(text.replaceAll("\n", " "), columns - indent));
  const isBeside = left.length < indent - 1;
  const [first, ...rest] = indented(isBeside ? lines : ["", ...lines], indent) as [string];
  return [(isBeside ? left.padEnd(indent) : left) + first, ...rest];
}

/** Lines after the first, moved to the right. */
function indented([first = "", ...rest]: readonly string[], indent: number): string[] {
  return [first, ...rest.map((line) => " ".repeat(indent) + line)];
}

function exitCodes({ exit1 = "it failed" }: Command, columns: number): string[] {
  return ["done", exit1, "the command line is wrong"].flatMap((text, code) =>
    row(`  ${code}`, [text], columns, 5)
  );
}

/** On one line, or with the permissions on a line of their own, and flag by flag where that is long. */
export function formatExample({ permissions, line }: Example, layout: HelpLayout): string[] {
  const { program, script = { deno: "deno", path: "cli.ts" } } = layout;
  const head = program ?? `${script.deno} run${permissions === "" ? "" : ` ${permissions}`}`;
  const tail = program === undefined ? `${script.path} ${line}` : line;
  const columns = widthOf(layout);
  if (head.length + tail.length + 3 <= columns) return [`  ${head} ${tail}`];
  if (program !== undefined) return broken(`${program} ${tail}`, columns);
  return [...broken(`${head} \\`, columns), ...broken(tail, columns).map((each) => `  ${each}`)];
}

/** A command line on several lines, broken before flags and where output goes, as a shell takes it. */
function broken(text: string, columns: number): string[] {
  if (text.length + 4 <= columns) return [`  ${text}`];
  const [first = "", ...rest] = text.split(/ (?=-|> )/);
  const lines = [first];
  for (const part of rest) {
    const last = lines.at(-1)!;
    if (last.length + part.length + 9 <= columns) lines[lines.length - 1] = `${last} ${part}`;
    else lines.push(part);
  }
  return lines.map((each, at) =>
    `${at === 0 ? "  " : "      "}${each}${at < lines.length - 1 ? " \\" : ""}`
  );
}

/** Version of the package, the same as in deno.json. */
export const VERSION = "0.1.0";
