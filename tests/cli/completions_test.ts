/** Completions, typed into the real shells: what arrives at the program is what was meant. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { installed, LINUX, needing, PROCESSES } from "../needs.ts";
import { MemoryWorld } from "./memory_io.ts";

/** How a shell is started without anybody's settings, and what makes it ready. */
const SHELLS = {
  bash: {
    line: "bash --norc --noprofile -i",
    ready: "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; set +o history",
  },
  zsh: {
    line: "zsh -f -i",
    ready: "autoload -U compinit; compinit -D",
  },
} as const;

/** What is typed, where <TAB> is \t, and the words that the program gets. */
const LINES: readonly (readonly [string, readonly string[]])[] = [
  ["inspe\t", ["inspect"]],
  ["build --chi\tesp32s2", ["build", "--chip", "esp32s2"]],
  ["build --chip esp32p\t", ["build", "--chip", "esp32p4"]],
  ["build --chip=esp32p\t", ["build", "--chip=esp32p4"]],
  ["keygen --curve=P-3\t", ["keygen", "--curve=P-384"]],
  ["bulk stat\t", ["bulk", "status"]],
  ["bulk export batch --to rainm\t", ["bulk", "export", "batch", "--to", "rainmaker"]],
  ["bulk --key-mode rsa\t", ["bulk", "--key-mode", "rsa-ds"]],
  ["inspect one\t", ["inspect", "one image.bin"]],
  ["inspect one\t two\t", ["inspect", "one image.bin", "two:x.bin"]],
  ["build --csv one\t", ["build", "--csv", "one image.bin"]],
  ["build --csv=one\t", ["build", "--csv=one image.bin"]],
  ["build --data user3\tstr\tx", ["build", "--data", "user3=string:x"]],
  ["build --data=user3=fil\tone\t", ["build", "--data=user3=file:one image.bin"]],
  ["completions zs\t", ["completions", "zsh"]],
  ["bulk status dev\t", ["bulk", "status", "devices"]],
];

async function script(shell: string): Promise<string> {
  return (await new MemoryWorld().run("completions", shell)).stdout;
}

/** A folder with files whose names need care. */
async function inFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const name of ["one image.bin", "two:x.bin"]) {
      await Deno.writeFile(`${folder}/${name}`, new Uint8Array());
    }
    await Deno.mkdir(`${folder}/devices`);
    await act(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const [shell, { line, ready }] of Object.entries(SHELLS)) {
  needing(PROCESSES, LINUX, installed("script"), installed(shell)).test(
    `what ${shell} completes arrives as it was meant`,
    async () => {
      await inFolder(async (folder) => {
        await Deno.writeTextFile(`${folder}/.completions`, await script(shell));
        const typed = [
          ready,
          "source ./.completions",
          `esp-secure-cert() { printf '<%s>' got "$@" >> ./.got; echo >> ./.got; }`,
          ...LINES.map(([line]) => `esp-secure-cert ${line}`),
          "exit",
        ];
        const terminal = new Deno.Command("script", {
          args: ["-qec", line, "/dev/null"],
          cwd: folder,
          stdin: "piped",
          stdout: "piped",
          stderr: "null",
          env: { TERM: "xterm", PS1: "$ ", HOME: folder, INPUTRC: "/dev/null" },
        }).spawn();
        const said = new Response(terminal.stdout).text();
        const writer = terminal.stdin.getWriter();
        for (const each of typed) await writer.write(new TextEncoder().encode(`${each}\n`));
        await writer.close();
        await terminal.status;
        const got = await Deno.readTextFile(`${folder}/.got`).catch(() => "");
        const wanted = LINES.map(([, words]) =>
          ["got", ...words].map((word) => `<${word}>`).join("")
        );
        // zsh joins a flag and its value, and takes the slash after a folder away again.
        const words = got.trimEnd().replaceAll("devices/>", "devices>")
          .replace("<--chip=esp32s2>", "<--chip><esp32s2>").split("\n");
        assertEquals(words, wanted, await said);
      });
    },
  );
}

needing(PROCESSES, installed("fish")).test("fish offers what is meant", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/.completions`, await script("fish"));
    const offers: readonly (readonly [string, readonly string[]])[] = [
      ["inspe", ["inspect"]],
      ["build --chip esp32p", ["esp32p4"]],
      ["build --chip=esp32p", ["--chip=esp32p4"]],
      ["bulk stat", ["status"]],
      ["bulk export batch --to rainm", ["rainmaker"]],
      ["inspect one", ["one image.bin"]],
      ["inspect 'one image.bin' two", ["two:x.bin"]],
      ["build --csv one", ["one image.bin"]],
      ["build --data user3=str", ["user3=string:"]],
      ["build --data user3=file:one", ["user3=file:one image.bin"]],
      ["completions zs", ["zsh"]],
      ["bulk status dev", ["devices/"]],
      ["keygen one", []],
    ];
    const lines = offers.map(([typed]) => `complete -C "esp-secure-cert ${typed}"; echo ";;"`);
    const code = ["source .completions", ...lines].join("\n");
    const { stdout } = await new Deno.Command("fish", {
      args: ["--no-config", "-c", code],
      cwd: folder,
      env: { HOME: folder },
    }).output();
    const answers = new TextDecoder().decode(stdout).split(";;\n").slice(0, -1)
      .map((text) =>
        text.split("\n").filter((each) => each !== "").map((each) => each.split("\t")[0]!)
      );
    for (const [at, [typed, wanted]] of offers.entries()) assertEquals(answers[at], wanted, typed);
  });
});

Deno.test("completions name every kind of value", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const text = await script(shell);
    for (const word of ["esp32c61", "P-384", "hmac-derived", "user5", "aws", "rainmaker"]) {
      assertStringIncludes(text, word, shell);
    }
  }
});
