import type { Command, Example, Flag, NamedCommand } from "./command.ts";
import { COMMON_FLAGS } from "./flags.ts";
import { VERSION } from "./version.ts";

const COLUMN = 28;
const WIDTH = 96;

/** What `--help` prints. */
export function formatHelp(
  commands: readonly Pick<NamedCommand, "name" | "summary">[],
): string {
  const width = Math.max(...commands.map(({ name }) => name.length)) + 2;
  return [
    `esp-secure-cert ${VERSION}: keys, certificates and images for the esp_secure_cert partition`,
    "",
    "Usage: deno run [permissions] cli.ts COMMAND [arguments]",
    "",
    "Commands:",
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`),
    "",
    "  COMMAND --help   its arguments, flags, exit codes and examples",
    "  --version        the version",
    "",
    "Start here: deno task demo",
  ].join("\n");
}

/** What `COMMAND --help` prints. */
export function formatCommandHelp(command: NamedCommand): string {
  const { name, summary, positionals = [], flags, examples } = command;
  const words = positionals.map(({ name, repeats }) => ` ${name}${repeats ? "…" : ""}`).join("");
  return [
    `esp-secure-cert ${name}: ${summary}`,
    "",
    `Usage: deno run [permissions] cli.ts ${name}${words} [flags]`,
    ...section("Arguments", positionals.map(({ name, help }) => row(`  ${name}`, help))),
    ...section("Flags", [...flags, ...COMMON_FLAGS].map(formatFlag)),
    ...section("Exit codes", exitCodes(command)),
    ...section(examples.length > 1 ? "Examples" : "Example", examples.map(formatExample)),
  ].join("\n");
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", `${title}:`, ...lines];
}

function formatFlag(flag: Flag): string {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  const value = flag.value === undefined ? "" : ` ${flag.value}`;
  const choices = flag.choices === undefined ? "" : `\n${fold(flag.choices)}`;
  const repeats = flag.repeats ? " (repeats)" : "";
  const standard = flag.default === undefined ? "" : ` [${flag.default}]`;
  return row(`  ${short}--${flag.name}${value}`, flag.help + repeats + standard + choices);
}

/** Choices in lines of four, joined by bars. */
function fold(choices: readonly string[]): string {
  const lines: string[] = [];
  for (let at = 0; at < choices.length; at += 4) lines.push(choices.slice(at, at + 4).join(" | "));
  return lines.join(" |\n");
}

function row(left: string, text: string): string {
  const [first, ...rest] = text.split("\n");
  const head = left.length < COLUMN - 1
    ? left.padEnd(COLUMN) + first
    : `${left}\n${" ".repeat(COLUMN)}${first}`;
  return [head, ...rest.map((line) => " ".repeat(COLUMN) + line)].join("\n");
}

function exitCodes({ exit1 = "it failed" }: Command): string[] {
  return ["  0  done", `  1  ${exit1}`, "  2  the command line is wrong"];
}

/** On one line, or with the permissions on a line of their own. */
function formatExample({ permissions, line }: Example): string {
  const head = `  deno run${permissions === "" ? "" : ` ${permissions}`}`;
  const tail = `cli.ts ${line}`;
  return head.length + tail.length < WIDTH ? `${head} ${tail}` : `${head} \\\n    ${tail}`;
}
