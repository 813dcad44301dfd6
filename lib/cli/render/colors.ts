// Not those of @std/fmt: they leave no way round NO_COLOR, and --color always is one.

let enabled = false;

/** Says whether the functions of this file colour their text. */
export function setColorEnabled(wanted: boolean): void {
  enabled = wanted;
}

/** Text in bold. */
export const bold = (text: string): string => paint(text, 1, 22);
/** Text in a faint colour. */
export const dim = (text: string): string => paint(text, 2, 22);
/** Red text. */
export const red = (text: string): string => paint(text, 31, 39);
/** Green text. */
export const green = (text: string): string => paint(text, 32, 39);
/** Yellow text. */
export const yellow = (text: string): string => paint(text, 33, 39);
/** Cyan text. */
export const cyan = (text: string): string => paint(text, 36, 39);

function paint(text: string, on: number, off: number): string {
  return enabled ? `\x1b[${on}m${text}\x1b[${off}m` : text;
}
