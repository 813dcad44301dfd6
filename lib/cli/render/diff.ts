import { countOf } from "../../bytes/errors.ts";
import { printableLine } from "../../bytes/text.ts";
import { tlvTypeTitle } from "../../format/names.ts";
import type { Diff, EntryDifference, EntryPlace, FieldDifference } from "../../toolkit/diff.ts";
import type { OtherDifference } from "../../toolkit/others.ts";
import { dim, green, red, yellow } from "./text.ts";

/** What differs, as people read it: one line for each entry, with what differs of it below. */
export function renderDiff({ same, layout, entries, others = [] }: Diff): string {
  if (same) return green("no difference");
  return [...layout.map(renderField), ...entries.flatMap(renderEntry), ...others.map(renderOther)]
    .join("\n");
}

function renderOther({ change, namespace, key, differs, a, b }: OtherDifference): string {
  const name = printableLine(`${namespace}/${key}`);
  if (change === "added") return green(`+ ${name}`) + dim(` ${place(b!)}`);
  if (change === "removed") return red(`- ${name}`) + dim(` ${place(a!)}`);
  return yellow(`~ ${name}`) + dim(` ${place(b!)}`) +
    `: ${differs.join(" and ")} differ${differs.length === 1 ? "s" : ""}`;
}

function renderEntry({ change, type, subtype, a, b, fields }: EntryDifference): string[] {
  const name = `${tlvTypeTitle(type)}${subtype === 0 ? "" : ` ${subtype}`}`;
  switch (change) {
    case "added":
      return [green(`+ ${name}`) + dim(` ${place(b!)}`)];
    case "removed":
      return [red(`- ${name}`) + dim(` ${place(a!)}`)];
    case "moved":
    case "changed":
      return [
        yellow(`${change === "moved" ? ">" : "~"} ${name}`) + dim(` ${place(b!)}`),
        ...telling(fields).map((field) => `    ${renderField(field)}`),
      ];
    default:
      return change satisfies never;
  }
}

/** Where the value was decoded, its length and hash say nothing more. */
function telling(fields: readonly FieldDifference[]): readonly FieldDifference[] {
  const decoded = fields.filter(({ field }) => field !== "sha256" && field !== "length");
  return decoded.some(({ field }) => field.includes(".")) ? decoded : fields;
}

function renderField({ field, a, b }: FieldDifference): string {
  return `${field}: ${show(field, a)} → ${show(field, b)}`;
}

function show(field: string, value: FieldDifference["a"]): string {
  if (value === null) return "none";
  const text = printableLine(String(value).replace(/\s+/g, " "));
  return field === "sha256" ? `${text.slice(0, 16)}…` : text;
}

function place({ offset, length }: Pick<EntryPlace, "offset" | "length">): string {
  return `at 0x${offset.toString(16)}, ${countOf(length, "byte")}`;
}
