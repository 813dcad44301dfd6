import { concat } from "../../bytes/pack.ts";
import type { Arguments } from "../command.ts";
import { fileError, usageError, valueError } from "../errors.ts";
import {
  checkProgram,
  endedWith,
  endProgram,
  GRACE_MS,
  howEnded,
  SETTLE_MS,
  splitWords,
  startProgram,
} from "./child.ts";

/** What {@linkcode openPrograms} starts. */
export interface ProgramOptions extends Omit<ProgramLine, "words"> {
  /** The flag that names the program. */
  readonly flag: string;
  /** Its words on one line, as a shell splits them. */
  readonly line: string;
  /** How many run at a time. @default 1 */
  readonly most?: number;
  /** Asks for an early end, after which answers under way have some time. */
  readonly signal?: AbortSignal;
  /** Ends all at once. */
  readonly kill?: AbortSignal;
}

/** Programs of one kind, each started when the others are busy. */
export interface Programs {
  /** The program, as it was found. */
  readonly name: string;
  /**
   * The answer to a line.
   *
   * @throws {DOMException} `AbortError` when the run is to end; {@linkcode LineProgram.ask} otherwise: one
   * program that fails ends all of them.
   */
  ask(line: string): Promise<string>;
  /**
   * Ends them.
   *
   * @throws {CliError} as {@linkcode LineProgram.close}.
   */
  close(): Promise<void>;
}

const ANSWER_SECONDS = 60;
const MOST_SECONDS = 86_400;

/** Seconds in which an answer must come: what `--answer-timeout` says, or else 60. */
export function answerSeconds(args: Arguments): number {
  const seconds = args.number("answer-timeout") ?? ANSWER_SECONDS;
  if (seconds >= 1 && seconds <= MOST_SECONDS) return seconds;
  const rule = `--answer-timeout is a number of seconds from 1 to ${MOST_SECONDS}`;
  throw valueError(rule, String(seconds), "answer-timeout");
}

/**
 * Prepares programs that answer lines.
 *
 * @throws {CliError} `ERR_USAGE` for an empty line; as {@linkcode checkProgram}.
 */
export async function openPrograms(options: ProgramOptions): Promise<Programs> {
  const { flag, line, most = 1, signal, kill } = options;
  const words = splitWords(line);
  if (words.length === 0) throw usageError(`--${flag} is empty`, flag);
  await checkProgram(words[0]!);
  const all: LineProgram[] = [];
  const free: LineProgram[] = [];
  const waiting: PromiseWithResolvers<LineProgram>[] = [];
  let end: { readonly error: unknown } | undefined;
  const stop = (error: unknown) => {
    end ??= { error };
    for (const each of waiting.splice(0)) each.reject(end.error);
  };
  const killAll = () => all.forEach((program) => program.kill());

  const take = (): LineProgram | Promise<LineProgram> => {
    if (end !== undefined) throw end.error;
    const program = free.pop();
    if (program !== undefined) return program;
    if (all.length < most) {
      const started = startLineProgram({ ...options, words });
      all.push(started);
      return started;
    }
    const turn = Promise.withResolvers<LineProgram>();
    waiting.push(turn);
    return turn.promise;
  };
  const giveBack = (program: LineProgram) => {
    const next = waiting.shift();
    if (next === undefined) free.push(program);
    else next.resolve(program);
  };

  let timer: ReturnType<typeof setTimeout> | undefined;
  const onStop = () => {
    stop(stopped());
    timer = setTimeout(killAll, GRACE_MS);
  };
  signal?.addEventListener("abort", onStop);
  kill?.addEventListener("abort", killAll);
  return {
    name: words[0]!,
    ask: async (line) => {
      const program = await take();
      try {
        const answer = await program.ask(line);
        giveBack(program);
        return answer;
      } catch (error) {
        const isStopped = signal !== undefined && await endedWith(await program.status, signal);
        stop(isStopped ? stopped() : error);
        throw end!.error;
      }
    },
    close: async () => {
      stop(stopped());
      try {
        const ends = await Promise.allSettled(all.map((program) => program.close()));
        const broken = ends.find(({ status }) => status === "rejected");
        if (broken?.status === "rejected" && signal?.aborted !== true) throw broken.reason;
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onStop);
        kill?.removeEventListener("abort", killAll);
      }
    },
  };
}

function stopped(): DOMException {
  return new DOMException("The run was stopped", "AbortError");
}

/** A program that answers each line of its standard input with a line of its standard output. */
interface ProgramLine {
  /** In messages, such as "the key server". */
  readonly what: string;
  readonly words: readonly string[];
  /** Seconds in which an answer must come. */
  readonly seconds: number;
  /** What a person types to see why it fails. */
  readonly example: string;
}

/** A {@linkcode ProgramLine} that runs. */
interface LineProgram {
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
function startLineProgram(program: ProgramLine): LineProgram {
  const child = startProgram(program.words, "piped");
  const input = child.stdin.getWriter();
  const output = child.stdout.getReader();
  let asked: PromiseWithResolvers<string> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let grace: ReturnType<typeof setTimeout> | undefined;
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
  /** It may close its input or output before it ends, and it may run on. */
  const onClosed = (what: string) => {
    if (isClosing) return;
    grace ??= setTimeout(() => fail(`closed its standard ${what}`), GRACE_MS);
  };
  const run = async () => {
    const reading = read();
    void reading.then(() => onClosed("output"));
    const status = await child.status;
    clearTimeout(grace);
    // It may leave another program that holds its output open.
    const settled = setTimeout(() => output.cancel(), SETTLE_MS);
    await reading;
    clearTimeout(settled);
    if (!isClosing) fail(howEnded(status));
  };
  const ended = run();
  input.closed.catch(() => onClosed("input"));

  return {
    status: child.status,
    ask: (line) => {
      if (failure !== undefined) return Promise.reject(failure);
      asked = Promise.withResolvers();
      const { seconds } = program;
      timer = setTimeout(() => fail(`gave no answer within ${seconds} s`, true), seconds * 1000);
      // What it does not read any more shows where its input is closed, or its output ends.
      input.write(new TextEncoder().encode(`${line}\n`)).catch(() => {});
      return asked.promise;
    },
    close: async () => {
      isClosing = true;
      clearTimeout(grace);
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
