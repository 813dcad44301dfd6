export { printableLine } from "../../bytes/text.ts";
import { plainText } from "./colors.ts";

/** Text in lines of a width, broken at spaces, and within words that are longer than a line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((each) => chunks(each, width))) {
    if (line !== "" && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** Columns that a text takes, wide characters aside. */
export function widthOf(text: string): number {
  return [...plainText(text)].length;
}

function chunks(word: string, width: number): string[] {
  const characters = [...word];
  if (characters.length <= width) return [word];
  const parts: string[] = [];
  for (let at = 0; at < characters.length; at += width) {
    parts.push(characters.slice(at, at + width).join(""));
  }
  return parts;
}

/** Bytes as people say them. */
export function formatSize(bytes: number): string {
  return `${bytes} bytes (0x${bytes.toString(16)})`;
}
