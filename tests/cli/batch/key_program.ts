/**
 * A key program, as `--key-command` starts it, that fails, floods or hangs as a test wants, on every
 * system. It does what its arguments say, one after another: `say=no token fail=3`.
 */

/** What it can do; the words after "=" are separated by commas. */
const VERBS: Readonly<Record<string, (...words: string[]) => unknown>> = {
  /** Prints a file and ends; where the file is missing, the next argument is done. */
  print: async (path) => {
    const key = await Deno.readFile(path!).catch(() => undefined);
    if (key === undefined) return;
    await Deno.stdout.write(key);
    Deno.exit(0);
  },
  /** Prints a new key. */
  make: async () => {
    const { exportPrivateKey, generateKey } = await import("../../../mod.ts");
    await Deno.stdout.write(await exportPrivateKey(await generateKey()));
  },
  /** Ends with a code. */
  fail: (code) => Deno.exit(Number(code)),
  /** Ends with a code where two words are the same. */
  failFor: (one, other, code) => one === other && Deno.exit(Number(code)),
  /** Prints a line to the standard error. */
  say: (text) => console.error(text),
  /** Prints zeros without end. */
  flood: async () => {
    for (const zeros = new Uint8Array(65536);;) await Deno.stdout.write(zeros);
  },
  /** Makes a file, so that a test sees how far it is. */
  mark: (path) => Deno.writeTextFile(path!, ""),
  /** Does not end. */
  hang: () => new Promise(() => setInterval(() => {}, 1000)),
  /** Starts another that holds its output open and does not end; a file has its process id. */
  leave: async (path) => {
    const args = ["run", "--no-prompt", import.meta.url, "hang"];
    const held = { stdin: "null", stdout: "inherit", stderr: "inherit" } as const;
    const child = new Deno.Command(Deno.execPath(), { args, ...held }).spawn();
    child.unref();
    await Deno.writeTextFile(path!, String(child.pid));
  },
  /** Sends a signal to the program that started it. */
  signalParent: (signal) => Deno.kill(Deno.ppid, signal as Deno.Signal),
  /** Sends a signal to itself, and waits for it. */
  signalSelf: (signal) => {
    Deno.kill(Deno.pid, signal as Deno.Signal);
    return VERBS["hang"]!();
  },
};

/** The command line of this program, for `--key-command`. */
export function keyProgram(...args: readonly string[]): string {
  const words = [Deno.execPath(), "run", "-A", "--no-prompt", import.meta.url, ...args];
  return words.map((word) => `"${word.replaceAll("\\", "/")}"`).join(" ");
}

if (import.meta.main) {
  for (const arg of Deno.args) {
    const [verb, words = ""] = arg.split(/=(.*)/);
    await VERBS[verb!]!(...words.split(","));
  }
}
