import { countOf } from "../../bytes/errors.ts";
import { printableLine } from "../../bytes/text.ts";
import { type Finding, FINDINGS } from "../../findings/findings.ts";
import { inGroups, shareWork, startHelpers } from "../threads/share.ts";
import type { Arguments } from "../command.ts";
import type { FlashFile } from "../input/flash.ts";
import { FLAGS_FOR_ONE, type ImageFile } from "../input/images.ts";
import type { Io } from "../io.ts";
import { printJson } from "../output/out.ts";
import {
  bold,
  dim,
  formatDay,
  formatTable,
  green,
  red,
  widthOf,
  wrap,
  yellow,
} from "../render/text.ts";
import { startCounter } from "../terminal/progress_line.ts";
import { imageChecker, type ImageReport, type ManyTask, unread } from "./check.ts";

const HEAD = ["image", "subject", "expires", "key", "result"] as const;
const MOST_SHOWN = 20;
const MIN_COLUMNS = 40;
/** The fewest characters that are shown of a name and of a subject. */
const MIN_CELL = 10;

/**
 * Checks several images and prints what was found: a line each and the findings below, or JSON.
 *
 * @returns The exit code: 1 when one is bad.
 */
export async function reportMany(work: ManyImages, args: Arguments, io: Io): Promise<number> {
  const reports = await checkMany(work, io);
  const ok = reports.every((each) => each.ok);
  if (args.has("json")) printJson({ ok, images: reports.map(({ json }) => json) }, io);
  else {
    const width = Math.max(MIN_COLUMNS, io.columns);
    const cells = reports.map(cellsOf);
    // What reads a pipe may look for a whole name.
    const table = io.isStdoutTerminal ? fitCells(cells, width) : cells;
    io.print(renderMany(reports, table, width).join("\n"));
  }
  return ok ? 0 : 1;
}

function renderMany(
  reports: readonly ImageReport[],
  cells: readonly (readonly string[])[],
  width: number,
): string[] {
  const { head, rows } = formatTable(HEAD, cells);
  const bad = reports.filter(({ ok }) => !ok).length;
  const count = countOf(reports.length, "image");
  return [
    head,
    ...rows.map((row) => row.replace(/(good|BAD)$/, (word) => paint(word))),
    "",
    ...renderUnread(reports, width),
    ...renderGroups(reports, width),
    ...renderUnchecked(reports, width),
    bad === 0 ? `${count}: ${bold(green("good"))}` : `${count}: ${bold(red(`${bad} BAD`))}`,
  ];
}

function paint(word: string): string {
  return word === "BAD" ? red(word) : green(word);
}

function cellsOf({ file, subject, notAfter, kind, ok }: ImageReport): string[] {
  return [
    printableLine(file),
    subject === null ? "–" : printableLine(subject),
    notAfter === null ? "–" : formatDay(notAfter),
    kind ?? "–",
    ok ? "good" : "BAD",
  ];
}

/** Shortens names at their start, where they are alike, and subjects at their end, until rows fit. */
function fitCells(cells: readonly (readonly string[])[], width: number): string[][] {
  const [image, subject, ...others] = HEAD.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => widthOf(row[column]!)))
  );
  const room = others.reduce((rest, each) => rest - each - 2, width - 2);
  const forImage = Math.max(MIN_CELL, Math.min(image!, Math.max(room - subject!, room >> 1)));
  const forSubject = Math.max(MIN_CELL, room - forImage);
  return cells.map(([name, of, ...rest]) => [
    shortenStart(name!, forImage),
    shortenEnd(of!, forSubject),
    ...rest,
  ]);
}

function shortenStart(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `…${characters.slice(1 - width).join("")}`;
}

