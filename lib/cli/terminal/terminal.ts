import { decodeUtf8, encodeUtf8 } from "../../bytes/text.ts";

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

/** What ends an answer: line feed, carriage return, Ctrl-D. */
const ENDS: readonly (number | undefined)[] = [10, 13, 4, undefined];
/** Backspace and delete. */
const ERASERS: readonly number[] = [8, 127];
const CTRL_C = 3;

/**
 * Asks at the terminal without echo, however wide it says it is. What was typed before the question was
 * there counts.
 *
 * @returns The answer, or null when there is none.
 */
export function askSecret(question: string): Promise<string | null> {
  // Windows has no mode in which Ctrl-C still ends the program.
  Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
  try {
    Deno.stderr.writeSync(encodeUtf8(`${question} `));
    return Promise.resolve(readAnswer(readByte));
  } finally {
    Deno.stdin.setRaw(false);
    Deno.stderr.writeSync(encodeUtf8("\n"));
  }
}

/**
 * The text that keys of a terminal type, up to the one that ends it.
 *
 * @param next Gives one byte after the other, undefined at the end.
 */
export function readAnswer(next: () => number | undefined): string | null {
  const bytes: number[] = [];
  for (;;) {
    const byte = next();
    if (byte === CTRL_C) return null;
    if (ENDS.includes(byte)) {
      const isNone = bytes.length === 0 && byte !== 10 && byte !== 13;
      return isNone ? null : decodeUtf8(new Uint8Array(bytes)) ?? null;
    }
    if (ERASERS.includes(byte!)) eraseCharacter(bytes);
    else bytes.push(byte!);
  }
}

/** Takes the last character of UTF-8 away, with the bytes that continue it. */
function eraseCharacter(bytes: number[]): void {
  let last = bytes.pop();
  while (last !== undefined && (last & 0xC0) === 0x80) last = bytes.pop();
}

function readByte(): number | undefined {
  const byte = new Uint8Array(1);
  return Deno.stdin.readSync(byte) === 1 ? byte[0] : undefined;
}

/** Whether a question can be asked: the question goes to stderr, and the answer comes from stdin. */
export function canAsk(): boolean {
  return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
}
