/** Words as a shell splits them: spaces part them, quotes and backslashes keep them together. */
export function splitWords(line: string): string[] {
  const words = line.matchAll(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/g);
  return [...words].map(([word]) =>
    word.replace(
      /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g,
      (_, single, double, escaped) =>
        single ?? (double as string | undefined)?.replace(/\\(["\\$`])/g, "$1") ?? escaped,
    )
  );
}
