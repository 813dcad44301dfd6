import { didYouMean } from "../../bytes/nearest.ts";
import { shownValue } from "../../bytes/text.ts";

/** Values for the placeholders of a template, by name. */
export type TemplateValues = Readonly<Record<string, string>>;

/** A text with its placeholders filled in, or what is wrong with it. */
export type Expanded = { readonly text: string } | { readonly problem: string };

/** A brace that stands for itself, a placeholder with its width, or a brace that is out of place. */
const PLACEHOLDER = /\{\{|\}\}|\{([^{}:]+)(?::0?([0-9]{1,2}))?\}|[{}]/g;

/**
 * Fills the placeholders of a template such as `CN={id},O=Example`. `{n:06}` pads a number with
 * zeros; `{{` and `}}` stand for braces.
 *
 * @param template The template.
 * @param values The values.
 * @param escape Makes a value safe for its place. @default none
 */
export function expandTemplate(
  template: string,
  values: TemplateValues,
  escape: (value: string) => string = (value) => value,
): Expanded {
  if (!/[{}]/.test(template)) return { text: template };
  let problem: string | undefined;
  const text = template.replace(PLACEHOLDER, (found, name?: string, width?: string) => {
    if (found === "{{" || found === "}}") return found[0]!;
    if (name === undefined) {
      problem ??= `${shownValue(template)} has a brace that belongs to no {column}`;
    } else if (!Object.hasOwn(values, name)) {
      problem ??= `there is no column ${shownValue(name)}${didYouMean(name, Object.keys(values))}`;
    } else return escape(values[name]!.padStart(Number(width ?? 0), "0"));
    return "";
  });
  return problem === undefined ? { text } : { problem };
}

/** A list in one text: commas part it, and a backslash keeps those of a value. */
export function joinList(values: readonly string[]): string {
  return values.map((value) => value.replace(/[,;\\]/g, "\\$&")).join(",");
}

/** The values of a list that commas or semicolons part, without the spaces around them. */
export function splitList(text: string): string[] {
  const values: string[] = [];
  let value = "";
  const end = () => void values.push(value.trim());
  for (const [part] of text.matchAll(/\\[,;\\]|[^]/g)) {
    if (part === "," || part === ";") {
      end();
      value = "";
    } else value += part.length > 1 ? part.slice(1) : part;
  }
  end();
  return values;
}
