import { concat } from "../../bytes/pack.ts";
import { fileError } from "../errors.ts";
import { endProgram, GRACE_MS, howEnded, SETTLE_MS, startProgram } from "./child.ts";

/** A program that answers each line of its standard input with a line of its standard output. */
export interface ProgramLine {
  /** In messages, such as "the key server". */
  readonly what: string;
  readonly words: readonly string[];
  /** Seconds in which an answer must come. */
  readonly seconds: number;
  /** What a person types to see why it fails. */
  readonly example: string;
}

/** A {@linkcode ProgramLine} that runs. */
export interface LineProgram {
  /**
   * The answer to a line; one line is asked at a time.
   *
   * @throws {CliError} `ERR_IO` when the program does not answer with one line, now or before.
   */
  ask(line: string): Promise<string>;
  /**
   * Closes its standard input, which asks it to end; a signal follows when it does not.
   *
   * @throws {CliError} `ERR_IO` when it printed more than the answers.
   */
  close(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
  /** How it ended. */
  readonly status: Promise<Deno.CommandStatus>;
}

/** Most bytes of an answer; a key of 16384 bits takes 12 kB. */
const MOST_ANSWER = 0x10000;
const LINE_FEED = 10;

/**
 * Starts a program that answers lines.
 *
 * @throws {CliError} as {@linkcode startProgram}.
 */
export function startLineProgram(program: ProgramLine): LineProgram {
  const child = startProgram(program.words, "piped");
  const input = child.stdin.getWriter();
  const output = child.stdout.getReader();
  let asked: PromiseWithResolvers<string> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failure: unknown;
  let isClosing = false;

  const fail = (problem: string, isLimit = false) => {
    failure ??= programError(program, problem, isLimit);
    endProgram(child, "SIGKILL");
    clearTimeout(timer);
    asked?.reject(failure);
    asked = undefined;
  };
  const answer = (line: string) => {
    clearTimeout(timer);
    asked?.resolve(line);
    asked = undefined;
  };
  const read = async () => {
    let parts: Uint8Array[] = [];
    for (let length = 0;;) {
      const { value } = await output.read();
      if (value === undefined) return;
      const end = value.indexOf(LINE_FEED) + 1;
      parts.push(value);
      length += value.length;
      if (asked === undefined || end > 0 && end < value.length) {
        return fail("printed more than one line for a line");
      }
      if (length > MOST_ANSWER) {
        return fail(`printed more than ${MOST_ANSWER} bytes for a line`);
      }
      if (end === 0) continue;
      const line = concat(...parts);
      [parts, length] = [[], 0];
      answer(new TextDecoder().decode(line).trim());
    }
  };
  const run = async () => {
    const reading = read();
    const grace = () => setTimeout(() => endProgram(child, "SIGKILL"), GRACE_MS);
    // It may close its output and run on, or end and leave another program that holds it open.
    const first = await Promise.race([reading.then(grace), child.status.then(() => undefined)]);
    const status = await child.status;
    clearTimeout(first);
    const settled = setTimeout(() => output.cancel(), SETTLE_MS);
    await reading;
    clearTimeout(settled);
    if (!isClosing) fail(howEnded(status));
  };
  const ended = run();
  input.closed.catch(() => {});

  return {
    status: child.status,
    ask: (line) => {
      if (failure !== undefined) return Promise.reject(failure);
      asked = Promise.withResolvers();
      const { seconds } = program;
      timer = setTimeout(() => fail(`gave no answer within ${seconds} s`, true), seconds * 1000);
      // What it does not read any more shows when its output ends.
      input.write(new TextEncoder().encode(`${line}\n`)).catch(() => {});
      return asked.promise;
    },
    close: async () => {
      isClosing = true;
      input.close().catch(() => {});
      const timers = [
        setTimeout(() => endProgram(child, "SIGTERM"), GRACE_MS),
        setTimeout(() => endProgram(child, "SIGKILL"), 2 * GRACE_MS),
      ];
      await ended;
      timers.forEach(clearTimeout);
      if (failure !== undefined) throw failure;
    },
    kill: () => endProgram(child, "SIGKILL"),
  };
}

/** Whether an answer is `error` and a text: the program does not do what the line asks. */
export function isRefusal(answer: string): boolean {
  return /^error(\s|$)/.test(answer);
}

function programError(
  { what, words, example }: ProgramLine,
  problem: string,
  isLimit: boolean,
): unknown {
  const byHand = `what it says is not shown; to see it, run it by hand and type: ${example}`;
  const hint = isLimit ? `--answer-timeout SECONDS gives it more; ${byHand}` : byHand;
  return fileError("ERR_IO", words[0]!, `${what} ${words[0]} ${problem}`, hint);
}
