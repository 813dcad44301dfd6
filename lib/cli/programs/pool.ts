import type { Arguments } from "../arguments.ts";
import { usageError, valueError } from "../errors.ts";
import { endedWith, GRACE_MS } from "./child.ts";
import { type LineProgram, type ProgramLine, startLineProgram } from "./line_program.ts";
import { checkProgram, splitWords } from "./words.ts";

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
