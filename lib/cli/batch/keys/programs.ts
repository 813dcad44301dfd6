import type { BulkDevice } from "../../../batch/list/devices.ts";
import { deviceKeyMode } from "../../../batch/list/settings.ts";
import type { KeySource } from "../../../batch/ports.ts";
import type { BulkProfile } from "../../../batch/profile/profile.ts";
import { concat } from "../../../bytes/pack.ts";
import { decodeUtf8, parseBase64 } from "../../../bytes/text.ts";
import { KEY_MODE_RULES } from "../../../key_modes/modes.ts";
import { wantedKey } from "../../../key_modes/requirements.ts";
import { usageError } from "../../errors.ts";
import {
  checkProgram,
  endedWith,
  endProgram,
  GRACE_MS,
  howEnded,
  SETTLE_MS,
  splitWords,
  startProgram,
} from "../../programs/child.ts";
import { isRefusal, openPrograms, type ProgramOptions } from "../../programs/pool.ts";
import type { StopSignal } from "../signal.ts";

/** A key of an HSM or of 4096 bits takes seconds; what takes this long hangs. */
const KEY_TIME_MS = 600_000;
/** Most bytes of a private key as PEM. */
const MOST_KEY = 0x10000;

/** A key, why there is none, or null when the run is to end. */
type Taken = Uint8Array | { problem: string } | null;

/** Programs under way, which do not outlive the process. */
const running = new Set<Deno.ChildProcess>();

/**
 * A program that prints a private key, run once a device without a shell; `{id}` in its words becomes
 * the device's. What it prints to stderr is not shown: it may be a key or a password.
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
  kill.addEventListener("abort", () => running.forEach((child) => endProgram(child, "SIGKILL")));
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
  const child = startProgram(words.map((word) => word.replaceAll("{id}", id)), "null");
  running.add(child);
  const limit = AbortSignal.timeout(KEY_TIME_MS);
  const ends = AbortSignal.any([signal, limit]);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    endProgram(child, "SIGTERM");
    timer = setTimeout(() => endProgram(child, "SIGKILL"), GRACE_MS);
  };
  ends.addEventListener("abort", stop);
  try {
    const output = readUpTo(child.stdout, MOST_KEY, () => endProgram(child, "SIGKILL"));
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
    if (await endedWith(status, signal)) return null;
    if (status.signal === null) onFailure(id);
    return { problem: `the key command ${howEnded(status)}` };
  } finally {
    ends.removeEventListener("abort", stop);
    clearTimeout(timer);
    running.delete(child);
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

/** Keys of programs that run as long as the batch, and answer a line for each key. */
interface KeyServers extends KeySource {
  /** Ends the programs, as {@linkcode openPrograms} says. */
  close(): Promise<void>;
}

/**
 * Programs that are asked for keys: a line such as `ec P-256` or `rsa 2048`, answered by a line with the
 * key as PKCS#8 in base64, or with `error` and a text that is not passed on.
 *
 * @throws {CliError} as {@linkcode openPrograms}.
 */
export async function serverKeys(
  profile: BulkProfile,
  options: Omit<ProgramOptions, "what" | "flag" | "example">,
): Promise<KeyServers> {
  const example = requestOf(profile, { id: "", index: 0, fields: {} }) ?? "ec P-256";
  const programs = await openPrograms({
    what: "the key server",
    flag: "key-server",
    example,
    ...options,
  });
  const takeOne = async (device: BulkDevice) => {
    const request = requestOf(profile, device);
    if (request === undefined) return undefined;
    let answer;
    try {
      answer = await programs.ask(request);
    } catch (error) {
      if (error instanceof DOMException) return null;
      throw error;
    }
    return keyIn(answer);
  };
  return {
    name: `the key server ${programs.name}`,
    take: (devices) => Promise.all(devices.map(takeOne)),
    close: programs.close,
  };
}

/** The line for a device; undefined for one that brings its key, or whose key follows from another. */
function requestOf(profile: BulkProfile, device: BulkDevice): string | undefined {
  if (device.fields.privateKey) return undefined;
  const keyMode = deviceKeyMode(profile, device);
  if (KEY_MODE_RULES[keyMode].privateKey === "derived") return undefined;
  const wanted = wantedKey(keyMode, profile.key);
  return wanted.type === "ec" ? `ec ${wanted.curve}` : `rsa ${wanted.bits}`;
}

function keyIn(answer: string): Uint8Array | { problem: string } {
  if (isRefusal(answer)) return { problem: "the key server made no key for it" };
  try {
    return parseBase64(answer);
  } catch {
    return { problem: "the key server did not answer with a key in base64" };
  }
}
