import { type CommandSpec, COMMON_OPTIONS, type OptionSpec } from "./flags.ts";
import { type CommandName, COMMANDS, commandSpec } from "./options.ts";
import { VERSION } from "./version.ts";

const COLUMN = 28;
const WIDTH = 96;

/** What `--help` prints. */
export function formatHelp(): string {
  const names = Object.keys(COMMANDS) as CommandName[];
  const width = Math.max(...names.map((name) => name.length)) + 2;
  return [
    `esp-secure-cert ${VERSION}: keys, certificates and images for the esp_secure_cert partition`,
    "",
    "Usage: deno run [permissions] cli.ts COMMAND [arguments]",
    "",
    "Commands:",
    ...names.map((name) => `  ${name.padEnd(width)}${commandSpec(name).summary}`),
    "",
    "  COMMAND --help   its arguments, flags, exit codes and examples",
    "  --version        the version",
    "",
    "Start here: deno task demo",
  ].join("\n");
}

/** What `COMMAND --help` prints. */
export function formatCommandHelp(name: CommandName): string {
  const spec = commandSpec(name);
  const words = spec.arguments.map(({ name, repeats }) => ` ${name}${repeats ? "…" : ""}`).join("");
  return [
    `esp-secure-cert ${name}: ${spec.summary}`,
    "",
    `Usage: deno run [permissions] cli.ts ${name}${words} [flags]`,
    ...section(
      "Arguments",
      spec.arguments.map((argument) => row(`  ${argument.name}`, argument.help)),
    ),
    ...section("Flags", [...spec.options, ...COMMON_OPTIONS].map(formatOption)),
    ...section("Exit codes", exitCodes(spec)),
    ...section(spec.examples.length > 1 ? "Examples" : "Example", spec.examples.map(formatExample)),
  ].join("\n");
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", `${title}:`, ...lines];
}

function formatOption(option: OptionSpec): string {
  const short = option.short === undefined ? "    " : `-${option.short}, `;
  const value = option.value === undefined ? "" : ` ${option.value}`;
  const choices = option.choices === undefined ? "" : `\n${fold(option.choices)}`;
  const repeats = option.repeats === true ? " (repeats)" : "";
  const standard = option.default === undefined ? "" : ` [${option.default}]`;
  return row(`  ${short}--${option.name}${value}`, option.help + repeats + standard + choices);
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

function exitCodes({ exit1 }: CommandSpec): string[] {
  return ["  0  done", `  1  ${exit1 ?? "it failed"}`, "  2  the command line is wrong"];
}

/** On one line, or with the permissions on a line of their own. */
function formatExample({ permissions, line }: CommandSpec["examples"][number]): string {
  const head = `  deno run${permissions === "" ? "" : ` ${permissions}`}`;
  const tail = `cli.ts ${line}`;
  return head.length + tail.length < WIDTH ? `${head} ${tail}` : `${head} \\\n    ${tail}`;
}