function shortenEnd(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, width - 1).join("")}…`;
}

/** What was not checked, once, with the number of images, and the flag that would check it. */
function renderUnchecked(reports: readonly ImageReport[], width: number): string[] {
  const all = reports.flatMap(({ unchecked = [] }) => unchecked);
  const lines = [...Map.groupBy(all, ({ what, flag }) => `${what}\n${flag}`).values()]
    .map((each) => {
      const { what, flag } = each[0]!;
      const how = flag === undefined
        ? ""
        : FLAGS_FOR_ONE.includes(flag)
        ? `, give --${flag} with one image`
        : `, give --${flag}`;
      return `not checked in ${countOf(each.length, "image")}: ${what}${how}`;
    });
  return lines.flatMap((line) => wrap(yellow(line), width));
}

function renderUnread(reports: readonly ImageReport[], width: number): string[] {
  const problems = reports.flatMap(({ json }) =>
    "error" in json ? [(json.error as { message: string }).message] : []
  );
  return shorten(problems.map(printableLine)).flatMap((text) => wrap(red(text), width));
}

/** A kind of finding once, with the images that have it: a thousand may have the same. */
function renderGroups(reports: readonly ImageReport[], width: number): string[] {
  const all = reports.flatMap(({ file, findings }) => findings.map((each) => ({ file, ...each })));
  const groups = Map.groupBy(all, ({ severity, code }) => `${severity} ${code}`);
  return [...groups].toSorted(([a], [b]) => a.localeCompare(b)).flatMap(([title, found]) => {
    const { severity, code } = found[0]!;
    const head = severity === "error" ? red(title) : yellow(title);
    return [
      head,
      ...[...linesOf(found), dim(`→ ${FINDINGS[code].advice}`)]
        .flatMap((text) => wrap(text, width - 4)).map((line) => `    ${line}`),
      "",
    ];
  });
}

function linesOf(found: readonly (Finding & { readonly file: string })[]): string[] {
  const byMessage = Map.groupBy(found, ({ message }) => message);
  return shorten([...byMessage].map(([message, each]) => {
    const files = [...new Set(each.map(({ file }) => printableLine(file)))];
    const more = files.length - MOST_SHOWN;
    const list = files.slice(0, MOST_SHOWN).join(", ") + (more > 0 ? ` and ${more} more` : "");
    return `${list}: ${printableLine(message)}`;
  }));
}

function shorten(lines: readonly string[]): string[] {
  const more = lines.length - MOST_SHOWN;
  return more <= 0 ? [...lines] : [...lines.slice(0, MOST_SHOWN), `${more} more; --json lists all`];
}

/** Images under way at a time: WebCrypto's threads get work, and memory stays flat. */
const AT_A_TIME = 32;
/** To start other threads takes as long as to check some hundred images. */
const FEWEST_FOR_THREADS = 2000;
const THREAD = new URL("./worker.ts", import.meta.url);

/** Several images, and what is done with each. */
interface ManyImages {
  readonly files: readonly ImageFile[];
  readonly task: ManyTask;
  /** Reads one of them. */
  readonly read: (path: string) => Promise<FlashFile>;
}

/** Checks several images, with a line of progress when it takes long; in the order of the files. */
async function checkMany(
  { files, task, read }: ManyImages,
  io: Io,
): Promise<ImageReport[]> {
  const check = imageChecker(task);
  const here = (group: readonly ImageFile[]): Promise<readonly ImageReport[]> =>
    Promise.all(
      group.map(({ path, problem }) =>
        problem === undefined ? check(path, read) : unread(path, problem)
      ),
    );
  const reports: ImageReport[] = [];
  const counter = startCounter(io, ["checked", "images"], files.length);
  try {
    const helpers = files.length < FEWEST_FOR_THREADS
      ? undefined
      : await startHelpers<ManyTask, readonly ImageFile[], readonly ImageReport[]>(THREAD, task);
    const doers = { here, helpers, isOwn: isOnlyHere };
    for await (const [group, made] of shareWork(inGroups(files, AT_A_TIME), doers)) {
      reports.push(...made);
      counter.add(group.length);
    }
  } finally {
    counter.end();
  }
  return reports;
}

/** Whether another thread cannot read all of the files. */
function isOnlyHere(files: readonly ImageFile[]): boolean {
  return files.some(({ path, problem }) => problem !== undefined || path === "-");
}
