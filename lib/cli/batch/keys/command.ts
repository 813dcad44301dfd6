import { concat } from "../../../bytes/pack.ts";
import { decodeUtf8 } from "../../../bytes/text.ts";
import type { KeySource } from "../../../batch/ports.ts";
import { usageError } from "../../errors.ts";
import { explain } from "../../io.ts";
import { checkProgram, forbiddenProgram, missingProgram, splitWords } from "./program.ts";
import type { StopSignal } from "../signal.ts";

/** A key of an HSM or of 4096 bits takes seconds; what takes this long hangs. */
const KEY_TIME_MS = 600_000;
/** A program that is asked to end gets so long. */
const GRACE_MS = 3000;
/** In which a program that has ended and printed a key may be read to its end. */
const SETTLE_MS = 100;
/** In which a signal that a program got reaches this process too. */
const HEAR_MS = 500;
/** Most bytes of a private key as PEM. */
const MOST_KEY = 0x10000;
/** Exit codes of shells for programs that SIGHUP, SIGINT and SIGTERM ended. */
const SIGNAL_CODES: readonly number[] = [129, 130, 143];

/** A key, why there is none, or null when the run is to end. */
type Taken = Uint8Array | { problem: string } | null;

/** Programs under way, which do not outlive the process. */
const running = new Set<Deno.ChildProcess>();

/**
 * A program that prints a private key, run once a device without a shell; `{id}` in its words becomes
 * the device's. What it prints to stderr is seen by nobody: it may print a key there, or a password.
 *
 * @param lanes Programs at a time.
 * @param stop Ends the programs; the devices that wait for them stay as they are.
 * @param note Takes how to see why a program fails, once.
 * @throws {CliError} as {@linkcode checkProgram}.
 */
export async function commandKeys(
  line: string,
  lanes: number,
  { signal, kill }: Pick<StopSignal, "signal" | "kill">,
  note: (line: string) => void,
): Promise<KeySource> {
  const words = splitWords(line);
  if (words.length === 0) throw usageError("--key-command is empty", "key-command");
  if (!words[0]!.includes("{id}")) await checkProgram(words[0]!);
  kill.addEventListener("abort", () => running.forEach((child) => end(child, "SIGKILL")));
  let hasFailed = false;
  const onFailure = (id: string) => {
    if (hasFailed) return;
    hasFailed = true;
    note(
      `hint: what the key command says is not shown; to see it, run it by hand with ${id} for {id}`,
    );
  };
  let free = lanes;
  const waiting: (() => void)[] = [];
  const inLane = async (act: () => Promise<Taken>): Promise<Taken> => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    else free--;
    try {
      return await act();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
  return {
    name: `the command ${words[0]}`,
    take: (devices) =>
      Promise.all(
        devices.map(({ id }) => inLane(() => runKeyCommand(words, id, signal, onFailure))),
      ),
  };
}

async function runKeyCommand(
  words: readonly string[],
  id: string,
  signal: AbortSignal,
  onFailure: (id: string) => void,
): Promise<Taken> {
  if (signal.aborted) return null;
  const child = start(words.map((word) => word.replaceAll("{id}", id)));
  running.add(child);
  const limit = AbortSignal.timeout(KEY_TIME_MS);
  const ends = AbortSignal.any([signal, limit]);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    end(child, "SIGTERM");
    timer = setTimeout(() => end(child, "SIGKILL"), GRACE_MS);
  };
  ends.addEventListener("abort", stop);
  try {
    const output = readUpTo(child.stdout, MOST_KEY, () => end(child, "SIGKILL"));
    const status = await child.status;
    // What the program started may hold its output open.
    const rest = [
      setTimeout(() => hasKey(output.soFar()) && output.cancel(), SETTLE_MS),
      setTimeout(output.cancel, GRACE_MS),
    ];
    const key = await output.bytes;
    rest.forEach(clearTimeout);
    if (key !== undefined && status.success) return key;
    if (signal.aborted) return null;
    if (key === undefined) return { problem: "the key command printed more than a private key" };
    if (limit.aborted) return { problem: "the key command took more than ten minutes" };
    // A terminal sends Ctrl-C to it too, and it may end before this process has heard of it.
    if (wasAsked(status) && await isHeard(signal)) return null;
    if (status.signal !== null) return { problem: `the key command was ended by ${status.signal}` };
    onFailure(id);
    return { problem: `the key command ended with code ${status.code}` };
  } finally {
    ends.removeEventListener("abort", stop);
    clearTimeout(timer);
    running.delete(child);
  }
}

/** Whether a program was asked to end, by its own word or that of its shell. */
function wasAsked({ signal, code }: Deno.CommandStatus): boolean {
  return signal !== null || SIGNAL_CODES.includes(code);
}

/** Whether this process is asked to end too, at about the same time. */
async function isHeard(signal: AbortSignal): Promise<boolean> {
  for (let waited = 0; waited < HEAR_MS && !signal.aborted; waited += SETTLE_MS) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  }
  return signal.aborted;
}

function start([program, ...args]: readonly string[]): Deno.ChildProcess {
  try {
    const piped = { stdin: "null", stdout: "piped", stderr: "null" } as const;
    return new Deno.Command(program!, { args, ...piped }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw forbiddenProgram(program!);
    if (error instanceof Deno.errors.NotFound) throw missingProgram(program!);
    throw explain("read", program!, error);
  }
}

function end(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It has ended already.
  }
}

interface Reading {
  /** All bytes; undefined when there were too many. */
  readonly bytes: Promise<Uint8Array | undefined>;
  soFar(): Uint8Array;
  cancel(): void;
}

function readUpTo(stream: ReadableStream<Uint8Array>, most: number, onMore: () => void): Reading {
  const reader = stream.getReader();
  const parts: Uint8Array[] = [];
  const read = async () => {
    for (let length = 0; length <= most;) {
      const { value } = await reader.read();
      if (value === undefined) return concat(...parts);
      parts.push(value);
      length += value.length;
    }
    onMore();
    await reader.cancel();
    return undefined;
  };
  return {
    bytes: read(),
    soFar: () => concat(...parts),
    cancel: () => void reader.cancel(),
  };
}

/** Whether a private key has been printed whole. */
function hasKey(bytes: Uint8Array): boolean {
  return /-----END [A-Z ]*PRIVATE KEY-----\s*$/.test(decodeUtf8(bytes) ?? "");
}
