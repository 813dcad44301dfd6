import { equalBytes } from "../../lib/bytes/pack.ts";
import { fileError } from "../../lib/cli/errors.ts";
import { explain, type Io, type OutputFile, type Script } from "../../lib/cli/io.ts";
import { run } from "../../lib/cli/run.ts";

/** What a command did. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Bytes that went to stdout as they are. */
  readonly bytes: Uint8Array;
}

/** A world of files in memory, which stays between commands. */
export class MemoryWorld {
  readonly files = new Map<string, OutputFile>();
  stdin = new Uint8Array();
  terminal = false;
  /** Bytes instead of random ones. */
  random?: (length: number) => Uint8Array;
  /** Programs that are installed, and how they end. */
  readonly programs = new Map<string, number>();
  /** The programs that were run, with their arguments. */
  readonly ran: string[][] = [];
  columns = 100;
  /** The name of the installed command. */
  program?: string;
  /** How Deno runs the script. */
  script?: Script;
  /** What is answered at the terminal; without it there is no terminal. */
  answer?: string;
  /** What they were asked. */
  readonly questions: string[] = [];

  /** A file's bytes. */
  bytes(path: string): Uint8Array {
    return this.files.get(path)!.bytes;
  }

  /** Puts a file there. */
  put(path: string, bytes: Uint8Array | string): void {
    this.files.set(path, {
      path,
      bytes: typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes,
    });
  }

  /** Runs a command line. */
  async run(...argv: readonly string[]): Promise<Outcome> {
    const out: string[] = [];
    const notes: string[] = [];
    let bytes = new Uint8Array();
    const io: Io = {
      read: (path) => {
        if (path === "-") return Promise.resolve(this.stdin);
        const file = this.files.get(path);
        if (file !== undefined) return Promise.resolve(file.bytes);
        return Promise.reject(
          explain("read", path, new Deno.errors.NotFound()),
        );
      },
      list: (path) => {
        const inside = [...this.files.keys()].filter((file) => file.startsWith(`${path}/`))
          .map((file) => file.slice(path.length + 1).split("/")[0]!);
        return Promise.resolve(inside.length > 0 ? [...new Set(inside)].toSorted() : undefined);
      },
      readIfExists: (path) => Promise.resolve(this.files.get(path)?.bytes),
      write: (files, force, { stdout } = {}) => {
        const stays = ({ path, bytes, keep, mayStay = keep }: OutputFile) =>
          mayStay === true && this.files.has(path) &&
          equalBytes(this.files.get(path)!.bytes, bytes);
        const changed = files.filter((file) => !stays(file));
        const taken = changed.find((file) =>
          this.files.has(file.path) && (!force || file.keep && force !== "keys")
        );
        if (taken !== undefined) {
          const { path, ifTaken } = taken;
          return Promise.reject(fileError("ERR_FILE_EXISTS", path, `${path} exists`, ifTaken));
        }
        for (const file of changed) this.files.set(file.path, file);
        return stdout === undefined ? Promise.resolve() : io.put(stdout);
      },
      makeDir: () => Promise.resolve([]),
      put: (more) => {
        bytes = new Uint8Array([...bytes, ...more]);
        return Promise.resolve();
      },
      run: (names, args) => {
        const name = names.find((name) => this.programs.has(name));
        if (name === undefined) return Promise.resolve(undefined);
        this.ran.push([name, ...args]);
        return Promise.resolve({ name, code: this.programs.get(name)! });
      },
      ...this.random && { random: this.random },
      print: (text) => void out.push(text),
      note: (text) => void notes.push(text),
      ...this.answer !== undefined && {
        promptSecret: (question: string) => {
          this.questions.push(question);
          return Promise.resolve(this.answer!);
        },
      },
      isStdoutTerminal: this.terminal,
      columns: this.columns,
      program: this.program,
      script: this.script,
      noColor: false,
    };
    const code = await run(argv, io);
    return { code, stdout: out.join("\n"), stderr: notes.join("\n"), bytes };
  }
}
