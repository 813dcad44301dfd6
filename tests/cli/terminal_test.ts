/** What goes to a terminal: the line of progress, and text from anywhere. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { loadCommands } from "../../lib/cli/commands.ts";
import type { Io } from "../../lib/cli/io.ts";
import { openLines, readAnswer } from "../../lib/cli/terminal/terminal.ts";
import { startLine } from "../../lib/cli/terminal/progress_line.ts";
import { formatPem } from "../../lib/bytes/pem.ts";
import { encodeNvs, encodePartitionTable, encodeTlv, generateKey } from "../../mod.ts";
import { MemoryWorld } from "./memory_io.ts";

const CLEAR = "\x1b[1A\x1b[2K";
/** What moves a cursor, hides text, turns it around or breaks its line. */
const HOSTILE =
  "a\x1b[2J\x1b[8mb\u202Ec\x9Bd\x07\x7F\u2028e\u2029f\u200Bg\u2066h\u061Ci\uFEFFj\u{E0041}k\u3164l\u00ADm";
/** Of it, and of anything like it. */
const UNSEEN = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{DI}]/u;

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
  world.put("s.bin", vector("hostile/escapes_tlv.bin"));
  world.put(
    "n.bin",
    encodeNvs([{ namespace: "a\x1b[2J", key: "b\u2028c\nd", type: "u8", value: 1 }]),
  );
  world.put(
    "rows.csv",
    `tlv_type,tlv_subtype,data_value,data_type,priv_key_type,algorithm,key_size,efuse_id,efuse_key\n51,0,"${HOSTILE}",file,,,,,\n`,
  );
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
    ["inspect", "s.bin"],
    ["verify", "s.bin"],
    ["inspect", "n.bin"],
    ["diff", "n.bin", "s.bin"],
    ["convert", "n.bin", "--to", "tlv", "-o", "x.bin"],
    ["build", "--csv", "rows.csv", "-o", "x.bin"],
    ["build", "--data", HOSTILE, "-o", "x.bin"],
    ["provision", "--id", HOSTILE, "--san", `dns:${HOSTILE}`, "-o", "x"],
    ["csr", "--key", "k.pem", "--subject", HOSTILE, "-o", HOSTILE],
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
        UNSEEN.exec(shown)?.[0],
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

Deno.test("a line feed in a name begins no line of its own", async () => {
  const world = new MemoryWorld();
  world.put("s.bin", vector("hostile/escapes_tlv.bin"));
  world.put(
    "t.bin",
    encodePartitionTable([{ name: "a\nFAKE", type: 1, subtype: 2, offset: 0x9000, size: 0x4000 }]),
  );
  world.put("n.bin", encodeNvs([{ namespace: "a\nFAKE", key: "b\nFAKE", type: "u8", value: 1 }]));
  for (
    const line of [
      ["inspect", "s.bin"],
      ["verify", "s.bin"],
      ["diff", "s.bin", "n.bin"],
      ["inspect", "t.bin"],
      ["inspect", "n.bin"],
      ["convert", "n.bin", "--to", "tlv", "-o", "x.bin"],
      ["keygen", "--curve", "a\nFAKE", "-o", "k.pem"],
      ["a\nFAKE"],
      ["provision", "--id", "a\nFAKE", "-o", "d"],
      ["ca", "--subject", "CN=a\nFAKE", "-o", "ca2"],
      ["verify", "a\nFAKE"],
      ["verify", "--a\nFAKE"],
    ]
  ) {
    const { stdout, stderr } = await world.run(...line);
    assertEquals(/^ *FAKE/m.test(stdout + stderr), false, stdout + stderr);
  }
});

Deno.test("JSON is the same after its escapes are read", async () => {
  const world = new MemoryWorld();
  const name = "\u2028\u{E0041}\u202E\x7F";
  world.put(
    "n.bin",
    encodeNvs([{ namespace: name.slice(0, 1), key: name.slice(1), type: "u8", value: 1 }]),
  );
  const { stdout } = await world.run("inspect", "n.bin", "--json");
  assertStringIncludes(stdout, "\\udb40\\udc41\\u202e\\u007f");
  const [{ namespace, key }] = JSON.parse(stdout).others;
  assertEquals(namespace + key, name);
});

Deno.test("a text with every private character colours nothing", async () => {
  const world = new MemoryWorld();
  const all = String.fromCharCode(...Array.from({ length: 6400 }, (_, at) => 0xE000 + at));
  const line = ["keygen", "--curve", [...all].map((each) => `${each}8m`).join(""), "-o", "x"];
  const { stderr } = await world.run(...line, "--color", "always");
  assertEquals(stderr.includes("\x1b"), false);
});

Deno.test("what is asked at the terminal is escaped as well", async () => {
  const world = new MemoryWorld();
  const key = await generateKey();
  const name = "a\x1b[2J\u202E.pem";
  world.put(name, formatPem("ENCRYPTED PRIVATE KEY", key.pkcs8));
  world.answer = "secret";
  await world.run("csr", "--key", name, "--subject", "CN=x");
  assertEquals(world.questions, ["password of a\\u001b[2J\\u202e.pem:"]);
});

function vector(name: string): Uint8Array {
  return Deno.readFileSync(new URL(`../vectors/${name}`, import.meta.url));
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

Deno.test("help keeps to the terminal's width, 80 columns without one, and hangs what it breaks", async () => {
  const world = new MemoryWorld();
  const names = (await loadCommands()).map(({ name }) => name.split(" "));
  for (const [terminal, columns, most] of [[true, 72, 72], [true, 100, 100], [false, 40, 80]]) {
    Object.assign(world, { terminal, columns });
    for (
      const line of [
        ["--help"],
        ["chips", "--color", "never"],
        ...names.map((name) => [...name, "--help"]),
      ]
    ) {
      const { stdout } = await world.run(...line);
      for (const each of stdout.split("\n")) {
        const isTable = line[1] === "--color";
        assertEquals([...each].length <= (isTable ? 80 : Number(most)), true, each);
      }
    }
  }
  const { stdout } = await world.run("keygen", "--help");
  assertMatch(stdout, /\n {6}--force-key {11}replace .*\n {28}eFuse key/);
});

Deno.test("usage and examples begin as the command line does", async () => {
  const world = new MemoryWorld();
  assertStringIncludes((await world.run("chips", "--help")).stdout, "  deno run cli.ts chips");
  world.program = "esp-secure-cert";
  const { stdout } = await world.run("keygen", "--help");
  assertStringIncludes(stdout, "Usage: esp-secure-cert keygen [flags]");
  assertStringIncludes(stdout, "\n  esp-secure-cert keygen -o device.key.pem");
  assertEquals((await world.run("--help")).stdout.includes("deno"), false);
});

Deno.test("an answer ends with Enter; backspace takes a character, and Ctrl-C or Ctrl-D all of it", () => {
  const answerTo = (typed: string) => {
    const bytes = new TextEncoder().encode(typed).values();
    return readAnswer(() => bytes.next().value);
  };
  assertEquals(answerTo("secret\r"), "secret");
  assertEquals(answerTo("sä\x7Fecret\nrest"), "secret");
  assertEquals(answerTo("\x7F\x08a\n"), "a");
  assertEquals(answerTo("\n"), "");
  assertEquals(answerTo("half\x04"), "half");
  for (const typed of ["", "\x04", "half\x03"]) assertEquals(answerTo(typed), null);
});
