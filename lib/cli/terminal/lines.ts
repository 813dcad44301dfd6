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
