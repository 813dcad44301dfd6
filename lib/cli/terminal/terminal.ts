/** Lines of a terminal, of which the last may be one that is drawn again and again. */
export interface TerminalLines {
  /** Writes a line that stays, above the one that is drawn. */
  note(text: string): void;
  /** Replaces the line drawn before; an empty one removes it. */
  drawLine(text: string): void;
}

/** One line up, and nothing there. */
const CLEAR = "\x1b[1A\x1b[2K";

/**
 * Opens the lines of a terminal.
 *
 * @param write Writes text to it.
 */
export function openLines(write: (text: string) => void): TerminalLines {
  let isDrawn = false;
  const put = (text: string) => {
    write(isDrawn ? CLEAR + text : text);
    isDrawn = false;
  };
  return {
    note: (text) => put(`${text}\n`),
    drawLine: (text) => {
      if (text !== "") {
        put(`${text}\n`);
        isDrawn = true;
      } else if (isDrawn) put("");
    },
  };
}

/** Asks at the terminal without echo, also of what was typed before the question was there. */
export async function askSecret(question: string): Promise<string | null> {
  // It takes 27 ms to load, which every other command line would pay.
  const { promptSecret } = await import("./deps.ts");
  Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
  try {
    return promptSecret(question, { mask: "" });
  } finally {
    Deno.stdin.setRaw(false);
  }
}

/** Whether somebody can be asked: the question goes to stdout, which must not be that of the result. */
export function canAsk(): boolean {
  return hasWidth() && Deno.stdin.isTerminal() && Deno.stdout.isTerminal() &&
    Deno.stderr.isTerminal();
}

/** A terminal that says it has no columns leaves no room for a question. */
function hasWidth(): boolean {
  try {
    return Deno.consoleSize().columns > 0;
  } catch {
    return false;
  }
}
