/** Texts that no terminal may get as they are, and the places from which commands print them. */
import { assertEquals } from "@std/assert";

/** What precedes a hostile character: text that has it was printed, and is not another one. */
export const SEEN = "zq";
/** Each fits into the 15 bytes of an NVS name and the 16 of a partition's label. */
export const SHORT: readonly string[] = [
  "\x1b[2J",
  "\x9B8m",
  "\x07\x08",
  "\x7F\x85",
  "\u2028\u2029",
  "\u202E\u2066",
  "\u061C\u200F",
  "\u200B\u200D",
  "\uFEFF\u00AD",
  "\u{E0041}",
  "\u3164\u115F",
].map((text) => `${SEEN}${text}b`);
/** With line breaks: text of several lines may be a secret, and then is not repeated. */
const LINES = `${SEEN}\nFAKE\rb`;
/** All of them. */
export const LONG = SHORT.join("");

/** What would fill a screen, a log and a column; a message has no more of it than of a file's name. */
const ENDLESS = `${SEEN}${"y".repeat(10_000)}`;
const MOST = 300;
/** What may be a key, in two notations: a PEM label has capitals only. */
const SECRET = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const SECRETS: readonly string[] = [SECRET.toUpperCase(), SECRET.replace(/..(?=.)/g, "$&:")];

/** What no terminal gets: of it, and of anything like it, besides tabs and line feeds. */
const UNSEEN = /[^\P{Cc}\t\n]|[\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{DI}]/u;

/** Fails when a command printed what it was given as it is; says whether it printed it at all. */
export function isEscaped(
  { stdout, stderr }: Awaited<ReturnType<World["run"]>>,
  what: string,
): boolean {
  const all = `${stdout}\n${stderr}`;
  // deno-lint-ignore no-control-regex -- the colours of this program, which end where they begin
  const shown = all.replaceAll(/\x1b\[(1|2|22|3[1-69])m/g, "");
  const bad = UNSEEN.exec(shown);
  const around = bad && JSON.stringify(shown.slice(Math.max(0, bad.index - 60), bad.index + 20));
  assertEquals(around, null, what);
  assertEquals(/^[\s|│-]*FAKE/m.test(shown), false, `${what}: ${shown}`);
  // Names are escaped as RFC 4514 has it, other text as JSON.
  return all.includes(`${SEEN}\\`);
}

/** Where command lines run. */
export interface World {
  run(...argv: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }>;
}

/** A place from which text is printed. */
export interface Place<Where = World> {
  readonly name: string;
  /** Whether it has room for all hostile characters at once. @default true */
  readonly isRoomy?: boolean;
  /**
   * Which texts are not to be repeated: long ones and those that may be a key. Neither counts where the
   * text is what the command is to show, as a subject is; an id may be a digest. @default both
   */
  readonly hides?: "both" | "long" | "neither";
  /** Which of the command lines print the text; messages about secrets' places do not. @default all */
  readonly printedBy?: "all" | "some" | "some or none" | "none";
  /** Puts a text there, and gives command lines that print it. */
  readonly lines: (text: string, world: Where) => readonly (readonly string[])[];
}

/** Fails when a command prints text of a place as it is, or not where it should. */
export async function assertEscaped<W extends World>(place: Place<W>, world: W): Promise<void> {
  const { name, isRoomy = true, printedBy = "all", lines } = place;
  const printed = new Set<string>();
  const tried = new Set<string>();
  for (const text of [...isRoomy ? [LONG] : SHORT, LINES]) {
    for (const line of lines(text, world)) {
      const short = line.join(" ").replaceAll(text, "…");
      for (const more of [[], ["--json"], ["--color", "always"]]) {
        const isColorless = line[0] === "configure" || line[0] === "bulk";
        if (isColorless && more[0] === "--color") continue;
        const outcome = await world.run(...line, ...more);
        const what = `${name}: ${JSON.stringify([...line, ...more])}`;
        if (isEscaped(outcome, what)) printed.add(short);
        if (more[0] === "--json" && outcome.stdout !== "") JSON.parse(outcome.stdout);
      }
      tried.add(short);
    }
  }
  if (isRoomy) await assertHidden(place, world);
  // Otherwise the test would show nothing.
  if (printedBy === "some") assertEquals(printed.size > 0, true, `${name} is printed by none`);
  else if (printedBy !== "some or none") {
    const expected = printedBy === "all" ? tried : [];
    assertEquals([...printed].sort(), [...expected].sort(), `${name} is printed by`);
  }
}

/** Fails when a command prints more of a text than of a file's name, or one that may be a key. */
async function assertHidden<W extends World>(
  { name, lines, hides = "both" }: Place<W>,
  world: W,
): Promise<void> {
  const texts = { both: [ENDLESS, ...SECRETS], long: [ENDLESS], neither: [] };
  for (const text of texts[hides]) {
    for (const line of lines(text, world)) {
      for (const more of [[], ["--json"]]) {
        const { stdout, stderr } = await world.run(...line, ...more);
        const all = `${stdout}\n${stderr}`;
        const what = `${name}: ${[...line, ...more].map((word) => word.slice(0, 100)).join(" ")}`;
        assertEquals(repeats(all), false, `${what}: ${all.slice(0, 2000)}`);
      }
    }
  }
}

/** Whether something has more of a long text than of a file's name, or what may be a key. */
export function repeats(all: string): boolean {
  const hex = all.toLowerCase().replace(/[\s:,]/g, "");
  return all.includes("y".repeat(MOST)) || hex.includes(SECRET);
}
