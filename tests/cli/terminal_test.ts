/** What goes to a terminal: the line of progress, and text from anywhere. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Io } from "../../lib/cli/io.ts";
import { openLines } from "../../lib/cli/terminal/lines.ts";
import { startLine } from "../../lib/cli/terminal/progress_line.ts";
import { encodePartitionTable, encodeTlv } from "../../mod.ts";
import { MemoryWorld } from "./memory_io.ts";

const CLEAR = "\x1b[1A\x1b[2K";
/** What moves a cursor, hides text or turns it around. */
const HOSTILE = "a\x1b[2J\x1b[8mb\u202Ec\x9Bd\x07";

Deno.test("what is said beside the line stays, and the line is taken away once", () => {
  const written: string[] = [];
  const { note, drawLine } = openLines((text) => void written.push(text));
  const line = startLine({ drawLine, columns: 80 } as Io, (columns) => `1 of 2 in ${columns}`);
  line.show();
  line.show();
  note("stopping");
  line.show();
  line.end();
  note("later");
  drawLine("");
  assertEquals(written, [
    "1 of 2 in 80\n",
    `${CLEAR}1 of 2 in 80\n`,
    `${CLEAR}stopping\n`,
    "1 of 2 in 80\n",
    CLEAR,
    "later\n",
  ]);
});

Deno.test("there is no line where there is no terminal", () => {
  const line = startLine({ columns: 80 } as Io, () => "1 of 2");
  line.show();
  line.end();
});

Deno.test("text from files, names and flags moves no cursor, and JSON keeps its value", async () => {
  const world = new MemoryWorld();
  world.put("i.bin", encodeTlv({ type: 51, subtype: 0, flags: 0, data: text("x\u202Ey\u200Fz") }));
  world.put(
    "t.bin",
    encodePartitionTable([
      { name: "a\x1b[31mb", type: 1, subtype: 2, offset: 0x9000, size: 0x4000 },
    ]),
  );
  world.put(HOSTILE, "no image");
  const lines = [
    ["inspect", "i.bin"],
    ["inspect", "t.bin"],
    ["inspect", HOSTILE],
    [HOSTILE],
    [
      "verify",
      `--${HOSTILE}`,
    ],
    ["keygen", "--curve", HOSTILE],
    ["verify", "i.bin", "--ca", `${HOSTILE}.pem`],
  ];
  for (const line of lines) {
    for (const more of [[], ["--json"], ["--color", "always"]]) {
      const { stdout, stderr } = await world.run(...line, ...more);
      // Besides the colours of this program, which end where they began.
      // deno-lint-ignore no-control-regex
      const shown = (stdout + stderr).replaceAll(/\x1b\[(1|2|22|3[1-69])m/g, "");
      assertEquals(
        /[^\P{Cc}\n]|[\u200F\u202E]/u.exec(shown)?.[0],
        undefined,
        JSON.stringify(shown),
      );
    }
  }
  const colored = await world.run("inspect", "t.bin", "--color", "always");
  assertStringIncludes(colored.stdout, "a\\u001b[31mb");
  const { stdout } = await world.run("inspect", "i.bin", "--json");
  assertStringIncludes(stdout, "x\\u202ey\\u200fz");
  assertEquals(JSON.parse(stdout).entries[0].userData.text, "x\u202Ey\u200Fz");
});

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
