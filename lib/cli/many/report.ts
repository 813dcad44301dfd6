import { printableLine } from "../../bytes/text.ts";
import { type Finding, FINDINGS } from "../../findings/findings.ts";
import type { Arguments } from "../arguments.ts";
import type { ImageFile } from "../input/image_files.ts";
import type { Io } from "../io.ts";
import { printJson } from "../output/out.ts";
import { bold, dim, green, red, yellow } from "../render/colors.ts";
import { formatDay, formatTable, wrap } from "../render/text.ts";
import type { ImageReport, ManyTask } from "./check.ts";
import { checkMany } from "./many.ts";

const HEAD = ["image", "subject", "expires", "key", "result"] as const;
const MOST_SHOWN = 20;
const MIN_COLUMNS = 40;

/**
 * Checks several images and prints what was found: a line each and the findings below, or JSON.
 *
 * @returns The exit code: 1 when one is bad.
 */
export async function reportMany(
  files: readonly ImageFile[],
  task: ManyTask,
  args: Arguments,
  io: Io,
): Promise<number> {
  const reports = await checkMany(files, task, io);
  const ok = reports.every((each) => each.ok);
  if (args.has("json")) printJson({ ok, images: reports.map(({ json }) => json) }, io);
  else io.print(renderMany(reports, Math.max(MIN_COLUMNS, io.columns)).join("\n"));
  return ok ? 0 : 1;
}

function renderMany(reports: readonly ImageReport[], width: number): string[] {
  const { head, rows } = formatTable(HEAD, reports.map(cellsOf));
  const bad = reports.filter(({ ok }) => !ok).length;
  const count = `${reports.length} image${reports.length === 1 ? "" : "s"}`;
  return [
    head,
    ...rows.map((row) => row.replace(/(good|BAD)$/, (word) => paint(word))),
    "",
    ...renderUnread(reports, width),
    ...renderGroups(reports, width),
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
