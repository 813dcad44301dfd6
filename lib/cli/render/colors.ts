// Not those of @std/fmt: they leave no way round NO_COLOR, and --color always is one.

import { printable } from "../../bytes/text.ts";

/**
 * Begins a colour until {@linkcode terminalText} makes it what a terminal takes. Private characters, others
 * in each process and too many to try, so that no text from a file can colour itself.
 */
const MARK = String.fromCharCode(
  ...crypto.getRandomValues(new Uint16Array(4)).map((number) => 0xE000 + number % 6400),
);
const PAINT = new RegExp(`${MARK}\\d+m`, "g");

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

/** Text as a terminal may show it: with the colours of this file, and {@linkcode printable}. */
export function terminalText(text: string): string {
  return printable(text).replaceAll(MARK, "\x1b[");
}

/** Text without the colours of this file. */
export function plainText(text: string): string {
  return text.replace(PAINT, "");
}

function paint(text: string, on: number, off: number): string {
  return enabled ? `${MARK}${on}m${text}${MARK}${off}m` : text;
}
