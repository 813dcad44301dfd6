/** The line of progress on a terminal. */
import { assertEquals } from "@std/assert";
import type { Io } from "../../lib/cli/io.ts";
import { noteAside, startLine } from "../../lib/cli/terminal/progress_line.ts";

const CLEAR = "\x1b[1A\x1b[2K\x1b[1A";

function terminal(isStderrTerminal = true): { io: Io; notes: string[] } {
  const notes: string[] = [];
  const note = (text: string) => void notes.push(text);
  return { io: { note, columns: 80, isStderrTerminal } as Io, notes };
}

Deno.test("what is said beside the line stays, and the line is taken away once", () => {
  const { io, notes } = terminal();
  const line = startLine(io, (columns) => `1 of 2 in ${columns}`);
  line.show();
  noteAside(io, "stopping");
  line.end();
  assertEquals(notes, ["1 of 2 in 80", CLEAR, "stopping"]);
  noteAside(io, "later");
  assertEquals(notes.slice(3), ["later"]);
});

Deno.test("there is no line where there is no terminal", () => {
  const { io, notes } = terminal(false);
  const line = startLine(io, () => "1 of 2");
  line.show();
  noteAside(io, "stopping");
  line.end();
  assertEquals(notes, ["stopping"]);
});
